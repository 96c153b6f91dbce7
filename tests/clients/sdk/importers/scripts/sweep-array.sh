#!/bin/bash
#SBATCH -J sweep
#SBATCH -a 1-24%6
#SBATCH -c 4
#SBATCH --gpus=1
#SBATCH --mem-per-cpu=4000M
#SBATCH --time=90
#SBATCH --mail-type=FAIL --mail-user=wang@example.org
#SBATCH --requeue

LR=$(sed -n "${SLURM_ARRAY_TASK_ID}p" rates.txt)
pip install --user -r requirements.txt
python train.py --lr "$LR" --out "runs/$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID"
