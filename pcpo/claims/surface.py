"""The procedure on the response surface of the grid of settings (config/grid.yaml)."""

from __future__ import annotations

import math
from typing import Literal

from pcpo.analysis.response_surface import Undetermined, at_point, fit, responses
from pcpo.claims.estimate import Estimate, of_logs, procedure
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.config.grid import coded_levels

LEVELS = {"low": -1, "high": 1}


@procedure()
def surface_speedup(
    evidence: Evidence,
    number: int,
    *,
    factor: str = "",
    level: Literal["low", "high"] = "high",
) -> Estimate:
    """Speed-up of PCPO over the baseline in percent, by the surface fitted to all cells.

    At the cell `number`, or, with a factor, where that factor is at a level and the others are at
    their centre, which is the mean over the corners at that level. The interval is of the surface
    over the runs of all cells, given their training seeds.
    """
    cells, own = coded_levels(), evidence.name(number)
    names = {e.name: cells[e.name] for e in evidence.experiments.values() if e.name in cells}
    if own not in names:
        raise ValueError(f"configuration {number} is no cell of config/grid.yaml")
    factors = [*names[own]]
    if factor and factor not in factors:
        raise ValueError(f"factor: '{factor}' is none of {', '.join(factors)}")
    rows = responses(evidence.frame("validation"), names)
    if rows.empty:
        raise NotRun("no cell of the grid has a training seed of both arms")
    if missing := sorted(set(names) - set(rows["experiment"])):
        raise NotRun(f"no training seed of both arms in {', '.join(missing)}")
    if none := sorted({*rows[rows["log_speedup"].isna()]["experiment"]}):
        raise NotRun(f"an arm does not gain in {', '.join(none)}: no level")
    point = dict.fromkeys(factors, 0) | {factor: LEVELS[level]} if factor else names[own]
    try:
        found = at_point(rows, "log_speedup", factors, point)
        lack = fit(rows, "log_speedup", factors).lack_of_fit.p
    except Undetermined as error:
        raise NotRun(str(error)) from error
    seeds = rows["seed"].nunique()
    cut = int(rows["cut"].sum())
    why = f"{cut} of {2 * len(rows)} runs end below the level; " if cut else ""
    why += f"lack of fit p = {lack:.2g}" if math.isfinite(lack) else "lack of fit not known"
    n = f"{len(rows)} pairs of runs, {seeds} seed{'s' if seeds > 1 else ''}"
    log = Estimate(found.value, found.low, found.high, n, why, runs=seeds, df=found.df)
    return of_logs(log, "percent") if math.isfinite(found.value) else log
