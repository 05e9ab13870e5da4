"""Metrics: features of two sets of images -> one number. The folder is the registry.

A metric named `frechet` is `pcpo/metrics/frechet.py`. For the tables the module defines one of

- `metric(own, base) -> float`: of the features (N, d) of a policy's images and of the base model's
  with the same prompts and image seeds, which are kept on disk: `own[a:b]` reads rows,
  `np.asarray(own)` all of them. It is taken over all images and over each prompt's.
- `Running`: a class whose `update(features)` is given a prompt's features piece by piece and whose
  `value()` is the prompt's value, for features that are too long to be kept. Over all images it
  counts as the mean of the prompts' values.

What a scale's `quality:` measures beside the paper's four is a further column of Table 2. Where it
has the metric's name, the module's `TITLE` is the column's header and `BETTER`, which says which
values are better, a note below the table; both may be missing.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike


class Running(Protocol):
    """A value that is built up from pieces of the features."""

    def update(self, vectors: ArrayLike) -> None:
        """Add features (B, d)."""
        ...

    def value(self) -> float: ...


class ColumnText(NamedTuple):
    """A column's header, and a sentence without full stop on which values are better."""

    title: str = ""
    better: str = ""


@dataclass(frozen=True)
class Metric:
    """What a module of this folder gives; exactly one of the first two is not None."""

    of_rows: Callable[[ArrayLike, ArrayLike], float] | None
    running: Callable[[], Running] | None


def names() -> list[str]:
    """The metrics in this folder."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def load(name: str) -> Metric:
    """The metric `name`. Raises ValueError if there is none, listing those that there are."""
    if name not in names():
        raise ValueError(f"No metric '{name}'; pcpo/metrics/ has {', '.join(names())}.")
    module = import_module(f"pcpo.metrics.{name}")
    metric = Metric(getattr(module, "metric", None), getattr(module, "Running", None))
    if (metric.of_rows is None) == (metric.running is None):
        raise ValueError(f"pcpo/metrics/{name}.py must define either `metric` or `Running`.")
    return metric


def column_text(column: str) -> ColumnText:
    """The texts of the metric with the column's name; empty ones where there is none."""
    if column not in names():
        return ColumnText()
    module = import_module(f"pcpo.metrics.{column}")
    return ColumnText(getattr(module, "TITLE", ""), getattr(module, "BETTER", ""))


def as_rows(features: ArrayLike) -> np.ndarray:
    """An array (N, d), or `evaluation.rows.Rows`, which stay on disk."""
    return cast(np.ndarray, features if hasattr(features, "shape") else np.asarray(features))
