"""Epochs in the official order of work, to compare the speed of `pcpo.training.loop` with.

A plain loop, written from the published algorithms (kvablack/ddpo-pytorch 1958463,
XueZeyue/DanceGRPO 15cc71d, yifan123/flow_grpo f7ac02d). It samples some images at a time, one step
after another, with log-probabilities. Then it trains some images at a time, one timestep after
another, each with a backward pass of its own. Both branches of guidance run in one batch. For the
KL term the adapter is switched off and on at each timestep.

The host waits for the device at each forward: the originals look timesteps up or add up losses on
the CPU. Prompts are encoded beforehand, as in DanceGRPO on FLUX; the others encode each batch of
them anew, which is left out.

Shapes: B images of a forward, N of an epoch, M of an update, T sampler steps, S trained ones.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from pcpo import advantages
from pcpo.config import Experiment
from pcpo.cost.iteration_time import wait
from pcpo.policies.base import HALF, Policy
from pcpo.policies.embeddings import Conditioning
from pcpo.prompts.draws import iteration_prompts
from pcpo.training.run import Reward
from pcpo.trajectory import DTYPES


@dataclass(frozen=True)
class Draws:
    """What an epoch draws: prompts of N images, noise, and which steps an image trains."""

    experiment: Experiment
    shape: tuple[int, ...]
    device: torch.device

    def prompts(self, epoch: int, count: int) -> list[int]:
        """N ids in 0..count-1."""
        return iteration_prompts(self.experiment.batch, count, 0, epoch)

    def initial(self, epoch: int, images: range) -> Tensor:
        """`(B, ...)`; with DanceGRPO all images of a forward have the same."""
        count = 1 if self.experiment.sampler.initial_noise_groups else len(images)
        return self._noise(count).expand(len(images), *self.shape)

    def noise(self, epoch: int, images: range, step: int) -> Tensor:
        """`(B, ...)`, of one step."""
        return self._noise(len(images))

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, *self.shape, device=self.device)

    def steps(self, epoch: int, update: int, trainable: int) -> Tensor:
        """`(M, S)`: in DDPO and DanceGRPO a random order for each image, of which a part is kept;
        in Flow-GRPO all in order.
        """
        images = self.experiment.batch.images_per_update
        if self.experiment.algorithm == "flow_grpo":
            return torch.arange(trainable).expand(images, -1)
        count = max(int(trainable * self.experiment.timesteps.fraction + 1e-9), 1)
        return torch.stack([torch.randperm(trainable)[:count] for _ in range(images)])


class OfficialOrder:
    """A policy loaded with `train`, and one epoch after another on it.

    sample, train: images of a forward in the rollout and in the update.
    """

    def __init__(
        self,
        policy: Policy,
        experiment: Experiment,
        reward: Reward,
        prompts: Sequence[str],
        *,
        sample: int,
        train: int,
        draws: Draws | None = None,
    ) -> None:
        self.policy, self.experiment, self.reward = policy, experiment, reward
        self.prompts, self.sample, self.train = prompts, sample, train
        self.draws = draws or Draws(experiment, policy.latent_shape, policy.device)
        self.steps = _steps(experiment, policy)
        self.advantages = advantages.build(experiment.advantage)
        self.parameters = list(policy.trainable().values())
        o = experiment.optimizer
        self.optimizer = torch.optim.AdamW(
            self.parameters, o.learning_rate, o.betas, o.epsilon, o.weight_decay
        )
        self.scaler = torch.amp.GradScaler(
            policy.device.type, enabled=experiment.precision == "fp16"
        )
        self.epochs = 0
        self._empty: dict[int, Conditioning] = {}
        policy.prepare(prompts)
        policy.release()

    def epoch(self) -> list[dict[str, float]]:
        """Sample, score and train the images of one epoch; the means of each update."""
        self.epochs += 1
        size, ids = (
            self.experiment.batch.images_per_update,
            self.draws.prompts(self.epochs, len(self.prompts)),
        )
        batches, rewards = [], []
        for start in range(0, len(ids), self.sample):
            images = range(start, min(start + self.sample, len(ids)))
            texts = [self.prompts[ids[image]] for image in images]
            batch, final = self._rollout(images, texts)
            rewards.append(self.reward(self.policy.decode(final), texts).double().cpu().numpy())
            batches.append(batch)
        data = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
        scores = self.advantages(np.asarray(ids), np.concatenate(rewards))
        data["advantage"] = torch.from_numpy(scores).float().to(self.policy.device)
        return [
            self._update({k: v[u * size : (u + 1) * size] for k, v in data.items()}, u + 1)
            for u in range(self.experiment.gradient_updates)
        ]

    @torch.no_grad()
    def _rollout(self, images: range, texts: list[str]) -> tuple[dict[str, Tensor], Tensor]:
        """What the update needs of each image, `(B, T, ...)` and embeddings; latents to decode."""
        steps, conditioning = self.steps, self.policy.encode(texts)
        storage = DTYPES[self.experiment.sampler.storage_dtype]
        x = self.draws.initial(self.epochs, images).to(storage).float()
        latents, log_probs = [x], []
        for number in range(self.experiment.sampler.steps):
            index = torch.full((len(x),), number, device=x.device)
            prediction = self._predict(x, index, conditioning)
            mean, std = steps.step(index, x, prediction)
            exact = mean + std * self.draws.noise(self.epochs, images, number)
            log_probs.append(_log_density(exact, mean, std))
            decoded = steps.decoded(index, x, exact.to(storage).float(), prediction)
            x = exact.to(storage).float()
            latents.append(x)
        stacked = torch.stack(latents, 1)
        batch = {
            "latents": stacked[:, :-1],
            "next_latents": stacked[:, 1:],
            "log_probs": torch.stack(log_probs, 1),
        }
        return batch | conditioning, decoded

    def _update(self, data: dict[str, Tensor], number: int) -> dict[str, float]:
        """A gradient update on M images."""
        names = self.policy.encode([""]).keys()
        trainable = self.experiment.sampler.steps - self.experiment.timesteps.skip_last
        chosen = self.draws.steps(self.epochs, number, trainable).to(self.policy.device)
        forwards = len(chosen) // self.train * chosen.shape[1]
        info: list[dict[str, Tensor]] = []
        for start in range(0, len(chosen), self.train):
            own = {key: value[start : start + self.train] for key, value in data.items()}
            conditioning = {key: own[key] for key in names}
            for index in chosen[start : start + self.train].unbind(1):
                info.append(self._backward(own, conditioning, index, forwards))
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(
            self.parameters, self.experiment.optimizer.max_grad_norm
        )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        means = {key: float(torch.stack([i[key] for i in info]).mean()) for key in info[0]}
        return means | {"grad_norm": float(norm)}

    def _backward(
        self, own: dict[str, Tensor], conditioning: Conditioning, index: Tensor, forwards: int
    ) -> dict[str, Tensor]:
        """Add the gradient of a forward of B images, each at its step `index` `(B,)`."""
        clip, beta = self.experiment.clip_range, self.experiment.kl_beta
        rows = torch.arange(len(index), device=index.device)
        x, advantage = own["latents"][rows, index], own["advantage"]
        mean, std = self.steps.step(index, x, self._predict(x, index, conditioning))
        log_prob = _log_density(own["next_latents"][rows, index], mean, std)
        log_ratio = log_prob - own["log_probs"][rows, index]
        ratio = torch.exp(log_ratio)
        unclipped, clipped = -advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)
        loss = torch.maximum(unclipped, clipped).mean()
        info = {
            "loss": loss.detach(),
            "approx_kl": 0.5 * log_ratio.detach().square().mean(),
            "clip_fraction": ((ratio.detach() - 1).abs() > clip).float().mean(),
        }
        if beta is not None:
            with torch.no_grad():
                self.policy.denoiser.disable_adapters()
                mean_ref, _ = self.steps.step(index, x, self._predict(x, index, conditioning))
                self.policy.denoiser.enable_adapters()
            kl = (mean - mean_ref).square().mean(dim=tuple(range(1, x.ndim)), keepdim=True)
            kl = (kl / (2 * self.steps.kl_std(index, x) ** 2)).mean()
            info["kl"] = kl.detach()
            loss = loss + beta * kl
        self.scaler.scale(loss / forwards).backward()
        return info

    def _predict(self, x: Tensor, index: Tensor, conditioning: Conditioning) -> Tensor:
        """Guided prediction `(B, ...)`, fp32."""
        policy, scale = self.policy, self.experiment.sampler.guidance_scale
        timesteps, half = self.steps.timesteps[index], HALF.get(self.experiment.precision)
        with torch.autocast(policy.device.type, dtype=half) if half else nullcontext():
            if scale == 1:
                prediction = policy._forward(x, timesteps, conditioning).float()
                wait(policy.device)
                return prediction
            if len(x) not in self._empty:
                self._empty[len(x)] = policy.encode([""] * len(x))
            empty = self._empty[len(x)]
            both = {key: torch.cat([empty[key], value]) for key, value in conditioning.items()}
            output = policy._forward(torch.cat([x] * 2), torch.cat([timesteps] * 2), both)
        wait(policy.device)
        unconditional, conditional = output.float().chunk(2)
        return unconditional + scale * (conditional - unconditional)


def _log_density(x_next: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """`(B,)`, the mean over latent dimensions."""
    density = -((x_next - mean) ** 2) / (2 * std**2)
    density = density - torch.log(std) - math.log(math.sqrt(2 * math.pi))
    return density.mean(dim=tuple(range(1, density.ndim)))


class _Steps(ABC):
    """The steps of an official sampler, in fp32. timesteps: `(T,)`, the network's input."""

    timesteps: Tensor

    @abstractmethod
    def step(self, index: Tensor, x: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """Mean `(B, ...)` and std `(B, 1, ...)` of x' at step indices `(B,)`."""

    def decoded(self, index: Tensor, x: Tensor, x_next: Tensor, prediction: Tensor) -> Tensor:
        """The latents to decode where this is the last step."""
        return x_next

    def kl_std(self, index: Tensor, x: Tensor) -> Tensor:
        """The standard deviation in the KL term; samplers without one have no KL term."""
        raise NotImplementedError


class _DDIM(_Steps):
    """ddpo_pytorch/diffusers_patch/ddim_with_logprob.py; DanceGRPO has a copy."""

    def __init__(self, experiment: Experiment, policy: Policy) -> None:
        scheduler = DDIMScheduler.from_config(policy.scheduler_config)
        scheduler.set_timesteps(experiment.sampler.steps, device=policy.device)
        self.timesteps = scheduler.timesteps
        self.stride = scheduler.config.num_train_timesteps // experiment.sampler.steps
        self.alphas = scheduler.alphas_cumprod.to(policy.device)
        self.eta = experiment.sampler.noise_level

    def step(self, index: Tensor, x: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        t = self.timesteps[index]
        a = _broadcast(self.alphas[t], x)
        a_next = _broadcast(self.alphas[(t - self.stride).clamp(min=0)], x)
        x0 = (x - (1 - a) ** 0.5 * prediction) / a**0.5
        std = self.eta * ((1 - a_next) / (1 - a) * (1 - a / a_next)) ** 0.5
        return a_next**0.5 * x0 + (1 - a_next - std**2) ** 0.5 * prediction, std


class _DanceFlow(_Steps):
    """fastvideo/train_grpo_flux_lora.py:65-108, 169-192."""

    def __init__(self, experiment: Experiment, policy: Policy) -> None:
        shift = experiment.sampler.shift
        assert shift is not None
        t = torch.linspace(1, 0, experiment.sampler.steps + 1)
        self.sigmas = (shift * t / (1 + (shift - 1) * t)).to(policy.device)
        self.timesteps = (self.sigmas[:-1] * 1000).floor()
        self.eta = experiment.sampler.noise_level

    def step(self, index: Tensor, x: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        sigma = _broadcast(self.sigmas[index], x)
        dsigma = _broadcast(self.sigmas[index + 1], x) - sigma
        score = -(x - (x - sigma * prediction) * (1 - sigma)) / sigma**2
        mean = x + dsigma * prediction - 0.5 * self.eta**2 * score * dsigma
        return mean, self.eta * torch.sqrt(-dsigma)

    def decoded(self, index: Tensor, x: Tensor, x_next: Tensor, prediction: Tensor) -> Tensor:
        return x - _broadcast(self.sigmas[index], x) * prediction


class _FlowGRPO(_Steps):
    """flow_grpo/diffusers_patch/sd3_sde_with_logprob.py:34-68."""

    def __init__(self, experiment: Experiment, policy: Policy) -> None:
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(policy.scheduler_config)
        scheduler.set_timesteps(experiment.sampler.steps, device=policy.device)
        self.timesteps, self.sigmas = scheduler.timesteps, scheduler.sigmas.to(policy.device)
        self.level = experiment.sampler.noise_level

    def step(self, index: Tensor, x: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        sigma, std_dev = _broadcast(self.sigmas[index], x), self.kl_std(index, x)
        dt = _broadcast(self.sigmas[index + 1], x) - sigma
        mean = x * (1 + std_dev**2 / (2 * sigma) * dt)
        mean = mean + prediction * (1 + std_dev**2 * (1 - sigma) / (2 * sigma)) * dt
        return mean, std_dev * torch.sqrt(-dt)

    def kl_std(self, index: Tensor, x: Tensor) -> Tensor:
        sigma = _broadcast(self.sigmas[index], x)
        rooted = torch.where(sigma == 1, self.sigmas[1], sigma)
        return torch.sqrt(sigma / (1 - rooted)) * self.level


def _broadcast(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _steps(experiment: Experiment, policy: Policy) -> Any:
    """Raises ValueError for a sampler that no official trainer has."""
    kinds: dict[str, type[Any]] = {
        "ddim": _DDIM,
        "dance_sde": _DanceFlow,
        "flow_grpo_sde": _FlowGRPO,
    }
    if experiment.sampler.kind not in kinds:
        raise ValueError(
            f"{experiment.name}: sampler.kind {experiment.sampler.kind} is in no official trainer"
        )
    return kinds[experiment.sampler.kind](experiment, policy)
