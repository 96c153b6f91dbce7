#!/bin/bash
#SBATCH -N2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-task=a100:1
#SBATCH --cpus-per-task=8
srun python lightning_train.py --nodes $SLURM_NNODES
