#!/bin/bash -e
# Full-parameter fine-tuning of a 32B model; one torchrun on each node.
#SBATCH --job-name="sft 32b"          # shown in squeue
#SBATCH --nodes=4 --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --gres=gpu:nvidia_h100_80gb_hbm3:8
#SBATCH --mem=900G
#SBATCH -t 2-12:00
#SBATCH -p train -A nlp-0417 --qos=long
#SBATCH --output=logs/%x-%j.out --error=logs/%x-%j.err
#SBATCH --exclude=gpu[013,027]
#SBATCH --signal=B:USR1@600
#SBATCH --exclusive

module purge
module load cuda/12.4 nccl
source ~/miniconda3/bin/activate llm

cd "$SLURM_SUBMIT_DIR"
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export OMP_NUM_THREADS=$((SLURM_CPUS_PER_TASK / 8))
DATA=/lustre/nlp/corpus/zh-sft

echo "$SLURM_JOB_NAME on $SLURM_JOB_NUM_NODES nodes: $SLURM_JOB_NODELIST"
srun --kill-on-bad-exit=1 torchrun \
    --nnodes "$SLURM_NNODES" --nproc-per-node 8 \
    --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$MASTER_ADDR:$MASTER_PORT" \
    sft.py --data "$DATA" --out checkpoints
