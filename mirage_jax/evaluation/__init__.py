"""Evaluation: suites, their metrics, baselines and reports.

suites/        one protocol each
suite          the form of a suite, and shared episodes
runner         runs suites by name
closed_loop    plays episodes with all entrants and feeds the scores
rollouts       a model as an entrant; entrants opens checkpoints
rollout_cache  keeps rollouts on disk
episodes       clips and camera paths of a sample
frame_scores   scores of generated frames; metrics/ has the measures
writing        writes clips into memories; memories lists those compared
baselines/     trivial and oracle entrants
reports/       tables, plots, videos and model cards
"""
