#!/bin/bash
# Trains on a slice of Cloud TPU VMs.
#
#   NAME=mirage ZONE=us-east5-a TYPE=v5p-128 launch/pods/tpu_vm.sh \
#     --config=experiments/mirage_l.py --workdir=gs://BUCKET/mirage_l
#   launch/pods/tpu_vm.sh --dry-run --config=... --workdir=...
#
# Creates the slice unless it is there, copies this checkout to its hosts,
# installs it, and runs the same command on all of them; they find each other.
# A workdir must be one that all hosts see. VERSION is that of the TPU software.
# Delete the slice when you are done:
#   gcloud compute tpus tpu-vm delete NAME --zone=ZONE
set -euo pipefail

NAME=${NAME:-mirage} ZONE=${ZONE:-us-east5-a} TYPE=${TYPE:-v5p-128}
VERSION=${VERSION:-v2-alpha-tpuv5}

run=()
if [[ ${1:-} == --dry-run ]]; then
  run=(echo)
  shift
fi
if [[ $# -eq 0 ]]; then
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
tpu() { "${run[@]}" gcloud compute tpus tpu-vm "$@" "--zone=$ZONE"; }
everywhere() { tpu ssh "$NAME" --worker=all "--command=$1"; }

if [[ ${#run[@]} -gt 0 ]] || ! tpu describe "$NAME" >/dev/null 2>&1; then
  tpu create "$NAME" "--accelerator-type=$TYPE" "--version=$VERSION"
fi
root=$(cd "$(dirname "$0")/../.." && pwd)
archive=$(mktemp -t mirage.XXXXXX.tar.gz)
trap 'rm -f "$archive"' EXIT
"${run[@]}" git -C "$root" archive --format=tar.gz -o "$archive" HEAD
tpu scp "$archive" "$NAME:mirage.tar.gz" --worker=all
everywhere "rm -rf mirage && mkdir mirage && tar xzf mirage.tar.gz -C mirage \
&& cd mirage && python3 -m venv .venv && .venv/bin/pip install -q -e '.[tpu]'"
printf -v arguments ' %q' "$@"
everywhere "cd mirage && .venv/bin/python -m launch.train$arguments"
