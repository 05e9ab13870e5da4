import pytest

from pcpo.claims import ledger
from pcpo.report.ledger import COLUMNS, counts, empirical, grouped, read_ledger
from tests.report.conftest import CLAIMS

GOOD = dict(
    zip(
        CLAIMS,
        (
            *("fast-2", "Speed", "Faster.", "Table 1", "speed-up; configuration 2"),
            *("configuration 2", 41.7, 20, 50, "1 run", "holds", "above 0"),
            *("fast", "fails", "higher", "24.6 %", "", "empirical", "False", "sentence"),
        ),
        strict=True,
    )
)
ALONE = {"group": "Credit", "claim_id": "c", "claim_verdict": "not run at this scale"}
ABSENT = {"estimate": None, "low": None, "high": None, "verdict": "not run at this scale"}


def row(**cells):
    return tuple((GOOD | cells).values())


def test_claims_in_their_order_with_their_parts(write_claims):
    slower = row(id="fast-4", setting="configuration 4", verdict="fails", low=None, estimate=0)
    path = write_claims(row(), slower, row(id="c 2", **ALONE, **ABSENT))
    fast, other = read_ledger(path)
    assert (fast.id, fast.kind, fast.quantity, fast.paper) == (
        "fast",
        "fails",
        "speed-up",
        "24.6 %",
    )
    assert [part.id for part in fast.parts] == ["fast-2", "fast-4"]
    assert [part.kind for part in fast.parts] == ["holds", "fails"]
    assert [part.bounded for part in fast.parts] == [True, False]
    assert fast.counts == {"holds": 1, "fails": 1}
    assert (other.anchor, other.kind) == ("claim-c", "not run")
    assert counts([fast, other]) == {
        "holds": 0,
        "fails": 1,
        "undecided": 0,
        "one run": 0,
        "not run": 1,
    }
    table = row(id="fast-5", verdict="fails", claimed="lower", judged_by="table")
    (beside,) = read_ledger(write_claims(table, row(), name="table.csv"))
    assert (beside.claimed, beside.counts) == ("higher", {"holds": 1})
    assert [(part.claimed, part.by_table) for part in beside.parts] == [
        ("lower", True),
        ("higher", False),
    ]
    algebra = row(id="a", claim_id="a", kind="algebra", primary="True")
    one, two = read_ledger(write_claims(row(), algebra, name="more.csv"))
    assert empirical([one, two]) == [one]
    assert (one.primary, two.primary) == (False, True)
    assert {name: len(group) for name, group in grouped([fast, other]).items()} == {
        "Speed": 1,
        "Credit": 1,
    }


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"id": "x", "verdict": "perhaps"}, "row 2, verdict: 'perhaps' is unknown; known: holds"),
        ({"id": "x", "verdict": "not run"}, "row 2, verdict: 'not run' is unknown"),
        ({"id": "x", "claim_verdict": ""}, "row 2, claim_verdict: '' is unknown"),
        ({"id": "x", "kind": "sums"}, "row 2, kind: 'sums' is unknown; known: empirical, algebra"),
        ({"id": "x", "judged_by": "us"}, "row 2, judged_by: 'us' is unknown; known: sentence"),
        ({}, "row 2, id: 'fast-2' is empty or occurs twice"),
        ({"id": ""}, "row 2, id"),
        ({"id": "x", "low": 60}, "row 2: low 60.0 lies above high 50.0"),
        ({"id": "x", "estimate": "many"}, "row 2, estimate: 'many' is no number"),
        (
            {"id": "x", "claim_verdict": "holds"},
            "row 2: the rows of claim 'fast' differ in its ver",
        ),
        ({"id": "x", "claim": "Slower."}, "row 2: the rows of claim 'fast' differ in its claim"),
    ],
)
def test_a_broken_ledger_is_refused_by_name_and_row(write_claims, cells, message):
    with pytest.raises(ValueError, match=rf"claims\.csv: {message}"):
        read_ledger(write_claims(row(), row(**cells)))


@pytest.mark.parametrize("text", ["", "id,claim\na,b\n", 'id,claim\n"a,b\n'])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "claims.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"claims\.csv.*make it again"):
        read_ledger(path)


def test_the_columns_are_those_that_the_ledger_is_written_with():
    assert set(COLUMNS) == set(CLAIMS) <= set(ledger.COLUMNS)
