"""Table AA, not in the paper: its test over prompts between two trainings of one arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

RECORD = Record(
    title="A/A: the test of Tables 3 and 4 between two trainings of one arm.",
    caption="Two trainings of one arm differ in nothing but their seed. The share of such pairs "
    "that the paper's test over prompts calls different at its level of 5 %; it should be 5 %.",
    experiments=(1, 2, 5, 6),
    frames=("per_prompt", "selection"),
    kind="coefficient",
    columns={},
    labels=lambda paper: [],
    printed=False,
)


def make(experiments: Sequence[Any], *, per_prompt: pd.DataFrame, selection: pd.DataFrame) -> Body:
    """Rows: each metric over all configurations, then all metrics in each configuration, in all,
    and of the pairs whose rewards match.
    """
    import pandas as pd

    from pcpo.stats.null_rate import null_pairs, null_rate
    from pcpo.tables import matching
    from pcpo.tables.quality import METRIC_COLUMNS
    from pcpo.tables.table import Body, Column

    numbered = {n: e for n, e in labels.by_number(experiments).items() if n in RECORD.experiments}
    names = {e.name: n for n, e in numbered.items()}
    chosen = per_prompt[
        per_prompt["experiment"].isin(names) & per_prompt["metric"].isin(METRIC_COLUMNS)
    ]
    pairs = null_pairs(chosen)
    parts = [(f"all {m}", labels.METRICS[m], "all", pairs["metric"] == m) for m in METRIC_COLUMNS]
    parts += [
        (
            f"configuration {n} all",
            "all four",
            f"{n} ({e.description})",
            pairs["experiment"] == e.name,
        )
        for n, e in numbered.items()
    ]
    parts.append(("all all", "all four", "all", pairs["metric"].isin(METRIC_COLUMNS)))
    matched = matching.matched_seeds(pairs, selection)
    parts.append(("all matched", "all four", "all, rewards matched", matched))
    rows = [
        {"row": row, "metric": metric, "configuration": where} | null_rate(pairs[used])._asdict()
        for row, metric, where, used in parts
    ]
    columns = (
        Column("configuration", "Configuration", group=True),
        Column("metric", "Metric"),
        Column("pairs", "Comparisons"),
        Column("share", "Called different", lambda share, _: f"{100 * share:.0f} %"),
        Column("low", "95 % interval", _interval),
    )
    footnotes = [_NEEDS_TWO] if pairs.empty else [_TEST, _MATCHED, _INTERVAL]
    return Body(pd.DataFrame(rows), columns, tuple(footnotes))


def _interval(low: float, row: pd.Series) -> str:
    return f"{100 * low:.0f} to {100 * row['high']:.0f} %"


_NEEDS_TWO = (
    "'-': no data. A pair is of two training runs of one arm, and there is one run per arm "
    "(seeds in config/config.yaml)."
)
_TEST = (
    "Value ~ run with a random intercept per prompt, REML, Wald z, p below 0.05: the model of "
    "Table 4, and of an effect in Table 3. A pair is two training seeds of one arm in one "
    "configuration, each at the checkpoint that is matched in reward to the other arm of its seed."
)
_MATCHED = (
    "Rewards matched: pairs whose selection rewards differ by no more than the configuration's "
    "tolerance, the one that compared arms are held to."
)
_INTERVAL = (
    "The pairs share runs. The interval is Wilson's for as many independent pairs as there are "
    "disjoint ones, which is rather too wide than too narrow (Hoeffding 1963)."
)
