"""Table 10: epochs to every reward level, and the speed-up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import directions, labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

# The paper's words for configurations 1 to 4 and for the reward HPS.
_SETTINGS = {
    "Aesthetics (256/128)": 1,
    "Aesthetics (512/256)": 2,
    "BERTScore (288/144)": 3,
    "BERTScore (576/288)": 4,
}
_FRAMEWORKS = {"DanceGRPO (SD1.4)": 5, "DanceGRPO (FLUX)": 6}


def _rows(numbers: Iterable[int], ranks: Iterable[int]) -> list[str]:
    return [f"configuration {n} level {rank}" for n, rank in zip(numbers, ranks, strict=True)]


def _labels(paper: pd.DataFrame) -> list[str]:
    """The levels of a configuration are numbered from its highest."""
    numbers = paper["setting"].map(_SETTINGS).fillna(paper["framework"].map(_FRAMEWORKS))
    ranks = paper.groupby(numbers)["reward_level"].rank(ascending=False)
    return _rows(numbers.astype(int), ranks.astype(int))


RECORD = Record(
    title="Speed-up at different reward levels.",
    caption="Table 1 for all six configurations and every reward level.",
    experiments=(1, 2, 3, 4, 5, 6),
    frames=("updates",),
    kind="speed-up",
    columns={
        "reward_level": directions.none,
        "baseline_epochs": directions.none,
        "pcpo_epochs": directions.none,
        "speedup_pct": directions.printed_sign,
    },
    labels=_labels,
    also=("pcpo_exact", "reweight"),
)


def make(experiments: Sequence[Any], *, updates: pd.DataFrame) -> Body:
    """Adds the speed-up of other readings of PCPO.

    Columns `<arm>_epochs`, `<arm>_speedup`, `<arm>_low`, `<arm>_high` of the arms `RECORD.also`
    that were trained in some configuration, NaN in the configurations without the arm.
    """
    from pcpo.analysis.curves import epoch_curves
    from pcpo.tables import notes
    from pcpo.tables.speedups import EPOCHS, of_reading, reading_text, speedups
    from pcpo.tables.table import Body, Column

    frame, footnotes = speedups(experiments, updates, RECORD.experiments)
    curves, numbered = epoch_curves(updates), labels.by_number(experiments)
    trained = [arm for arm in RECORD.also if arm in set(curves["arm"])]
    for arm in trained:
        cells = [
            of_reading(curves, numbered.get(number), arm, level)
            for number, level in zip(frame["number"], frame["reward_level"], strict=True)
        ]
        frame = frame.assign(**{f"{arm}_{key}": [c[key] for c in cells] for key in cells[0]})
    frame["row"] = _rows(frame["number"], frame["level_rank"])
    columns = (
        Column("framework", "Framework", group=True),
        Column("setting", "Setting", group=True),
        Column("reward_level", "Reward", "{:.4g}"),
        *EPOCHS,
        *(Column(f"{arm}_known", labels.ARMS[arm], reading_text(arm)) for arm in trained),
    )
    if trained:
        footnotes.append(_OTHERS)
    footnotes.append(notes.TABLE_10_SLIP)
    return Body(frame, columns, tuple(footnotes))


_OTHERS = (
    "The last columns are of other readings of PCPO, epochs, speed-up over the baseline and its "
    "interval: Eq. (6) solved for the variance, as the paper's text has it; and the constant "
    "weight over the native sampler. PCPO itself is as its authors ran it. Levels are of baseline "
    "and PCPO."
)
