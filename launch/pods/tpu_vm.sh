#!/bin/bash
# Trains on a slice of Cloud TPU VMs.
#
#   export SETUP='sudo apt-get update &&
#     sudo apt-get install -y python3.11-venv nfs-common &&
#     sudo mkdir -p /data && { mountpoint -q /data ||
#     sudo mount 10.0.0.2:/share /data; }'
#   NAME=mirage ZONE=us-east5-a TYPE=v5p-128 launch/pods/tpu_vm.sh \
#     --config=experiments/mirage_l.py --workdir=/data/mirage_l
#   launch/pods/tpu_vm.sh --dry-run --config=... --workdir=...
#
# Creates the slice unless it is there, copies this checkout to its hosts,
# installs it, and runs the same command on all of them; they find each other.
# SETUP, if any, is run first on each host. A workdir must be a folder that all
# hosts see: of Filestore, as here, or of a bucket with a hierarchical namespace
# (checkpoints are renamed) that gcsfuse mounts. VERSION is that of the TPU
# software; Python must be 3.11 or later, which many of its images do not bring.
# Delete the slice when you are done:
#   gcloud compute tpus tpu-vm delete NAME --zone=ZONE
set -euo pipefail

NAME=${NAME:-mirage} ZONE=${ZONE:-us-east5-a} TYPE=${TYPE:-v5p-128}
VERSION=${VERSION:-v2-alpha-tpuv5} SETUP=${SETUP:-}

run=()
if [[ ${1:-} == --dry-run ]]; then
  run=(echo)
  shift
fi
if [[ $# -eq 0 ]]; then
  sed -n '2,19s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
tpu() { "${run[@]}" gcloud compute tpus tpu-vm "$@" "--zone=$ZONE"; }
everywhere() { tpu ssh "$NAME" --worker=all "--command=$1"; }

# shellcheck disable=SC2016  # each host fills in its own
install='
for python in python3 python3.12 python3.11 python3.13 python3.14 none; do
  "$python" -c "import ensurepip, sys; assert sys.version_info >= (3, 11)" \
    2>/dev/null && break
done
if [ "$python" = none ]; then
  echo "error: no Python of 3.11 or later with venv on $(hostname); give a" \
    "VERSION whose image has one, or one to install, say by" \
    "SETUP=\"sudo apt-get update; sudo apt-get install -y python3.11-venv\"" >&2
  exit 1
fi
rm -rf mirage && mkdir mirage && tar xzf mirage.tar.gz -C mirage &&
  cd mirage && "$python" -m venv .venv && .venv/bin/pip install -q -e ".[tpu]"'

if [[ ${#run[@]} -gt 0 ]] || ! tpu describe "$NAME" >/dev/null 2>&1; then
  tpu create "$NAME" "--accelerator-type=$TYPE" "--version=$VERSION"
fi
if [[ -n $SETUP ]]; then
  everywhere "$SETUP"
fi
root=$(cd "$(dirname "$0")/../.." && pwd)
archive=$(mktemp -t mirage.XXXXXX.tar.gz)
trap 'rm -f "$archive"' EXIT
"${run[@]}" git -C "$root" archive --format=tar.gz -o "$archive" HEAD
tpu scp "$archive" "$NAME:mirage.tar.gz" --worker=all
everywhere "$install"
printf -v arguments ' %q' "$@"
everywhere "cd mirage && .venv/bin/python -m launch.train --coordinator=auto\
$arguments"
