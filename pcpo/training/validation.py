"""The reward on fixed prompts during training (Figure 5, appendix B.3.4)."""

from __future__ import annotations

import math
from typing import Any

import torch

from pcpo import samplers
from pcpo.config import Experiment
from pcpo.evaluation.generation import generate
from pcpo.prompts.draws import evaluation_prompts
from pcpo.samplers import Sampler
from pcpo.training.run import Run


def validation_sampler(experiment: Experiment, scheduler_config: dict[str, Any]) -> Sampler:
    """The sampler of the experiment's validation, whatever the arm.

    Flow-GRPO validates in 40 steps at noise level 0 (scripts/train_sd3.py:253-258), which are Euler
    steps of the flow's ODE.
    """
    assert experiment.validation is not None
    steps = {"steps": experiment.validation.steps}
    native = samplers.build(experiment.sampler.model_copy(update=steps), scheduler_config)
    return native.deterministic() if experiment.validation.sampler == "deterministic" else native


def validate(run: Run) -> dict[str, Any]:
    """Reward of one image per prompt, with the same noise at every epoch: columns of VALIDATION.

    `validation.count` prompts of the validation set are used, evenly spread. Each process scores
    its share.
    """
    experiment, policy, processes = run.experiment, run.policy, run.processes
    assert experiment.validation is not None
    prompts = run.validation_prompts
    sampler = validation_sampler(experiment, policy.scheduler_config).to(policy.device)
    # The batch shape of training: nothing new to compile, and known to fit in memory.
    batch = experiment.batch.micro_batch
    chosen = evaluation_prompts(prompts, experiment.validation.count)
    own = [(prompts[i], 0) for i in chosen[processes.rank :: processes.size]]
    # Shares may differ by one prompt, but a sharded model needs every process in each forward, and
    # `gather` needs equal numbers of rows. So ranks with one prompt fewer repeat the last image of
    # the set.
    count, rows = len(own), math.ceil(len(chosen) / processes.size)
    own += [(prompts[chosen[-1]], 0)] * (rows - count)
    guidance = experiment.sampler.guidance_scale
    images = generate(policy, sampler, guidance, own, batch, stream="validation")
    scores = torch.full((rows,), math.nan, dtype=torch.float64)
    for start in range(0, rows, batch):
        texts = [prompt for prompt, _ in own[start : start + batch]]
        stack = torch.stack([next(images) for _ in texts])
        scores[start : start + len(texts)] = run.reward(stack, texts).double().cpu()
    scores[count:] = math.nan
    values = processes.gather(scores).flatten()
    values = values[~values.isnan()]
    return {
        "images": len(values),
        "reward_mean": float(values.mean()),
        "reward_std": float(values.std(correction=0)),
    }
