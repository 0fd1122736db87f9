"""One training step and its parts.

objective      flow matching on chunks, with written and read memories
losses         losses of a prediction against its targets
distillation   one step of a student for several of a teacher
optimizer      optimizers and their schedules
state          parameters, optimizer state and moving average
step           the compiled step
"""
