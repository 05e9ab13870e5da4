"""Preview images: a few fixed prompts with fixed noise, in the course of a training.

Noise depends on the prompt alone, so images of all epochs and arms can be compared. Like evaluation
images they are made by the experiment's native sampler. No random number of the training is used,
and no weight changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pcpo import samplers
from pcpo.config.scale import Previews
from pcpo.evaluation.generation import generate
from pcpo.prompts.draws import evaluation_prompts
from pcpo.records import strips
from pcpo.training.observer import Observer
from pcpo.training.run import Run

Show = Callable[[int, np.ndarray], None]  # epoch, images uint8 (k, 3, H, W)


def previews(run: Run, folder: Path, config: Previews, show: Show | None = None) -> Observer:
    """Draw strips into the run's folder at epoch 0, each `every` epochs, and the last.

    show: gets the images too, in the first process.
    """
    experiment, policy = run.experiment, run.policy
    sampler = samplers.build(experiment.sampler, policy.scheduler_config).to(policy.device)
    prompts = [run.prompts[i] for i in evaluation_prompts(run.prompts, config.prompts)]
    # A compiled model has its batch shape already; without one, a smaller batch costs less.
    most = experiment.batch.micro_batch
    batch = most if experiment.execution.compile else min(most, len(prompts))

    def draw(epoch: int) -> None:
        if epoch % config.every and epoch != experiment.epochs:
            return
        # Each forward of a sharded model needs every process.
        if not (run.processes.is_main or policy.sharded):
            return
        items = [(prompt, 0) for prompt in prompts]
        guidance = experiment.sampler.guidance_scale
        images = list(generate(policy, sampler, guidance, items, batch, stream="preview"))
        if run.processes.is_main:
            stack = torch.stack(images).numpy()
            strips.write(folder, epoch, prompts, stack)
            if show is not None:
                show(epoch, stack)

    return Observer(epoch=draw)
