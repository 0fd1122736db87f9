#!/bin/bash
#SBATCH --job-name=mirage
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120
# Trains on GPU nodes under SLURM, one process a node with all its GPUs.
#
#   sbatch --nodes=4 launch/pods/slurm.sh --config=experiments/mirage_b.py \
#     --workdir=DIR
#   launch/pods/slurm.sh --dry-run --config=... --workdir=DIR
#
# Runs in the folder that sbatch was called in, with its .venv if there is one
# (pip install -e '.[cuda]'). SLURM asks for a stop two minutes before it takes
# the nodes, for others or because time is up; the run saves, and the job is
# queued again until all steps are done. To end it before that: scancel JOB.
set -euo pipefail

run=()
if [[ ${1:-} == --dry-run ]]; then
  run=(echo)
  shift
fi
if [[ $# -eq 0 ]]; then
  sed -n '9,18s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
if [[ -f .venv/bin/activate ]]; then
  # shellcheck source=/dev/null
  source .venv/bin/activate
fi
# SLURM sends that TERM to the processes and not to this script, which sees by
# their 75 that steps are left. Whoever exits first must not have the others
# killed, whose 137 would hide it; where one dies, the others notice and end.
status=0
"${run[@]}" srun --kill-on-bad-exit=0 --wait=300 \
  python -m launch.pods.restarts "$@" || status=$?
if [[ $status -eq 75 ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
