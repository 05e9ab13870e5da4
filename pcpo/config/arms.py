"""Arms: what a run changes of an experiment, from config/arms.yaml."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import ValidationError, model_validator

from pcpo.config import files
from pcpo.config.files import (
    ConfigError,
    Keys,
    Name,
    Record,
    explain,
    known_name,
    load_yaml,
    merge,
)

Credit = Literal[
    "native",
    "proportional",
    "exact",
    "reweight",
    "variance_only",
    "lambda",
    "drop_largest",
    "inverse_square",
    "uniform",
]
# Kinds of credit that one family of samplers alone has; pcpo/credit.py has their functions.
DDIM_ONLY = ("exact", "reweight", "variance_only", "lambda", "inverse_square")
FLOW_ONLY = ("uniform",)


class Arm(Record):
    """What an arm changes: the objective, how the ratio is computed, and the credit schedule."""

    name: Name
    description: str
    objective: Literal["ppo_clip", "log_hinge"]
    log_ratio: Literal["sampler", "matching"]
    credit: Credit
    over: Literal["all", "trained"] = "all"  # steps of a mean weight or of zeta
    storage: Literal["original", "float32"]
    timestep_fraction: float | None = None  # overrides the experiment's

    @model_validator(mode="after")
    def _consistent(self) -> Arm:
        if self.log_ratio == "sampler" and self.credit != "native":
            raise ValueError("a credit other than native needs log_ratio: matching")
        return self

    def applies_to(self, sampler_kind: str) -> bool:
        """Whether a sampler has the arm's kind of credit."""
        return self.credit not in (FLOW_ONLY if sampler_kind == "ddim" else DDIM_ONLY)


@cache
def arms_file() -> Keys:
    """The blocks of config/arms.yaml by arm; ConfigError for one that is none or has no name."""
    file = files.CONFIG / "arms.yaml"
    arms = load_yaml(file, "file")
    for name, block in arms.items():
        known_name(name, f"{file}: arm")
        if not isinstance(block, Keys):
            raise ConfigError(f"{file}: {name}: expected the keys of an arm")
        if "name" in block:
            raise ConfigError(f"{file}: {name}.name: unknown key")
    return arms


def load_arm(name: str) -> Arm:
    """The arm of config/arms.yaml; ConfigError lists the known ones."""
    return resolve_arm(name)[0]


def resolve_arm(name: str) -> tuple[Arm, Keys]:
    """`load_arm`, and the keys that it was made from with their origins."""
    arms, file = arms_file(), files.CONFIG / "arms.yaml"
    if name not in arms:
        raise ConfigError(f"{file}: unknown arm '{name}'; known: {', '.join(arms)}")
    own = merge(Keys(name=name), arms[name])
    own.origins["name"] = (arms.origins[name][-1]._replace(value=name),)
    try:
        return Arm(**own), own
    except ValidationError as error:
        raise ConfigError(explain(error, [(f"{file}: {name}", arms[name])])) from error


def arm_names() -> list[str]:
    return list(arms_file())
