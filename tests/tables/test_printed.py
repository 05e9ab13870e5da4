import json

import pandas as pd
import pytest

from pcpo.records.values import read_json, to_json
from pcpo.tables.printed import PrintedTable
from pcpo.tables.table import Column, Table
from tests.hostile_prompts import HOSTILE


def test_the_json_has_what_the_markdown_shows(tmp_path):
    frame = pd.DataFrame({"row": ["a", "b"], "kind": ["x | y", "x | y"], "value": [1.5, -2.0]})
    columns = (
        Column("kind", "Kind", group=True),
        Column("value", "Value", "{:.2f}", "as measured"),
    )
    notes = ("First.", "Second: 1. with a number and <b>.")
    Table("t", "A title.", frame, columns, notes).write(tmp_path / "t")
    printed = read_json(tmp_path / "t.json", PrintedTable)
    assert printed.title == "A title."
    assert printed.header == ("Kind", "Value (as measured)")
    assert printed.numeric == (False, True)
    assert printed.rows == (("x | y", "1.50"), ("", "-2.00"))
    assert printed.notes == ("First.", "Second: 1. with a number and &lt;b>.")
    assert printed.to_markdown() == (tmp_path / "t.md").read_text()


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_of_a_cell_comes_back(text, tmp_path):
    table = PrintedTable("t", ("a",), (False,), ((text,),))
    (tmp_path / "t.json").write_text(to_json(table), encoding="utf-8")
    assert read_json(tmp_path / "t.json", PrintedTable) == table


WHOLE = {"title": "t", "header": ["a", "b"], "numeric": [True, False], "rows": [["1", "2"]]}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"[]", "Input should be"),
        ({"title": None}, "title: Input should be a valid string"),
        ({"header": "ab"}, "header: Input should be a valid array"),
        ({"rows": [["1", 2]]}, r"rows\.0\.1: Input should be a valid string"),
        ({"rows": [["1"]]}, "rows: row 1 has 1 cells and the header 2"),
        ({"numeric": [True]}, "numeric: 1 values for 2 columns"),
        ({"numeric": ["no", "yes"]}, r"numeric\.0: Input should be a valid boolean"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, damage, message):
    path = tmp_path / "table3.json"
    path.write_bytes(damage if isinstance(damage, bytes) else json.dumps(WHOLE | damage).encode())
    with pytest.raises(ValueError, match=rf"table3\.json: {message}.*; make it again"):
        read_json(path, PrintedTable)


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "table3.json"
    path.write_text(json.dumps({key: WHOLE[key] for key in ("title", "header", "numeric")}))
    with pytest.raises(ValueError, match=r"table3\.json: rows: "):
        read_json(path, PrintedTable)
