#!/bin/bash
# Trains on ND H100 nodes with Azure Machine Learning.
#
#   ENVIRONMENT=azureml:cuda@latest COMPUTE=azureml:h100 NODES=4 \
#     launch/pods/azure_ml.sh --config=experiments/mirage_b.py
#   launch/pods/azure_ml.sh --dry-run --config=...
#
# ENVIRONMENT is one of the workspace, with Python and CUDA's driver; the job
# uploads this checkout and installs it there with '.[cuda]'. The workdir is the
# job's output `run`; a node that is taken away comes back to it. One process a
# node: Azure tells each where the first is. --dry-run prints the job.
set -euo pipefail

NAME=${NAME:-mirage} NODES=${NODES:-2}
ENVIRONMENT=${ENVIRONMENT:-azureml:mirage@latest}
COMPUTE=${COMPUTE:-azureml:h100}

dry=
if [[ ${1:-} == --dry-run ]]; then
  dry=yes
  shift
fi
if [[ $# -eq 0 ]]; then
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/../.." && pwd)
printf -v arguments ' %q' "$@"

job() {
  cat <<EOF
type: command
display_name: $NAME
experiment_name: mirage
code: $root
command: >-
  pip install -q -e '.[cuda]' &&
  python -m launch.train$arguments --workdir=\${{outputs.run}}
environment: $ENVIRONMENT
compute: $COMPUTE
outputs:
  run:
    type: uri_folder
    mode: rw_mount
resources:
  instance_count: $NODES
  shm_size: 64g
distribution:
  type: pytorch
  process_count_per_instance: 1
EOF
}

if [[ -n $dry ]]; then
  job
  exit
fi
file=$(mktemp -t mirage.XXXXXX.yaml)
trap 'rm -f "$file"' EXIT
job >"$file"
az ml job create --file "$file"
