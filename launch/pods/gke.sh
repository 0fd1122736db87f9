#!/bin/bash
# Trains on a slice of TPUs under Google Kubernetes Engine.
#
#   IMAGE=YOUR_IMAGE HOSTS=16 \
#     launch/pods/gke.sh --config=experiments/mirage_l.py \
#     --workdir=/data/mirage_l
#   launch/pods/gke.sh --dry-run --config=... --workdir=...
#
# IMAGE is any image in which this checkout is installed with '.[tpu]'. The
# node pool's ACCELERATOR, TOPOLOGY, HOSTS and CHIPS a host must be those of the
# cluster; CLAIM is a volume that all hosts see, mounted at /data. --dry-run
# prints the manifest. For several slices, give the same command to XPK:
#   xpk workload create --workload=mirage --tpu-type=v5p-128 --num-slices=2 \
#     --docker-image="$IMAGE" --command="python -m launch.train ..."
set -euo pipefail

NAME=${NAME:-mirage} IMAGE=${IMAGE:-mirage} CLAIM=${CLAIM:-mirage-data}
ACCELERATOR=${ACCELERATOR:-tpu-v5p-slice} TOPOLOGY=${TOPOLOGY:-4x4x4}
HOSTS=${HOSTS:-16} CHIPS=${CHIPS:-4}

apply=(kubectl apply -f -)
if [[ ${1:-} == --dry-run ]]; then
  apply=(cat)
  shift
fi
if [[ $# -eq 0 ]]; then
  sed -n '2,16s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
arguments=
for argument in "$@"; do
  arguments+="        - $(printf '%s' "$argument" | sed 's/"/\\"/g; s/.*/"&"/')"$'\n'
done

"${apply[@]}" <<EOF
apiVersion: v1
kind: Service
metadata:
  name: $NAME
spec:
  clusterIP: None
  selector:
    job-name: $NAME
---
apiVersion: batch/v1
kind: Job
metadata:
  name: $NAME
spec:
  completions: $HOSTS
  parallelism: $HOSTS
  completionMode: Indexed
  backoffLimit: 100
  template:
    spec:
      subdomain: $NAME
      restartPolicy: Never
      terminationGracePeriodSeconds: 300
      nodeSelector:
        cloud.google.com/gke-tpu-accelerator: $ACCELERATOR
        cloud.google.com/gke-tpu-topology: $TOPOLOGY
      containers:
      - name: train
        image: $IMAGE
        command: ["python", "-m", "launch.train"]
        args:
${arguments%$'\n'}
        resources:
          limits:
            google.com/tpu: $CHIPS
        volumeMounts:
        - name: data
          mountPath: /data
      volumes:
      - name: data
        persistentVolumeClaim:
          claimName: $CLAIM
EOF
