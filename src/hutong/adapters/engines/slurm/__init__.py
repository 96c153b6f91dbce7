"""Jobs of a Slurm cluster, by its command line or by slurmrestd."""
