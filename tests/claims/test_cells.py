from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pcpo.claims.cells import compare, judge, statement_of, summary
from pcpo.claims.words import CELL_VERDICTS
from pcpo.tables import TABLES
from pcpo.tables.build import build, needs
from pcpo.tables.published import read_published
from tests import fabricated

PUBLISHED = Path(__file__).parents[2] / "config" / "paper"


def statement(table, row, column):
    return statement_of(table, read_published(PUBLISHED, table), row, column).text


@pytest.mark.parametrize(
    ("table", "row", "column", "text"),
    [
        ("table1", "configuration 6", "speedup_pct", "speed-up > 0"),
        ("table1", "configuration 6", "pcpo_epochs", "none"),
        (
            "table10",
            "configuration 3 level 4",
            "speedup_pct",
            "speed-up < 0",
        ),  # BERTScore half at 0.49
        ("table2a", "full pcpo", "fid", "PCPO < baseline"),
        ("table2a", "full baseline", "fid", "none"),
        ("table2a", "full pcpo", "is_star", "PCPO < baseline"),
        ("table2a", "full pcpo", "lpips_diversity", "PCPO > baseline"),
        ("table2b", "FLUX pcpo", "lpips_diversity", "none"),
        ("table3", "Algorithm fid", "coef", "coefficient < 0"),
        ("table3", "Algorithm fd_dinov2", "coef", "none"),  # p = 0.247
        ("table3", "Interaction lpips_diversity", "coef", "coefficient > 0"),
        ("table4", "FLUX fd_dinov2", "coef", "coefficient < 0"),
        ("table5a", "SD1.4 pcpo", "hpsv2_1", "PCPO > baseline"),
        ("table5a", "SD1.4 pcpo", "aesthetic", "none"),  # a tie in print
        ("table5a", "FLUX pcpo", "clipscore", "none"),  # 0.369 against 0.373
        ("table9", "PCPO gain", "pickscore", "PCPO > base"),
        ("table9", "SSPO gain", "pickscore", "none"),
    ],
)
def test_claims_are_those_of_the_paper(table, row, column, text):
    assert statement(table, row, column) == text


def speedup(low, high, value=10.0, runs=4, baseline_reached=None):
    cells = {"row": "configuration 1 level 1", "speedup_pct": value, "baseline_epochs": 20.0}
    cells |= {"pcpo_epochs": 18.0, "speedup_low": low, "speedup_high": high, "runs": runs}
    cells |= {"pcpo_reached": runs}
    cells["baseline_reached"] = runs if baseline_reached is None else baseline_reached
    return (
        "table10",
        pd.DataFrame([cells]).set_index("row"),
        "configuration 1 level 1",
        "speedup_pct",
    )


def coefficient(coef, p, converged=True, note="", runs=1, run_error=1.0, unmatched=""):
    """`p` is Wald's, over prompts; over runs the error is `run_error`."""
    cells = {"row": "Algorithm fid", "coef": coef, "p_value": p, "converged": converged}
    z = stats.norm.isf(p / 2)
    cells |= {"std_error": abs(coef) / z, "df": np.nan, "p_satterthwaite": np.nan}
    cells |= {"n_groups": 45, "runs": runs, "run_coef": coef, "run_std_error": run_error}
    cells |= {"p_run": 2 * stats.t.sf(abs(coef) / run_error, runs - 1), "unmatched": unmatched}
    frame = pd.DataFrame([cells | {"note": note}]).set_index("row")
    return "table3", frame, "Algorithm fid", "coef"


def paired(difference, error, overall=None, unmatched="", runs=4, run_error=None):
    overall = difference if overall is None else overall
    cells = {"fid_prompt_difference": difference, "fid_prompt_difference_se": error}
    cells |= {"fid_prompts": 45, "fid_runs": runs, "fid_run_difference": difference}
    cells |= {"fid_run_se": error if run_error is None else run_error, "fid_reference": 30.0}
    rows = [
        {"row": "full baseline", "fid": 30.0},
        {"row": "full pcpo", "fid": 30.0 + overall, "unmatched": unmatched} | cells,
    ]
    return "table2a", pd.DataFrame(rows).set_index("row"), "full pcpo", "fid"


@pytest.mark.parametrize(
    ("cell", "verdict", "reason"),
    [
        (speedup(2.0, 18.0), "holds", "interval 2.0 to 18.0"),
        (speedup(-30.0, -2.0, -17.0), "fails", "-30.0 to -2.0"),
        (speedup(-2.0, 22.0), "undecided", "contains 0"),
        (speedup(2.0, 18.0, runs=1), "one run", "2.0 to 18.0"),
        (speedup(5.0, np.inf, runs=1), "one run", "inf"),
        (
            speedup(2.0, 18.0, runs=8, baseline_reached=7),
            "holds",
            "baseline at the level in 7 of 8 r",
        ),
        (
            speedup(2.0, 18.0, runs=8, baseline_reached=0),
            "holds",
            "baseline at the level in none of",
        ),
        (speedup(2.0, 18.0, runs=1, baseline_reached=0), "one run", "baseline never at the level"),
        (speedup(np.nan, np.nan, np.nan), "not measured", "neither"),
        (coefficient(-6.0, 0.01, runs=4), "holds", "over 4 runs p = 0.00927 (t); over prompts"),
        (coefficient(6.0, 0.01, runs=4), "fails", "over 4 runs"),
        (coefficient(-6.0, 0.01, runs=4, unmatched="not matched"), "undecided", "not matched"),
        # Of prompts significant, of runs not.
        (coefficient(-2.0, 0.01, runs=4), "undecided", "over 4 runs p = 0.139 (t)"),
        (coefficient(-2.0, 0.01), "one run", "over prompts p = 0.01 (Wald z)"),
        (coefficient(-2.0, 0.01, converged=False), "one run", "converge"),
        (coefficient(np.nan, np.nan, False, "too few groups"), "not measured", "too few groups"),
        (paired(-2.0, 0.5), "holds", "over 4 runs per arm -2"),
        (paired(2.0, 0.5), "fails", "over 4 runs per arm +2"),
        (paired(-2.0, 0.1, run_error=0.7), "undecided", "contains 0"),  # over prompts it shows
        (paired(-2.0, 0.5, overall=1.0), "undecided", "disagree"),
        (paired(-2.0, 0.5, overall=np.nan), "not measured", "no value"),
        (paired(np.nan, np.nan, overall=1.0), "not measured", "no value"),
        (paired(0.0, 0.0), "undecided", "contains 0"),
        (paired(-1.0, 0.0), "holds", "-1"),
        (paired(-2.0, 0.5, unmatched="not matched"), "undecided", "not matched"),
        (paired(-2.0, 0.5, runs=1), "one run", "over 45 prompts -2"),
        (paired(-2.0, np.nan, runs=1), "one run", "1 prompt"),
    ],
)
def test_verdicts_and_their_reasons(cell, verdict, reason):
    name, frame, row, column = cell
    stated = statement_of(name, read_published(PUBLISHED, name), row, column)
    found = judge(name, frame, row, column, stated)
    assert found[0] == verdict
    assert reason in found[1]


def tables(tmp_path, seeds=(0, 1, 2), names=tuple(TABLES)):
    """All tables of fabricated frames, as they come back from their .csv."""
    measured = [fabricated.metrics(seed=s) for s in seeds]
    overall, per_prompt = (
        pd.concat(f[i].assign(seed=s) for f, s in zip(measured, seeds, strict=True)) for i in (0, 1)
    )
    runs = []
    for seed in seeds:
        curves = {"baseline": np.linspace(1, 3, 60), "pcpo": np.linspace(1, 4 + 0.1 * seed, 60)}
        runs += [fabricated.updates(curves, n, seed, noise=0.02) for n in (1, 2, 3, 5)]
    scores = [fabricated.alignment(seed=s).assign(seed=s) for s in seeds]
    base = [f[(f["arm"] != "base") | (f["seed"] == seeds[0])] for f in scores]
    data = {
        "updates": pd.concat(runs),
        "overall": overall,
        "per_prompt": per_prompt,
        "selection": pd.concat(fabricated.selection().assign(seed=s) for s in seeds),
        "alignment": pd.concat(base),
    }
    read = {}
    for name in names:
        published = (
            {"published": read_published(PUBLISHED, name)} if "published" in needs(name) else {}
        )
        build(name, fabricated.experiments(), data | published).write(tmp_path / name)
        read[name] = pd.read_csv(tmp_path / f"{name}.csv")
    return read


def test_every_published_number_gets_a_verdict(tmp_path):
    compared = compare(tables(tmp_path), PUBLISHED, "demo")
    assert set(compared["verdict"]) <= set(CELL_VERDICTS)
    assert not compared["comparable"].any()
    assert compared.duplicated(["table", "row", "column"]).sum() == 0
    # 4 x 4, 4 x 4, 4 x 4, 12 x 2, 8 x 2, twice 6 x 5 + 4 epochs, 12 x 4, 24 x 4
    assert len(compared) == 16 + 16 + 16 + 24 + 16 + 34 + 34 + 48 + 96

    cells = compared.set_index(["table", "row", "column"])
    fid = cells.loc["table2a", "full pcpo", "fid"]
    assert fid["paper"] == 22.06
    assert fid["verdict"] == "holds"
    # The fabricated PCPO lowers all four metrics, which goes against the paper's LPIPS claim.
    assert cells.loc[("table2a", "full pcpo", "lpips_diversity"), "verdict"] == "fails"
    assert cells.loc[("table10", "configuration 3 level 4", "speedup_pct"), "verdict"] == "fails"
    assert cells.loc[("table10", "configuration 1 level 1", "speedup_pct"), "verdict"] == "holds"
    missing = cells.loc["table10", "configuration 6 level 1", "speedup_pct"]
    assert missing["verdict"] == "not measured"
    assert np.isnan(missing["ours"])
    assert cells.loc[("table9", "SSPO final", "hpsv2"), "verdict"] == "not measured"

    few = ("table1", "table2a", "table5a")
    one = compare(tables(tmp_path, seeds=(0,), names=few), PUBLISHED, "demo")
    assert not {"holds", "fails", "undecided"} & {*one["verdict"]}
    assert (one["verdict"] == "one run").sum() > 10

    counts = summary(compared)
    assert counts.to_numpy().sum() == len(compared)
    assert list(counts.index) == list(dict.fromkeys(compared["table"]))


def test_tables_that_are_not_given_are_not_measured():
    compared = compare({}, PUBLISHED, "paper")
    assert (compared["verdict"] == "not measured").all()
    assert compared["comparable"].all()


def test_errors_name_the_file_or_the_columns(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"table1\.csv"):
        compare({}, tmp_path, "demo")
    whole = tables(tmp_path, names=("table2a", "table3", "table10"))
    for name, column in (
        ("table2a", "fid_prompt_difference"),
        ("table2a", "is_star_runs"),
        ("table3", "runs"),
        ("table10", "pcpo_reached"),
    ):
        lacking = {name: whole[name].drop(columns=column)}
        with pytest.raises(
            ValueError, match=rf"{name}: the table lacks the columns \['{column}'\]"
        ):
            compare(lacking, PUBLISHED, "demo")
    with pytest.raises(ValueError, match="table3: the table lacks the columns"):
        compare({"table3": pd.DataFrame({"row": ["a"], "coef": [1.0]})}, PUBLISHED, "demo")
