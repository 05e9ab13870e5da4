"""From checkpoints to numbers: selection, images, features of images, metrics."""
