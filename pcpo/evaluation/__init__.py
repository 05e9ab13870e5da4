"""Evaluation of checkpoints: selection, images, features of images, metrics."""
