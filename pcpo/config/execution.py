"""The section `execution` of an experiment: sizes that fit a run to the machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pcpo.config.files import Record


class Execution(Record):
    """How a run uses the machine. No key changes a result beyond floating-point rounding."""

    gpus: int = Field(default=1, gt=0)  # processes that share the images of an iteration
    sharding: Literal["none", "fsdp"] = "none"  # of the denoiser over these processes
    compile: bool = False
    activation_checkpointing: bool = False
    channels_last: bool = False  # UNet only
    # Images of one forward of the rollout, in arms with the sampler's log-ratio: a multiple of
    # batch.micro_batch. None: that. It takes little memory, because no gradients are recorded.
    # Matching arms compare predictions, so that their forwards have one shape always.
    rollout_batch: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _sharded_over_several(self) -> Execution:
        if self.sharding == "fsdp" and self.gpus == 1:
            raise ValueError("sharding: fsdp needs gpus: 2 or more")
        return self
