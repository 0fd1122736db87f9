"""Training runs: the machinery around the step.

run           settings of a run, and the parts that it is made of
loop          steps, reports, pictures and checkpoints
checkpoints   saves and restores state and data with Orbax
integrity     checksums of checkpoints
workdirs      files of a run, its lock and its config
export        released folders: weights, config, hashes
locate        finds a checkpoint by name
metrics       JSON lines of figures; tensorboard writes event files
sample_sheet  contact sheets of generated frames
throughput    steps a second, and progress lines
stopping      stops at a signal; watchdog ends a run that hangs
"""
