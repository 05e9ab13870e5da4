"""How PCPO's gain depends on the settings: effects of a grid's factors, cells and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcpo.analysis.response_surface import (
    MEAN,
    RESPONSES,
    Surface,
    Undetermined,
    fit,
    responses,
)
from pcpo.compared import COMPARED
from pcpo.config.grid import coded_levels
from pcpo.figures import style
from pcpo.records import frames

TITLE = "Gain of PCPO over a grid of settings"
CAPTION = (
    "Above: log(epochs of the baseline / epochs of PCPO) to the validation reward at three "
    "quarters of the way from the base model to where both arms of a cell end; a run that ends "
    "below counts as its last epoch. Below: area under the validation curve, PCPO minus baseline. "
    "Left: coefficients of a linear surface with all products of two factors, ordinary least "
    "squares over cells and training seeds, with 95 % intervals; a coefficient is the change from "
    "a factor's centre to its high level, and is filled where its interval lies on one side of 0. "
    "Where a run ends below the level, no effect on the speed-up is filled: the cut can enlarge it "
    "or turn its sign. Right: mean of each cell against what the other cells predict for it by a "
    "surface without products; the square is the centre."
)
PANELS = False  # the configurations are the cells, not panels
AVERAGED = False

_HEADINGS = {"log_speedup": "log speed-up", "area_gain": "gain of area"}


def remark(experiments: Sequence[Any]) -> str:
    """The number of cells and the factors; "" without any."""
    cells = coded_levels()
    own = [cells[e.name] for e in experiments if e.name in cells]
    if not own:
        return ""
    factors = ", ".join(name.replace("_", " ") for name in own[0])
    return f"{len(own)} cells of the factors {factors} (config/grid.yaml)"


@style.draws(frames.VALIDATION)
def response_surface(
    validation: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = COMPARED,
) -> Figure:
    """Two rows, one for each response: its effects, and its cells against predictions.

    `experiments` are the cells. The arms are always baseline and PCPO.
    """
    figure, axes = style.panels(2, 2, width=3.6, height=3.1)
    known = coded_levels()
    cells = {e.name: known[e.name] for e in experiments if e.name in known}
    rows = responses(validation, cells)
    if rows.empty:
        style.no_data(*axes.flat)
        return figure
    factors = [*next(iter(cells.values()))]
    for (effects, predicted), response in zip(axes, RESPONSES, strict=True):
        try:
            surface = fit(rows, response, factors)
        except Undetermined:  # too few cells have a level
            style.no_data(effects, predicted)
            continue
        cut = int(rows["cut"].sum()) if response == "log_speedup" else 0
        _draw_effects(effects, surface, decided=not cut)
        _draw_cells(predicted, surface, cells)
        below = f"\n{cut} of {2 * surface.runs} runs end below the level" if cut else ""
        effects.set_title(f"{_HEADINGS[response]}: {_mean(surface)}{below}")
        predicted.set_title(_fit(surface))
        effects.set_xlabel(f"change of the {_HEADINGS[response]}")
        predicted.set_xlabel("predicted from the other cells")
        predicted.set_ylabel(f"{_HEADINGS[response]}, measured")
    return figure


def _draw_effects(axes: Axes, surface: Surface, decided: bool) -> None:
    """One line a term, from the top; those whose interval lies on one side of 0 are filled.

    decided: False where runs end below the level: differences of log ratios then decide nothing
    (`pcpo.stats.restricted`).
    """
    terms = surface.terms.drop(index=MEAN)
    y = np.arange(len(terms))[::-1]
    apart = decided & ((terms["low"] > 0) | (terms["high"] < 0))
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.hlines(y, terms["low"], terms["high"], color=style.COLOURS["pcpo"], linewidth=1.0)
    for filled, chosen in (("full", apart), ("none", ~apart)):
        axes.plot(
            terms["coef"][chosen], y[chosen.to_numpy()], "o", fillstyle=filled,
            color=style.COLOURS["pcpo"],
        )  # fmt: skip
    axes.set_yticks(y, [str(term).replace("_", " ") for term in terms.index], fontsize=6)


def _draw_cells(axes: Axes, surface: Surface, cells: dict[str, Any]) -> None:
    """Points of cells, and the diagonal on which a perfect prediction lies."""
    points = surface.predicted
    centre = [not any(cells[str(name)].values()) for name in points.index]
    ends = [points.to_numpy().min(), points.to_numpy().max()]
    axes.plot(ends, ends, color="0.6", linewidth=0.8)
    for marker, chosen in (("o", ~np.array(centre)), ("s", np.array(centre))):
        own = points[chosen]
        axes.plot(own["predicted"], own["observed"], marker, color=style.COLOURS["pcpo"])


def _mean(surface: Surface) -> str:
    mean = surface.terms.loc[MEAN]
    return f"mean {mean['coef']:.3g} [{mean['low']:.3g}, {mean['high']:.3g}]"


def _fit(surface: Surface) -> str:
    test, centre = surface.lack_of_fit, surface.centre
    p = "" if np.isnan(test.p) else f"lack of fit p = {test.p:.2g}\n"
    return f"{p}centre {centre.observed:.3g}, predicted {centre.predicted:.3g}"
