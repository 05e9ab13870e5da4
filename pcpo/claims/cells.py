"""The paper's numbers beside ours, cell by cell, with what can be said about each claim.

A claim is the direction that the paper states or prints for a cell. It is judged by a difference
within this run and that difference's own noise, never by how near our number is to the printed
one: only at scale `paper` are the two comparable at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from scipy import stats

from pcpo.tables.matching import Match

ALPHA = 0.05

COLUMNS = ["table", "row", "column", "paper", "ours", "scale", "comparable", "claim", "verdict"]
COLUMNS += ["reason"]
VERDICTS = ("holds", "fails", "undecided", "not measured", "no claim")

_QUALITY = ("fid", "fd_dinov2", "is_star", "lpips_diversity")
_SCORES_5 = ("epoch", "hpsv2_1", "aesthetic", "clipscore", "pickscore", "imagereward")
_CELLS = {
    "table1": ("target_level", "baseline_epochs", "pcpo_epochs", "speedup_pct"),
    "table2a": _QUALITY,
    "table2b": _QUALITY,
    "table3": ("coef", "p_value"),
    "table4": ("coef", "p_value"),
    "table5a": _SCORES_5,
    "table5b": _SCORES_5,
    "table9": ("hpsv2", "aesthetic", "pickscore", "imagereward"),
    "table10": ("reward_level", "baseline_epochs", "pcpo_epochs", "speedup_pct"),
}
_SETTINGS = {
    "Aesthetics (256/128)": 1,
    "Aesthetics (512/256)": 2,
    "BERTScore (288/144)": 3,
    "BERTScore (576/288)": 4,
}
_METHODS = {"Base Model": "base", "Baseline": "baseline", "DanceGRPO": "baseline", "PCPO": "pcpo"}


class Claim(NamedTuple):
    """`direction` is the sign of PCPO's effect that the paper claims: 1, -1, or 0 for none."""

    text: str
    direction: int


NO_CLAIM = Claim("none", 0)


def compare(tables: Mapping[str, pd.DataFrame], published: str | Path, scale: str) -> pd.DataFrame:
    """One row per number in the paper's Tables 1 to 5, 9 and 10; columns `COLUMNS`.

    `tables` maps a table's name to its frame (`pcpo.tables.Table.frame` or the .csv written from
    it); a table that is not given is "not measured". `published` is the folder config/paper.
    `verdict` is one of `VERDICTS`; "undecided" means that the difference is within its noise, or
    that the checkpoints do not match in reward and it is not against that (`tables.matching`).
    Tables 5 and 9 are judged at the published epochs, whose rewards need not match; their rows of
    the matched pair are not judged.

    Raises FileNotFoundError where a published table is missing, ValueError for a frame without the
    columns that the verdict needs.
    """
    rows = []
    for name, columns in _CELLS.items():
        paper = read_published(published, name)
        ours = _indexed(tables[name], name, columns) if name in tables else None
        for label, cells in paper.iterrows():
            for column in columns:
                if pd.isna(cells[column]):
                    continue
                claim = claim_of(name, paper, str(label), column)
                measured = ours is not None and label in ours.index
                value = float(_row(ours, str(label))[column]) if measured else np.nan
                verdict, reason = judge(name, ours, str(label), column, claim)
                cell = [name, label, column, float(cells[column]), value, scale]
                rows.append([*cell, scale == "paper", claim.text, verdict, reason])
    return pd.DataFrame(rows, columns=COLUMNS)


def summary(compared: pd.DataFrame) -> pd.DataFrame:
    """Number of cells per table and verdict (tables in rows, `VERDICTS` in columns)."""
    counts = pd.crosstab(compared["table"], compared["verdict"])
    order = [name for name in _CELLS if name in counts.index]
    return counts.reindex(index=order, columns=list(VERDICTS), fill_value=0)


def read_published(folder: str | Path, name: str) -> pd.DataFrame:
    """config/paper/<name>.csv with the row labels of `pcpo.tables` as its index."""
    path = Path(folder) / f"{name}.csv"
    if not path.exists():
        raise FileNotFoundError(f"{path}: the paper's {name} is missing")
    frame = pd.read_csv(path)
    if name == "table1":
        frame.index = pd.Index([f"config{n}" for n in (2, 4, 5, 6)])
    elif name == "table10":
        frame.index = pd.Index(_levels(frame))
    elif name == "table2a":
        cells = frame["batch_size"].map({256: "half", 512: "full"})
        frame.index = pd.Index(cells + " " + frame["method"].map(_METHODS))
    elif name in ("table2b", "table5a", "table5b"):
        frame.index = pd.Index(frame["model"] + " " + frame["method"].map(_METHODS))
    elif name == "table3":
        frame.index = pd.Index(frame["effect"] + " " + frame["metric"])
    elif name == "table4":
        frame.index = pd.Index(frame["model"] + " " + frame["metric"])
    elif name == "table9":
        frame.index = pd.Index(frame["comparison"] + " " + frame["row_type"])
    return frame


def claim_of(name: str, paper: pd.DataFrame, row: str, column: str) -> Claim:
    """What the paper says about the direction of PCPO's effect in one cell of its table `name`."""
    cells = _row(paper, row)
    value = float(cells[column])
    if column in ("epoch", "target_level", "reward_level", "baseline_epochs", "pcpo_epochs"):
        return NO_CLAIM
    if name in ("table1", "table10"):
        return Claim("speed-up > 0", 1) if value > 0 else Claim("speed-up < 0", -1)
    if name in ("table3", "table4"):
        # Only effects that the paper calls significant are claims.
        if column == "p_value" or float(cells["p_value"]) >= ALPHA:
            return NO_CLAIM
        return Claim("coefficient > 0", 1) if value > 0 else Claim("coefficient < 0", -1)
    if name == "table9":
        return Claim("PCPO > base", 1) if row == "PCPO gain" and value > 0 else NO_CLAIM
    if not row.endswith(" pcpo"):
        return NO_CLAIM
    if column == "lpips_diversity":  # claimed only together with the larger batch (Sec. 3.2)
        return Claim("PCPO > baseline", 1) if row == "full pcpo" else NO_CLAIM
    if column in _QUALITY:
        return Claim("PCPO < baseline", -1)
    better = value > float(_row(paper, row.replace(" pcpo", " baseline"))[column])
    return Claim("PCPO > baseline", 1) if better else NO_CLAIM  # as printed; ties claim nothing


def judge(
    name: str, ours: pd.DataFrame | None, row: str, column: str, claim: Claim
) -> tuple[str, str]:
    """Verdict and reason for one cell; `ours` is our table indexed by row label, or None."""
    if ours is None or row not in ours.index:
        return "not measured", "no such row in this run"
    cells = _row(ours, row)
    if name == "table9" and cells.get("source") == "published":
        return "not measured", "quoted from other work, not run"
    if claim.direction == 0:
        measured = not pd.isna(cells[column])
        return ("no claim", "") if measured else ("not measured", "no value in this run")
    if name in ("table1", "table10"):
        direction, reason = _speedup_direction(cells)
    elif name in ("table3", "table4"):
        direction, reason = _coefficient_direction(cells)
    else:
        reference = None if name == "table9" else _row(ours, row.replace(" pcpo", " baseline"))
        direction, reason = _paired_direction(cells, reference, column)
    if direction is None:
        return "not measured", reason
    unmatched = cells.get("unmatched")
    if isinstance(unmatched, str) and unmatched:
        reason = f"{unmatched}; {reason}"
        metric = str(cells["metric"]) if "metric" in cells else column
        if direction != Match(unmatched, int(cells["side"])).decides(metric):
            return "undecided", reason
        if direction:
            reason = f"though unmatched, the difference in reward is against it: {reason}"
    if direction == 0:
        return "undecided", reason
    return ("holds" if direction == claim.direction else "fails"), reason


def _speedup_direction(cells: pd.Series) -> tuple[int | None, str]:
    low, high = float(cells["speedup_low"]), float(cells["speedup_high"])
    if np.isnan(low) or np.isnan(high):
        why = cells.get("no_level")
        return None, why if isinstance(
            why, str
        ) and why else "no data, or neither arm reaches the level"
    reason = f"speed-up interval {low:.1f} to {high:.1f} %"
    never = [a for a in ("baseline", "pcpo") if pd.isna(cells[f"{a}_epochs"])]
    if never:
        reason += f"; {' and '.join(never)} never at the level"
    if low > 0:
        return 1, f"{reason} lies above 0 (one run's noise only)"
    if high < 0:
        return -1, f"{reason} lies below 0 (one run's noise only)"
    return 0, f"{reason} contains 0"


def _coefficient_direction(cells: pd.Series) -> tuple[int | None, str]:
    coef, p = float(cells["coef"]), float(cells["p_value"])
    if np.isnan(coef) or np.isnan(p):
        note = cells.get("note")
        return None, str(note) if isinstance(note, str) and note else "no estimate in this run"
    if str(cells["converged"]) != "True":
        return 0, "the mixed model did not converge"
    t = float(cells.get("p_satterthwaite", np.nan))
    text = f"p = {p:.3g}" if np.isnan(t) else f"p = {t:.3g} (t; Wald z {p:.3g})"
    if (p if np.isnan(t) else t) >= ALPHA:
        return 0, f"{text} is not below {ALPHA}"
    return int(np.sign(coef)), text


def _paired_direction(
    cells: pd.Series, reference: pd.Series | None, column: str
) -> tuple[int | None, str]:
    value = float(cells[column])  # Table 9's gain is a difference already
    overall = value if reference is None else value - float(reference[column])
    mean = float(cells[f"{column}_prompt_difference"])
    error = float(cells[f"{column}_prompt_difference_se"])
    if np.isnan(overall):
        return None, "no value in this run"
    if np.isnan(mean) or np.isnan(error):
        return 0, "no noise estimate: fewer than two prompts with both arms"
    prompts = int(cells[f"{column}_prompts"])
    t = np.inf * np.sign(mean) if error == 0 and mean != 0 else mean / error if error else 0.0
    reason = f"over {prompts} prompts {mean:+.4g}, SE {error:.2g}, t = {t:.2f}"
    if abs(t) < stats.t.ppf(1 - ALPHA / 2, prompts - 1):  # as in the ledger
        return 0, f"{reason}: within noise"
    if np.sign(mean) != np.sign(overall):
        return 0, f"{reason}, but overall {overall:+.4g}: the two disagree"
    return int(np.sign(mean)), reason


def _row(frame: pd.DataFrame | None, label: str) -> pd.Series:
    assert frame is not None
    return cast("pd.Series", frame.loc[label])  # labels are unique


def _levels(frame: pd.DataFrame) -> list[str]:
    numbers = frame["setting"].map(_SETTINGS)
    hps = frame["framework"].map({"DanceGRPO (SD1.4)": 5, "DanceGRPO (FLUX)": 6})
    numbers = numbers.fillna(hps).astype(int)
    ranks = frame.groupby(numbers)["reward_level"].rank(ascending=False).astype(int)
    return [f"config{number} level{rank}" for number, rank in zip(numbers, ranks, strict=True)]


def _indexed(frame: pd.DataFrame, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    needed: list[Any] = ["row", *columns]
    if name in ("table1", "table10"):
        needed += ["speedup_low", "speedup_high"]
    elif name in ("table3", "table4"):
        needed += ["converged"]
    missing = [c for c in needed if c not in frame.columns]
    if missing:
        raise ValueError(f"{name}: the table lacks the columns {missing}; make it anew")
    return frame.set_index("row")
