"""The formulas of the official trainers, written out plainly and in their precision.

ddpo: kvablack/ddpo-pytorch 1958463. dance: XueZeyue/DanceGRPO 15cc71d, whose ddim_with_logprob.py
is ddpo's. flow: yifan123/flow_grpo ac4c86e. float32 throughout, but for flow's advantages.
"""

import math

import torch


def log_density(x_next, mean, std):
    """Mean Gaussian log-density: ddpo ddim_with_logprob.py:184-190, and alike in the others."""
    density = -((x_next - mean) ** 2) / (2 * std**2)
    density = density - torch.log(std) - torch.log(torch.sqrt(2 * torch.as_tensor(math.pi)))
    return density.mean(dim=tuple(range(1, density.ndim)))


def ddim(alphas, t, previous, x, prediction, eta=1.0):
    """(mean, std) of a step from t to `previous`: ddim_with_logprob.py:22-36, 100-166."""
    a, a_next = alphas[t], alphas[previous]
    x0 = (x - (1 - a) ** 0.5 * prediction) / a**0.5
    std = eta * ((1 - a_next) / (1 - a) * (1 - a / a_next)) ** 0.5
    return a_next**0.5 * x0 + (1 - a_next - std**2) ** 0.5 * prediction, std


def flux_sigmas(steps, shift):
    """dance train_grpo_flux_lora.py:65-66, 249-251."""
    t = torch.linspace(1, 0, steps + 1)
    return (shift * t) / (1 + (shift - 1) * t)


def flux(sigmas, i, x, prediction, eta=0.3):
    """(mean, std, x0) of a step: dance train_grpo_flux_lora.py:79-94."""
    sigma, dsigma = sigmas[i], sigmas[i + 1] - sigmas[i]
    x0 = x - sigma * prediction
    score = -(x - x0 * (1 - sigma)) / sigma**2
    mean = x + dsigma * prediction + -0.5 * eta**2 * score * dsigma
    return mean, torch.tensor(eta * math.sqrt(-dsigma)), x0


def sd3(sigmas, i, x, prediction, noise_level=0.7):
    """(mean, std of the step, std_dev_t): flow sd3_sde_with_logprob.py:42-57."""
    sigma, dt = sigmas[i], sigmas[i + 1] - sigmas[i]
    rooted = sigmas[1] if sigma == 1 else sigma
    std_dev = torch.sqrt(sigma / (1 - rooted)) * noise_level
    mean = x * (1 + std_dev**2 / (2 * sigma) * dt)
    mean = mean + prediction * (1 + std_dev**2 * (1 - sigma) / (2 * sigma)) * dt
    return mean, std_dev * torch.sqrt(-dt), std_dev


def sd3_kl(mean, mean_ref, std_dev):
    """flow scripts/train_sd3.py:895-896."""
    return ((mean - mean_ref) ** 2).mean(dim=(1, 2, 3)) / (2 * std_dev**2)


def policy_loss(log_prob, log_prob_old, advantages, clip_range, advantage_clip=5.0):
    """(loss, clip fraction) of a forward.

    The same lines in ddpo scripts/train.py:539-567, dance train_grpo_sd.py:640-668 and
    train_grpo_flux_lora.py:533-547, flow scripts/train_sd3.py:881-911.
    """
    advantages = torch.clamp(advantages, -advantage_clip, advantage_clip)
    ratio = torch.exp(log_prob - log_prob_old)
    unclipped = -advantages * ratio
    clipped = -advantages * torch.clamp(ratio, 1.0 - clip_range, 1.0 + clip_range)
    fraction = torch.mean((torch.abs(ratio - 1.0) > clip_range).float())
    return torch.mean(torch.maximum(unclipped, clipped)), fraction
