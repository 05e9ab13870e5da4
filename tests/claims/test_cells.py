from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pcpo.claims.cells import compare, judge, statement_of, summary
from pcpo.claims.verdict import CELL_VERDICTS
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


def speedup(low, high, value=10.0):
    cells = {"row": "configuration 1 level 1", "speedup_pct": value, "baseline_epochs": 20.0}
    cells |= {"pcpo_epochs": 18.0, "speedup_low": low, "speedup_high": high}
    return (
        "table10",
        pd.DataFrame([cells]).set_index("row"),
        "configuration 1 level 1",
        "speedup_pct",
    )


def coefficient(coef, p, converged=True, note="", df=np.nan):
    """`p` is Wald's."""
    cells = {"row": "Algorithm fid", "coef": coef, "p_value": p, "converged": converged}
    z = stats.norm.isf(p / 2)
    cells |= {"std_error": abs(coef) / z, "df": df, "p_satterthwaite": 2 * stats.t.sf(z, df)}
    frame = pd.DataFrame([cells | {"note": note}]).set_index("row")
    return "table3", frame, "Algorithm fid", "coef"


def paired(difference, error, overall=None, unmatched="", side=0):
    overall = difference if overall is None else overall
    cells = {"fid_prompt_difference": difference, "fid_prompt_difference_se": error}
    cells["fid_prompts"] = 45
    rows = [
        {"row": "full baseline", "fid": 30.0},
        {"row": "full pcpo", "fid": 30.0 + overall, "fid_prompts": 45, "unmatched": unmatched}
        | cells
        | {"side": side},
    ]
    return "table2a", pd.DataFrame(rows).set_index("row"), "full pcpo", "fid"


@pytest.mark.parametrize(
    ("cell", "verdict", "reason"),
    [
        (speedup(2.0, 30.0), "holds", "above 0"),
        (speedup(-30.0, -2.0), "fails", "below 0"),
        (speedup(-2.0, 30.0), "undecided", "contains 0"),
        (speedup(np.nan, np.nan, np.nan), "not measured", "neither"),
        (speedup(5.0, np.inf), "holds", "inf"),
        (coefficient(-3.0, 0.01), "holds", "p = 0.01"),
        (coefficient(3.0, 0.01), "fails", "p = 0.01"),
        (coefficient(-3.0, 0.06), "undecided", "not below"),
        (coefficient(-3.0, 0.01, df=3), "undecided", "p = 0.0821 (t; Wald z 0.01) is not below"),
        (coefficient(-3.0, 0.01, df=30), "holds", "p = 0.0152 (t; Wald z 0.01)"),
        (coefficient(-3.0, 0.01, converged=False), "undecided", "converge"),
        (coefficient(np.nan, np.nan, False, "too few groups"), "not measured", "too few groups"),
        (paired(-2.0, 0.5), "holds", "t = -4.00"),
        (paired(2.0, 0.5), "fails", "t = 4.00"),
        (paired(-0.9, 0.5), "undecided", "within noise"),
        (paired(-2.0, np.nan), "undecided", "no noise estimate"),
        (paired(-2.0, 0.5, overall=1.0), "undecided", "disagree"),
        (paired(-2.0, 0.5, overall=np.nan), "not measured", "no value"),
        (paired(0.0, 0.0), "undecided", "within noise"),
        (paired(-1.0, 0.0), "holds", "-inf"),
        (paired(-0.99, 0.5), "undecided", "t = -1.98"),  # 45 prompts: t's 2.015, not 1.96
        (paired(-2.0, 0.5, unmatched="not matched"), "undecided", "not matched"),
        (paired(-2.0, 0.5, unmatched="not matched", side=1), "holds", "against it"),
        (paired(-2.0, 0.5, unmatched="not matched", side=-1), "undecided", "not matched"),
        (paired(2.0, 0.5, unmatched="not matched", side=-1), "fails", "against it"),
        (paired(2.0, 0.5, unmatched="not matched", side=1), "undecided", "not matched"),
    ],
)
def test_verdicts_and_their_reasons(cell, verdict, reason):
    name, frame, row, column = cell
    stated = statement_of(name, read_published(PUBLISHED, name), row, column)
    found = judge(name, frame, row, column, stated)
    assert found[0] == verdict
    assert reason in found[1]


def tables(tmp_path):
    """All tables of fabricated frames, as they come back from their .csv."""
    overall, per_prompt = fabricated.metrics()
    curves = {"baseline": np.linspace(1, 3, 60), "pcpo": np.linspace(1, 4, 60)}
    data = {
        "updates": pd.concat([fabricated.updates(curves, n, noise=0.02) for n in (1, 2, 3, 5)]),
        "overall": overall,
        "per_prompt": per_prompt,
        "selection": fabricated.selection(),
        "alignment": fabricated.alignment(),
    }
    read = {}
    for name in TABLES:
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
    with pytest.raises(ValueError, match="table3: the table lacks the columns"):
        compare({"table3": pd.DataFrame({"row": ["a"], "coef": [1.0]})}, PUBLISHED, "demo")
