"""Arms: the settings of a run that differ within an experiment, from config/arms.yaml."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import ValidationError, model_validator

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

    @model_validator(mode="after")
    def _consistent(self) -> Arm:
        if self.log_ratio == "sampler" and self.credit != "native":
            raise ValueError("a credit other than native needs log_ratio: matching")
        return self

    def applies_to(self, sampler_kind: str) -> bool:
        """Whether a sampler has the arm's credit rule."""
        family = "ddim" if sampler_kind == "ddim" else "flow"
        return any(r.name == self.credit and family in r.values for r in RULES.all())

    @property
    def needs_reference(self) -> bool:
        """Whether each sampler step also runs the reference model."""
        return any(r.name == self.credit and r.keywords.get("reference") for r in RULES.all())


@cache
def arms_file() -> Keys:
    """The blocks of config/arms.yaml by arm; ConfigError for an invalid block or name."""
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
