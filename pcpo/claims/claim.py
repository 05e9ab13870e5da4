"""config/claims.yaml: the paper's assertions, and the test that judges each.

    id:                          # unique; names the row of the ledger
      group: ...                 # heading in the ledger
      sentence: ...              # as the paper has it; [...] marks what is left out
      source: Sec. 3.2, Table 1
      quantity: ...              # what is estimated, with its unit
      test: ...                  # a procedure of `pcpo.claims`
      direction: higher | lower | none    # the claimed direction; not for exact tests
      between: [low, high]       # or this: the claimed band
      margin: ...                # for direction none: the largest effect that counts as none, in
      relative_margin: ...       # the quantity's unit; or this: a share of `Estimate.reference`
      paired_margin: ...         # or this: a share of each run's reference, tested run by run
      only_where: ...            # judged where this claim of the file holds in the configuration
      configurations: [2, 4]     # one part each; [1, 2] within the list: both together
      options: {...}             # of the test
      each: {option: [...]}      # one part per value
      scales: [paper]            # where the claim is judged; elsewhere only the estimate is shown
      kind: empirical | algebra | convention   # pcpo/claims/words.py; empirical if not given
      primary: true              # judged on a primary outcome (docs/results.md)
      contradicted:              # parts for which the paper's own table shows something else than
        <id of the part>: {direction: ..., shows: ...}   # the sentence: judged on the table, and
                                 # shown beside the sentence; direction none: a relative_margin too
      paper: ...                 # the paper's own numbers, as text
      remark: ...                # what else a reader should know

A claim with several configurations or values has several parts, each with its own verdict. A margin
is written before the runs that are judged by it: half of the paper's effect where it prints one.
"""

from __future__ import annotations

import inspect
import itertools
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from pcpo.claims import (  # noqa: F401 - they register procedures
    curves,
    exact,
    gradients,
    guidance,
    images,
    outcomes,
    preference,
    surface,
)
from pcpo.claims.estimate import PROCEDURES
from pcpo.claims.verdict import Assertion, Band, Direction
from pcpo.claims.words import Kind
from pcpo.config import arm_names, files
from pcpo.config.files import ConfigError, Record, explain, load_yaml


@dataclass(frozen=True)
class Part:
    """One estimate and verdict: a claim for one configuration (or several together)."""

    id: str
    configurations: tuple[int, ...]
    options: dict[str, Any]
    varied: dict[str, Any]  # the options that differ between the claim's parts


class Contradiction(Record):
    """What a table of the paper shows in one part, against the sentence."""

    direction: Direction
    shows: str
    relative_margin: float | None = Field(default=None, gt=0)  # scales have other units

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (self.direction == "none") != (self.relative_margin is not None):
            raise ValueError("relative_margin: belongs to direction none, and only to it")
        return self


class Claim(Record):
    id: str
    group: str
    sentence: str
    source: str
    quantity: str
    test: str
    direction: Direction | None = None
    between: Band | None = None
    margin: float | None = Field(default=None, gt=0)
    relative_margin: float | None = Field(default=None, gt=0)
    paired_margin: float | None = Field(default=None, gt=0)
    only_where: str | None = None
    kind: Kind = "empirical"
    primary: bool = False
    contradicted: dict[str, Contradiction] = Field(default_factory=dict)
    configurations: tuple[int | tuple[int, ...], ...] = Field(min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)
    each: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    scales: tuple[str, ...] = ()
    paper: str = ""
    remark: str = ""

    @model_validator(mode="after")
    def _judged(self) -> Claim:
        if self.test not in PROCEDURES:
            known = ", ".join(sorted(PROCEDURES))
            raise ValueError(f"test: unknown procedure '{self.test}'; known: {known}")
        procedure = PROCEDURES[self.test]
        given = (self.direction is not None) + (self.between is not None)
        if procedure.exact and given:
            raise ValueError(f"direction: '{self.test}' is exact; it takes no direction or between")
        if not procedure.exact and given != 1:
            raise ValueError(f"direction: '{self.test}' takes either a direction or between")
        if self.between is not None and self.between[0] >= self.between[1]:
            raise ValueError("between: the first value must be the lower one")
        every = (self.margin, self.relative_margin, self.paired_margin)
        margins = sum(margin is not None for margin in every)
        if margins != (self.direction == "none"):
            raise ValueError(
                "margin: a claim of no effect (direction none) needs a margin, relative_margin "
                "or paired_margin, and no other claim has one: give the largest effect that still "
                "counts as none"
            )
        if self.paired_margin is not None and not procedure.paired:
            raise ValueError(
                f"paired_margin: '{self.test}' gives no reference of each run; use relative_margin"
            )
        together = [c for c in self.configurations if not isinstance(c, int)]
        if together and not procedure.joint:
            raise ValueError(
                f"configurations: '{self.test}' takes one at a time, not {list(together[0])}"
            )
        known_scales = sorted(p.stem for p in (files.CONFIG / "scale").glob("*.yaml"))
        if unknown := set(self.scales) - set(known_scales):
            raise ValueError(
                f"scales: unknown scale '{min(unknown)}'; known: {', '.join(known_scales)}"
            )
        known_parts = {part.id for part in self.parts()}
        if unknown_parts := set(self.contradicted) - known_parts:
            raise ValueError(f"contradicted: the claim has no part '{min(unknown_parts)}'")
        if not known_parts - set(self.contradicted):
            raise ValueError("contradicted: no part is left to the sentence; leave one out")
        return self

    def assertion(self, part: str) -> Assertion:
        """What is claimed in one part: by the sentence, or by the table that contradicts it."""
        if shown := self.contradicted.get(part):
            share = shown.relative_margin
            return Assertion(shown.direction, margin=share or math.nan, relative=share is not None)
        margin = self.relative_margin or self.paired_margin or self.margin or math.nan
        relative, paired = self.relative_margin is not None, self.paired_margin is not None
        return Assertion(self.direction, self.between, margin, relative or paired, paired)

    def parts(self) -> Iterator[Part]:
        """One per configuration and combination of the values of `each`."""
        axes = [[(key, value) for value in values] for key, values in self.each.items()]
        for configuration in self.configurations:
            numbers = (configuration,) if isinstance(configuration, int) else configuration
            for combination in itertools.product(*axes):
                varied = dict(combination)
                names = ["+".join(map(str, numbers))] if len(self.configurations) > 1 else []
                names += [_word(value) for value in varied.values()]
                options = self.options | varied
                yield Part("-".join([self.id, *names]), numbers, options, varied)


def read_claims(path: str | Path) -> list[Claim]:
    """The claims of a file, in its order.

    Raises ConfigError with file and key for an unknown key, procedure, option, arm or value, and
    for a key that is missing.
    """
    path = Path(path)
    claims = []
    for name, keys in load_yaml(path, "claims").items():
        where = f"{path}: {name}"
        if not isinstance(keys, dict):
            raise ConfigError(f"{where}: expected the keys of a claim")
        try:
            claim = Claim(id=str(name), **keys)
        except ValidationError as error:
            raise ConfigError(explain(error, [(where, keys)])) from error
        for part in claim.parts():
            _check_options(claim.test, part.options, f"{where}: options")
        claims.append(claim)
    known = {claim.id: claim for claim in claims}
    for claim in claims:
        if claim.only_where is not None:
            _check_condition(claim, known, f"{path}: {claim.id}: only_where")
    return claims


def _check_condition(claim: Claim, known: Mapping[str, Claim], where: str) -> None:
    condition = known.get(claim.only_where or "")
    if condition is None or condition.only_where is not None:
        raise ConfigError(f"{where}: '{claim.only_where}' is no claim of this file without one")
    if missing := set(claim.configurations) - set(condition.configurations):
        raise ConfigError(f"{where}: '{condition.id}' is not asked of configuration {min(missing)}")


def arguments(test: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options converted by the procedure's annotations. Raises pydantic's ValidationError."""
    model = _model(test)(**options)
    return {key: getattr(model, key) for key in model.model_fields_set}


def _check_options(test: str, options: dict[str, Any], where: str) -> None:
    try:
        given = arguments(test, options)
    except ValidationError as error:
        raise ConfigError(explain(error, [(where, options)])) from error
    for key in {"arm", "arms", "beside", "chain", "reading", "share_of"} & set(given):
        for arm in [given[key]] if isinstance(given[key], str) else given[key]:
            if arm not in (known := ("base", *arm_names())):
                raise ConfigError(f"{where}: {key}: unknown arm '{arm}'; known: {', '.join(known)}")
    chain, than = given.get("chain"), given.get("than")
    if chain is not None and than is not None and than not in chain[1:-1]:
        raise ConfigError(
            f"{where}: than: '{than}' is no step before the last of {' -> '.join(chain)}; "
            f"known: {', '.join(chain[1:-1])}"
        )


def _model(test: str) -> type[BaseModel]:
    """The keyword arguments of a procedure as a record."""
    function = PROCEDURES[test].function
    types = typing.get_type_hints(function)
    fields: dict[str, Any] = {
        name: (types[name], ... if p.default is inspect.Parameter.empty else p.default)
        for name, p in inspect.signature(function).parameters.items()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return create_model(test, __config__=ConfigDict(extra="forbid"), **fields)


def _word(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
