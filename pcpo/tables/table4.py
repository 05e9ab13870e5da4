"""Table 4: effect of PCPO on the metrics of a prompt, model by model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import directions, labels, row_labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

RECORD = Record(
    title="DanceGRPO: effect of PCPO on the metrics of a prompt.",
    caption="What PCPO does to each metric of a prompt, model by model, by a linear mixed model.",
    experiments=(5, 6),
    frames=("per_prompt", "selection"),
    kind="coefficient",
    columns={"coef": directions.significant_sign, "p_value": directions.none},
    labels=lambda paper: row_labels.joined(paper["model"], paper["metric"]),
)


def make(experiments: Sequence[Any], *, per_prompt: pd.DataFrame, selection: pd.DataFrame) -> Body:
    """value ~ algorithm + (1 | prompt), for each of the configurations 5 and 6."""
    import pandas as pd

    from pcpo.stats.effect_fits import COLUMNS
    from pcpo.tables import effects, matching, notes
    from pcpo.tables.quality import METRIC_COLUMNS
    from pcpo.tables.table import Body, Column

    numbered = labels.by_number(experiments)
    data = effects.design(numbered, per_prompt, RECORD.experiments)
    absent = [n for n in RECORD.experiments if n not in set(data["number"])]
    rows: list[dict[str, Any]] = []
    fits = {}
    for number in RECORD.experiments:
        model = labels.model_label(number, numbered.get(number))
        block: list[dict[str, Any]] = []
        for metric in METRIC_COLUMNS:
            values = data[(data["number"] == number) & (data["metric"] == metric)]
            effect = effects.EFFECTS["Algorithm"]
            fit = effects.fit(values, "value ~ algorithm", (effect,), skip=number in absent)
            fits[f"{model} {labels.METRICS[metric]}"] = fit
            row: dict[str, Any] = {
                "row": f"{model} {metric}",
                "number": number,
                "model": model,
                "metric": metric,
            }
            row |= matching.columns(selection, [numbered.get(number)])
            row |= {str(k): v for k, v in fit.loc[effect, COLUMNS].items()}
            row["reference"] = values.loc[values["algorithm"] == "baseline", "value"].mean()
            block.append(row)
        effects.correct(block)
        rows += block
    sloped = any(pd.notna(row["p_random_slope"]) for row in rows)
    columns = (
        Column("model", "Model", group=True),
        effects.metric_column(),
        Column("coef", "Coeff.", effects.coef_text),
        *effects.p_columns(),
        *([Column("p_random_slope", "p (random slope)", effects.p_text)] if sloped else []),
        *effects.run_columns(rows),
    )
    footnotes = [
        *notes.missing_note(absent),
        *effects.fit_notes(fits),
        notes.MODEL_4,
        effects.P_VALUES.format(family="model"),
        effects.SLOPE if sloped else _SLOPE_4,
        *effects.data_notes(data, numbered, selection, per_prompt),
    ]
    return Body(pd.DataFrame(rows), columns, tuple(footnotes))


_SLOPE_4 = (
    "A random slope for the algorithm cannot be separated from the residual with one value per "
    "prompt and arm; with complete pairs the standard error is that of the paired comparison and "
    "contains it."
)
