"""Table 3: effects of algorithm and batch size on the metrics of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import directions, labels, row_labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

RECORD = Record(
    title="DDPO: effects of algorithm and batch size on the metrics of a prompt.",
    caption="What the choice of algorithm, the batch size and the two together do to each metric "
    "of a prompt, by a linear mixed model. Negative coefficients of the algorithm mean that PCPO "
    "lowers the metric.",
    experiments=(1, 2, 3, 4),
    frames=("per_prompt", "selection"),
    kind="coefficient",
    columns={"coef": directions.significant_sign, "p_value": directions.none},
    labels=lambda paper: row_labels.joined(paper["effect"], paper["metric"]),
)

_INTERACTION = (
    "'Batch Size' decides nothing where the two baselines are at different rewards, and "
    "'Interaction' then compares PCPO's effects at two rewards."
)


def make(experiments: Sequence[Any], *, per_prompt: pd.DataFrame, selection: pd.DataFrame) -> Body:
    """value ~ algorithm * batch + (1 | prompt), configurations 1 and 2; further columns: 1 to 4."""
    import pandas as pd

    from pcpo.stats.effect_fits import COLUMNS
    from pcpo.tables import effects, matching, notes
    from pcpo.tables.quality import METRIC_COLUMNS
    from pcpo.tables.table import Body, Column

    numbered = labels.by_number(experiments)
    data = effects.design(numbered, per_prompt, RECORD.experiments)
    formula = "value ~ algorithm * batch"
    blocks = {"": [1, 2], "_two_tasks": [*RECORD.experiments]}
    rows: dict[tuple[str, str], dict[str, Any]] = {
        (effect, metric): {"row": f"{effect} {metric}", "effect": effect, "metric": metric}
        for effect in effects.EFFECTS
        for metric in METRIC_COLUMNS
    }
    absent = [n for n in RECORD.experiments if n not in set(data["number"])]
    fits = {}
    for suffix, numbers in blocks.items():
        what = "two tasks" if suffix else "one task"
        incomplete = any(number in absent for number in numbers)
        for metric in METRIC_COLUMNS:
            values = data[data["number"].isin(numbers) & (data["metric"] == metric)]
            fit = effects.fit(values, formula, tuple(effects.EFFECTS.values()), skip=incomplete)
            fits[f"{labels.METRICS[metric]} ({what})"] = fit
            for effect, coefficient in effects.EFFECTS.items():
                found = fit.loc[coefficient, COLUMNS].to_dict()
                rows[effect, metric] |= {f"{k}{suffix}": v for k, v in found.items()}
        for effect in effects.EFFECTS:
            effects.correct([rows[effect, metric] for metric in METRIC_COLUMNS], suffix)
    apart = matching.unmatched_baselines(selection, [numbered.get(n) for n in (1, 2)])
    for row in rows.values():  # of the main columns
        # "Algorithm" is PCPO's effect at half batch: only the pair of configuration 1. "Batch Size"
        # compares the two baselines, the interaction the two pairs.
        if row["effect"] == "Batch Size":
            row["unmatched"] = apart
        else:
            used = (1,) if row["effect"] == "Algorithm" else (1, 2)
            row |= matching.columns(selection, [numbered.get(n) for n in used])
        half = data[(data["number"] == 1) & (data["metric"] == row["metric"])]
        row["reference"] = half.loc[half["algorithm"] == "baseline", "value"].mean()
    columns = (
        Column("effect", "Effect", group=True),
        effects.metric_column(),
        Column("coef", "Coeff.", effects.coef_text),
        *effects.p_columns(),
        Column("p_random_slope", "p (random slope)", effects.p_text),
        *effects.run_columns([*rows.values()]),
        Column("coef_two_tasks", "Coeff. (two tasks)", effects.coef_text),
        Column("p_value_two_tasks", "p-value (two tasks)", effects.p_text),
    )
    footnotes = [
        *notes.missing_note(absent),
        *effects.fit_notes(fits),
        notes.MODEL_3,
        effects.P_VALUES.format(family="effect"),
        effects.SLOPE,
        notes.TWO_TASKS,
        *([f"{_INTERACTION} Here: {apart}."] if apart else []),
        *effects.data_notes(data, numbered, selection, per_prompt),
        notes.TABLE_3_SLIP,
    ]
    return Body(pd.DataFrame(rows.values()), columns, tuple(footnotes))
