import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pcpo.stats.holm import holm
from pcpo.tables.build import build
from tests import fabricated


@pytest.fixture(scope="module")
def per_prompt():
    return fabricated.metrics()[1]


def make(name, per_prompt):
    frames = {"per_prompt": per_prompt, "selection": fabricated.selection()}
    return build(name, fabricated.experiments(), frames)


def several_seeds(per_prompt):
    """Three training seeds; every run is shifted as a whole."""
    rng = np.random.default_rng(0)
    parts = []
    for seed in range(3):
        part = per_prompt.assign(seed=seed)
        cells = part["experiment"] + part["arm"] + part["metric"]
        shifts = dict(zip(cells.unique(), rng.normal(0, 4, cells.nunique()), strict=True))
        noise = rng.normal(0, 1, len(part))
        parts.append(part.assign(value=part["value"] + cells.map(shifts) + noise))
    return pd.concat(parts, ignore_index=True)


def test_table_4_is_the_paired_t_test_and_holm_over_its_metrics(per_prompt):
    table = make("table4", per_prompt)
    rows = table.frame.set_index("row")
    for number, model in ((5, "SD1.4"), (6, "FLUX")):
        expected = []
        for metric in fabricated.METRIC_COLUMNS:
            chosen = per_prompt[
                (per_prompt["experiment"] == fabricated.name(number))
                & (per_prompt["metric"] == metric)
            ]
            wide = chosen.pivot(index="prompt_id", columns="arm", values="value")
            expected.append(stats.ttest_rel(wide["pcpo"], wide["baseline"]).pvalue)
        found = rows.loc[[f"{model} {metric}" for metric in fabricated.METRIC_COLUMNS]]
        np.testing.assert_allclose(found["p_satterthwaite"], expected, rtol=1e-6)
        np.testing.assert_allclose(found["p_holm"], holm(expected), rtol=1e-6)
        assert (found["p_value"] < found["p_satterthwaite"]).all()  # z against t
    assert "p_random_slope" not in [column.name for column in table.columns]
    assert any("cannot be separated from the residual" in note for note in table.notes)


def test_table_3_corrects_each_effect_over_the_metrics(per_prompt):
    table = make("table3", per_prompt)
    for suffix in ("", "_two_tasks"):
        for _, rows in table.frame.groupby("effect"):
            assert len(rows) == 4
            expected = holm(rows[f"p_satterthwaite{suffix}"])
            np.testing.assert_array_equal(rows[f"p_holm{suffix}"], expected)
    shown = [column.name for column in table.columns]
    assert shown[3:7] == ["p_value", "p_satterthwaite", "p_holm", "p_random_slope"]
    assert table.frame["p_random_slope"].notna().all()
    assert any("exchange its FD-DINOv2 rows" in note for note in table.notes)


def test_both_fits_are_printed_where_they_differ(per_prompt):
    agreeing = " ".join(make("table4", per_prompt).notes)
    assert "statsmodels and the profiled REML agree to 0.0001" in agreeing
    gaps = per_prompt.copy()
    gaps.loc[gaps.sample(len(gaps) // 8, random_state=0).index, "value"] = np.nan
    table = make("table4", gaps)
    note = next(note for note in table.notes if "where they differ" in note)
    rows = table.frame.set_index("row")
    row = rows.loc[(rows["std_error"] / rows["reml_std_error"] - 1).abs().idxmax()]
    assert f"{row['std_error']:.5g} / {row['reml_std_error']:.5g}" in note
    assert row["std_error"] != pytest.approx(row["reml_std_error"], rel=1e-4)


def test_with_several_seeds_the_answer_over_runs_stands_beside(per_prompt):
    one, several = make("table4", per_prompt), make("table4", several_seeds(per_prompt))
    assert (several.frame["run_std_error"] > several.frame["std_error"]).any()
    assert (several.frame["runs"] == 3).all()
    assert (several.frame["n_obs"] == 24).all()  # of means over seeds, as the paper's model
    assert any("Several training seeds" in note for note in several.notes)
    assert not any("Several training seeds" in note for note in one.notes)
    shown = [[column.name for column in table.columns] for table in (one, several)]
    assert [*shown[0], "run_coef", "run_std_error", "p_run", "p_random_run"] == shown[1]
    three = make("table3", several_seeds(per_prompt))
    assert "p_run" in [column.name for column in three.columns]


def test_configurations_are_compared_over_the_seeds_that_all_have(per_prompt):
    """Seeds of one configuration alone do not change Table 3; they count in its own Table 4."""
    several = several_seeds(per_prompt)
    more = several[several["seed"] < 2]
    extra = several[(several["seed"] == 2) & (several["experiment"] == fabricated.name(1))]
    with_extra = pd.concat([more, extra.assign(value=extra["value"] * 9)], ignore_index=True)
    expected, found = (make("table3", data).frame for data in (more, with_extra))
    compared = ["coef", "p_value", "run_coef", "p_run", "run_coef_two_tasks", "runs_two_tasks"]
    pd.testing.assert_frame_equal(found[compared], expected[compared])
    assert (found["runs"] == 2).all()
    own = several[several["experiment"].map(fabricated.name(5).__eq__) | (several["seed"] < 2)]
    runs = make("table4", own).frame.groupby("number")["runs"].unique()
    assert runs.loc[5].tolist() == [3] and runs.loc[6].tolist() == [2]
