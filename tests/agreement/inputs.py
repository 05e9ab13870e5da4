"""Random latents and predictions of the real sizes, and the distance of two gradients."""

import torch


def latents(count, shape, seed=0):
    """`count` unit Gaussian tensors `(2, *shape)`, float32."""
    return torch.randn(count, 2, *shape, generator=torch.Generator().manual_seed(seed))


def step_of(index):
    return torch.full((2,), index)


def gradient(function, prediction):
    """Of the sum of `function(prediction)` with respect to the prediction."""
    prediction = prediction.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(prediction).sum(), prediction)
    return found


def distance(one, other):
    """Largest difference over the largest value."""
    return float((one - other).abs().max() / other.abs().max())
