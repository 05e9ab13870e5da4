"""The labels of rows against the paper's own tables."""

import pandas as pd
import pytest

from pcpo.tables import TABLES, labels

TABLE7 = pd.read_csv("config/paper/table7_wide.csv", dtype=str).set_index("parameter")


def test_labels_have_the_values_of_table_7():
    for number, paper in labels.PAPER.items():
        column = TABLE7[f"configuration_{number}"]
        assert labels.ALGORITHMS[paper.algorithm] == column["Baseline algorithm"]
        assert labels.MODELS[paper.model] == column["Base model"].removesuffix(".1-dev")
        assert paper.images == int(column["Images per iteration"])
        assert paper.updates == int(column["Gradient updates"])
        assert paper.reward.upper().startswith(column["Reward"].upper())
    assert list(labels.PAPER) == list(range(1, 11))


@pytest.mark.parametrize("name", ["table1", "table10"])
def test_rows_are_named_as_in_the_paper(name):
    published = pd.read_csv(f"config/paper/{name}.csv")
    numbers = TABLES[name].experiments
    ours = {
        "table1": [(labels.baseline(n, None, numbers), labels.SHORT_REWARDS[n]) for n in numbers],
        "table10": [(labels.framework(n, None), labels.setting(n, None)) for n in numbers],
    }[name]
    assert list(dict.fromkeys(published.iloc[:, :2].itertuples(index=False, name=None))) == ours
