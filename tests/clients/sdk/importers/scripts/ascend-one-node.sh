#!/usr/bin/env bash
#SBATCH --partition=ascend
#SBATCH --nodes 1
#SBATCH --gres npu:910b:8
#SBATCH --cpus-per-task 96
#SBATCH --time 1-0
#SBATCH --export=ALL,MODEL=Qwen3-8B,WANDB_API_KEY
# 昇腾环境
source /usr/local/Ascend/ascend-toolkit/set_env.sh
srun --unbuffered python -m torch.distributed.run --nproc-per-node "$SLURM_GPUS_ON_NODE" pretrain.py
