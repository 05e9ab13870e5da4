"""The records of the tables: what every other part knows of a table comes from its one file."""

import importlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pcpo import tables
from pcpo.claims.cells import compare
from pcpo.records import frames
from pcpo.tables import TABLES
from pcpo.tables.build import build
from pcpo.tables.published import read_published
from tests import fabricated

PRINTED = [name for name, record in TABLES.items() if record.printed]
PUBLISHED = Path(__file__).parents[2] / "config" / "paper"

OWN = """
from pcpo.tables import directions
from pcpo.tables.record import Record

RECORD = Record(
    title="Mean reward of the first epoch.",
    caption="One number a configuration.",
    experiments=(2,),
    frames=("updates",),
    kind="gain",
    columns={"reward": directions.printed_sign},
    labels=lambda paper: paper["who"] + " gain",
)


def make(experiments, *, updates):
    from pcpo.tables.table import Body, Column

    frame = updates.iloc[[0]][["reward_mean"]].rename(columns={"reward_mean": "reward"})
    noise = {"reward_prompt_difference": 1.0, "reward_prompt_difference_se": 0.1}
    frame = frame.assign(row="PCPO gain", **noise, reward_prompts=9)
    runs = {"reward_runs": 3, "reward_run_difference": 1.0, "reward_run_se": 0.1}
    return Body(frame.assign(**runs), (Column("reward", "Reward", "{:.1f}"),))
"""


@pytest.fixture
def table11(tmp_path, monkeypatch):
    """A further table: one file as in the folder of tables, and one of the paper's."""
    (tmp_path / "table11.py").write_text(OWN)
    (tmp_path / "table11.csv").write_text("who,reward\nPCPO,2.5\n")
    for name in PRINTED:
        (tmp_path / f"{name}.csv").write_bytes((PUBLISHED / f"{name}.csv").read_bytes())
    monkeypatch.setattr(tables, "__path__", [*tables.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    found = tables.find()
    monkeypatch.setitem(TABLES, "table11", found["table11"])
    yield tmp_path
    sys.modules.pop("pcpo.tables.table11", None)
    vars(tables).pop("table11", None)


def test_one_file_and_one_csv_add_a_table(table11):
    assert list(tables.find()) == [*PRINTED, "table11", "table_aa"]
    table = build(
        "table11", fabricated.experiments(), {"updates": fabricated.updates({"pcpo": [4]})}
    )
    assert (table.name, table.title) == ("table11", "Mean reward of the first epoch.")
    assert table.cells() == [["4.0"]]
    compared = compare({"table11": table.frame}, table11, "demo")
    cell = compared[compared["table"] == "table11"].iloc[0]
    assert (cell["row"], cell["paper"], cell["claim"]) == ("PCPO gain", 2.5, "PCPO > base")
    assert cell["verdict"] == "holds"


def test_tables_are_in_the_papers_order():
    assert list(TABLES)[-3:] == ["table9", "table10", "table_aa"]
    assert list(TABLES)[:3] == ["table1", "table2a", "table2b"]


def test_a_file_without_a_record_is_named(table11):
    (table11 / "table12.py").write_text("record = 1\n")
    with pytest.raises(ValueError, match=r"table12\.py: a table's file needs RECORD"):
        tables.find()
    sys.modules.pop("pcpo.tables.table12")


@pytest.mark.parametrize("record", TABLES.values(), ids=TABLES)
def test_a_record_names_known_frames(record):
    assert set(record.frames) <= set(frames.BY_NAME)


def test_the_records_load_nothing_heavy():
    """The Snakefile reads them at every start. No reading of imports sees what `find` loads."""
    code = (
        "import sys; import pcpo.tables;"
        "assert 'pcpo.tables.table10' in sys.modules;"
        "assert not {'torch', 'pandas', 'numpy', 'scipy', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model", "base", "lacks a column of pcpo/tables/table4.py: 'model'"),
        ("coef", "c", "lacks a column of pcpo/tables/table4.py"),
        ("FLUX", "SD1.4", "each row needs a label of its own"),
        ("FLUX", "", "each row needs a label of its own"),
    ],
)
def test_a_papers_table_that_does_not_fit_is_named(tmp_path, old, new, message):
    text = (PUBLISHED / "table4.csv").read_text()
    (tmp_path / "table4.csv").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"table4\.csv: .*" + message):
        read_published(tmp_path, "table4")


def test_labels_are_those_of_our_rows():
    """Of all tables in tests/tables/test_table.py; here those that are counted."""
    assert list(read_published(PUBLISHED, "table1").index) == [
        f"configuration {n}" for n in (2, 4, 5, 6)
    ]
    levels = read_published(PUBLISHED, "table10")
    number = levels.index.str.split().str[1]
    first = levels.index.str.endswith("level 1")
    highest = levels["reward_level"].set_axis(number)[first]
    of_each = levels.groupby(number)["reward_level"].max()
    pd.testing.assert_series_equal(highest, of_each, check_names=False)
