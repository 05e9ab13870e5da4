"""Training: the loop, its rollout and update, and the folder of a run."""
