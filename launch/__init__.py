"""Programs; each is run as `python -m launch.NAME` in a clone.

train      trains an experiment
sample     generates a video along a camera path and scores it
evaluate   runs evaluation suites and writes their tables
release    exports a checkpoint with a model card
prepare    renders worlds to disk
ingest     converts and checks a recording
benchmark  measures speed
compile    compiles an experiment for slices of TPUs
program    start, errors and last line of every program
cluster    several processes of one training run
pods       launchers for TPU VMs, Kubernetes, SLURM and Azure ML
"""
