"""Procedures on answers of people in the preference study (appendix B.3.3, Figure 4)."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from pcpo.claims.estimate import ONE_RUN, Estimate, of_runs, procedure
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.figures.registry import NO_ANSWERS
from pcpo.preference.analysis import counted, rate
from pcpo.preference.questions import Category, Comparison, Device


@procedure()
def preference(
    evidence: Evidence,
    number: int,
    *,
    category: Category,
    against: Comparison,
    device: Device | None = None,
) -> Estimate:
    """Share of people's answers that prefer PCPO's image; a tie is half an answer for each.

    With the images of one training run per arm the interval is over raters and prompts, and says
    nothing of another run. With several training seeds it is over their shares.
    """
    name = evidence.name(number)
    if not evidence.has("preference"):
        raise NotRun(NO_ANSWERS)
    rows = counted(evidence.frame("preference"))
    rows = rows[(rows["experiment"] == name) & (rows["category"] == category)]
    rows = rows[rows["comparison"] == against]
    if device is not None:
        rows = rows[rows["device"] == device]
    if rows.empty:
        raise NotRun(f"no answers in this category{f' on a {device}' * bool(device)}")
    whole = rate(rows)
    epochs = [*zip(rows["pcpo_epoch"], rows["baseline_epoch"], strict=True)]
    shown = "; ".join(f"PCPO epoch {p}, baseline epoch {b}" for p, b in dict.fromkeys(epochs))
    n = f"{whole.answers} answers of {whole.raters} raters on {whole.prompts} prompts"
    if rows["seed"].nunique() > 1:
        found = of_runs(_shares(rows), shown)
        return replace(found, null=0.5, n=f"{n}, {found.n}")
    return Estimate(
        whole.share, whole.low, whole.high, n,
        f"{ONE_RUN}: the interval is over raters and prompts; {shown}",
        null=0.5, df=whole.df,
    )  # fmt: skip


def _shares(rows: pd.DataFrame) -> list[float]:
    """One share per training seed."""
    return [float(share) for share in rows.groupby("seed")["score"].mean()]
