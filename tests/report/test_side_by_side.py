from pathlib import Path

import pytest

from pcpo.claims.cells import compare
from pcpo.report.side_by_side import read_compared, side_by_side
from tests.report.conftest import TABLE1

PUBLISHED = Path("config/paper")
NAMES = ("table1", "table2a", "table2b", "table3", "table4", "table5a", "table5b", "table9")
NAMES += ("table10",)


@pytest.fixture
def path(tmp_path):
    compare({"table1": TABLE1}, PUBLISHED, "demo").to_csv(tmp_path / "compare.csv", index=False)
    return tmp_path / "compare.csv"


def test_the_papers_number_is_as_printed_and_ours_beside_it(path):
    table = side_by_side("table1", read_compared(path), PUBLISHED, {}, path)
    labels, cells = table.rows[0]
    assert [label.text for label in labels] == ["DDPO", "Aesthetics"]
    assert [(cell.paper, cell.ours) for cell in cells] == [
        ("6.90", "5.816"),
        ("147", "17"),
        ("118", "12"),
        ("24.6", "41.67"),
    ]
    assert [cells[3].verdict for _, cells in table.rows] == [
        "holds",
        "undecided",
        "fails",
        "undecided",
    ]
    assert table.counts == {"holds": 1, "fails": 1, "undecided": 2}
    assert not cells[0].judged


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_the_papers_table_is_there(path, name):
    compared = read_compared(path)
    table = side_by_side(name, compared, PUBLISHED, {}, path)
    shown = [cell for _, cells in table.rows for cell in cells if cell.paper]
    assert len(shown) == (compared["table"] == name).sum() > 0
    lines = (PUBLISHED / f"{name}.csv").read_text().splitlines()
    assert len(table.rows) == len(lines) - 1


def test_what_was_measured_is_beside_the_metric(path):
    compared = read_compared(path)
    measured = {"fid": "FD quality network", "is_star": "IS quality network"}
    columns = side_by_side("table2a", compared, PUBLISHED, measured, path).quantities
    assert columns[0] == ("FID", "FD quality network")
    rows = side_by_side("table3", compared, PUBLISHED, measured, path).rows
    assert rows[0][0][1] == ("FID", "FD quality network")
    assert rows[1][0][1] == ("FD-DINOv2", "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("undecided", "maybe", "row 4, verdict: 'maybe'|row 8, verdict: 'maybe'"),
        ("table,row", "tabel,row", "columns table are missing"),
        (
            "table1,configuration 4,baseline_epochs",
            "table1,configuration 2,baseline_epochs",
            "occurs twice",
        ),
    ],
)
def test_a_comparison_that_is_not_one_is_refused(path, old, new, message):
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf"compare\.csv.*({message})"):
        read_compared(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "table1,configuration 2,",
            "table1,configuration 11,",
            "row 'configuration 11', which the paper's lacks",
        ),
        ("24.6,41.666667", "24.6,fast", "row 4, ours: 'fast' is no number"),
    ],
)
def test_cells_that_cannot_be_are_refused(path, old, new, message):
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf"compare\.csv.*{message}"):
        side_by_side("table1", read_compared(path), PUBLISHED, {}, path)
