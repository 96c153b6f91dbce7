#!/bin/sh
#SBATCH --ntasks=256
#SBATCH --ntasks-per-node=64
#SBATCH --mem-per-cpu=3G
#SBATCH --time=12:00:00
#SBATCH --constraint=ib
#SBATCH --dependency=afterok:123456
#SBATCH --licenses=fluent:2
#SBATCH --nice=200

ml load openmpi/4.1
mpirun -np $SLURM_NTASKS ./forecast.x namelist.input
squeue -j $SLURM_JOB_ID
