"""Training: the loop, its rollout and update, and the folder that a run lives in."""
