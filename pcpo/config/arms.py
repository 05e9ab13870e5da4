"""Arms: the settings of a run that differ within an experiment, from config/arms.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from pcpo.config import files
from pcpo.config.declared import Declarations
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

RULES = Declarations("credit.py", "rule")
OBJECTIVES = Declarations("objectives.py", "objective")
REGIONS = Declarations("trust_region.py", "region")

_LATER = ("trust_region", "clipping", "kl", "loss_factor", "window")


class Window(Record):
    """A window of steps that are sampled with noise and trained; the others are deterministic."""

    steps: int = Field(gt=0)
    every: int = Field(gt=0)  # epochs, after which it moves by one step


class Arm(Record):
    """What an arm changes: the objective, how the ratio is computed, and the credit schedule."""

    name: Name
    description: str
    objective: Annotated[str, OBJECTIVES]
    log_ratio: Literal["sampler", "matching"]
    credit: Annotated[str, RULES]
    over: Literal["all", "trained"] = "all"  # steps for a mean weight or zeta
    storage: Literal["original", "float32"]
    timestep_fraction: float | None = None  # overrides the experiment's
    trust_region: Annotated[str, REGIONS] = "credited"  # what the clip sees
    clipping: Literal["fixed", "higher", "matched", "balanced"] = "fixed"
    kl: float = Field(default=1.0, ge=0)  # factor of the experiment's kl_beta
    loss_factor: float = Field(default=1.0, gt=0)  # of the policy loss; its clip range stays
    window: Window | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Arm:
        if self.log_ratio == "sampler" and self.credit != "native":
            raise ValueError("a credit other than native needs log_ratio: matching")
        if self.log_ratio == "sampler" and self.trust_region != "credited":
            raise ValueError("a trust_region other than credited needs log_ratio: matching")
        if self.log_ratio == "sampler" and self.clipping == "matched":
            raise ValueError("clipping: matched needs log_ratio: matching")
        if self.log_ratio == "sampler" and self.window is not None:
            # Steps without noise have no density.
            raise ValueError("window: needs log_ratio: matching")
        if self.timestep_fraction is not None and self.window is not None:
            raise ValueError("window: all of its steps are trained; remove timestep_fraction")
        return self

    def identity(self) -> dict[str, Any]:
        """What a run depends on, in JSON types.

        Without the keys of _LATER where they are the default, as in states that were saved before
        an arm had them.
        """
        data = self.model_dump(mode="json", exclude={"description"})
        fields = type(self).model_fields
        later = {key for key in _LATER if data[key] == fields[key].default}
        return {key: value for key, value in data.items() if key not in later}

    def applies_to(self, sampler_kind: str) -> bool:
        """Whether a sampler has the arm's credit rule."""
        family = "ddim" if sampler_kind == "ddim" else "flow"
        return any(r.name == self.credit and family in r.values for r in RULES.all())

    @property
    def needs_reference(self) -> bool:
        """Whether each sampler step also runs the reference model."""
        return any(r.name == self.credit and r.keywords.get("reference") for r in RULES.all())


def arms_file() -> Keys:
    """The blocks of config/arms.yaml by arm; ConfigError for an invalid block or name."""
    return blocks_of(files.CONFIG / "arms.yaml")


@cache
def blocks_of(file: Path) -> Keys:
    """`arms_file` of a file, read once."""
    arms = load_yaml(file, "file")
    for name, block in arms.items():
        known_name(name, f"{file}: arm")
        if not isinstance(block, Keys):
            raise ConfigError(f"{file}: {name}: expected the keys of an arm")
        if "name" in block:
            raise ConfigError(f"{file}: {name}.name: unknown key")
    return arms


def load_arm(name: str) -> Arm:
    """Load an arm of config/arms.yaml; ConfigError lists the known ones."""
    return resolve_arm(name)[0]


def resolve_arm(name: str) -> tuple[Arm, Keys]:
    """`load_arm`, and the keys of the arm with their origins."""
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
