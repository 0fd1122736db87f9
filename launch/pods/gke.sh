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
# cluster; CLAIM is a volume that all hosts see, mounted at /data. Pods whose
# nodes are taken away save, and are replaced until all steps are done.
# --dry-run prints the manifest. For several slices, give the same to XPK:
#   xpk workload create --workload=mirage --tpu-type=v5p-128 --num-slices=2 \
#     --max-restarts=100 --restart-on-exit-codes=75 \
#     --docker-image="$IMAGE" --command="python -m launch.pods.restarts ..."
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
  sed -n '2,18s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi

# Text as YAML, with $ doubled because Kubernetes fills in $(NAME).
quoted() {
  local text=$1
  text=${text//"\\"/"\\\\"}
  text=${text//'"'/'\"'}
  text=${text//$'\n'/'\n'}
  text=${text//'$'/'$$'}
  printf '"%s"' "$text"
}

arguments=
for argument in "$@"; do
  arguments+="        - $(quoted "$argument")"$'\n'
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
  # Being stopped (75) is no failure; without a rule 100 of them end the job.
  podFailurePolicy:
    rules:
    - action: Ignore
      onExitCodes:
        containerName: train
        operator: In
        values: [75]
    - action: Ignore
      onPodConditions:
      - type: DisruptionTarget
        status: "True"
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
        command: ["python", "-m", "launch.pods.restarts"]
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
