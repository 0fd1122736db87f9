#!/bin/bash
#SBATCH --job-name=mirage
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --signal=TERM@120
# Trains on GPU nodes under SLURM, one process a node.
#
#   sbatch --nodes=4 launch/pods/slurm.sh --config=experiments/mirage_b.py \
#     --workdir=DIR
#   launch/pods/slurm.sh --dry-run --config=... --workdir=DIR
#
# Runs in the folder that sbatch was called in, with its .venv if there is one
# (pip install -e '.[cuda]'). SLURM asks for a stop two minutes before it takes
# the nodes; the run saves, and a requeued job goes on.
set -euo pipefail

run=()
if [[ ${1:-} == --dry-run ]]; then
  run=(echo)
  shift
fi
if [[ $# -eq 0 ]]; then
  sed -n '9,17s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
if [[ -f .venv/bin/activate ]]; then
  # shellcheck source=/dev/null
  source .venv/bin/activate
fi
"${run[@]}" srun --kill-on-bad-exit=1 python -m launch.train "$@"
