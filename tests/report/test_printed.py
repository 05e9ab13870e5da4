import pandas as pd
import pytest

from pcpo.report.printed import read_printed
from pcpo.tables.table import Column, Table


def test_reads_what_tables_write(tmp_path):
    frame = pd.DataFrame({"row": ["a", "b"], "kind": ["x | y", "z"], "value": [1.5, -2.0]})
    columns = (
        Column("kind", "Kind", group=True),
        Column("value", "Value", "{:.2f}", "as measured"),
    )
    Table("t", "A title.", frame, columns, ("First.", "Second: 1. with a number.")).write(
        tmp_path / "t"
    )
    printed = read_printed(tmp_path / "t.md")
    assert printed.title == "A title."
    assert printed.header == ("Kind", "Value (as measured)")
    assert printed.numeric == (False, True)
    assert printed.rows == (("x | y", "1.50"), ("z", "-2.00"))
    assert printed.notes == ("First.", "Second: 1. with a number.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no title\n\n| a |\n| --: |\n",
        "**t**\n\n| a | b |\n| --: |\n",
        "**t**\n\n| a |\n| what |\n",
        "**t**\n\n| a | b |\n| :-- | --: |\n| 1 |\n",
    ],
)
def test_other_texts_are_refused_by_name(tmp_path, text):
    path = tmp_path / "table3.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"table3\.md"):
        read_printed(path)


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path):
    path = tmp_path / "table3.md"
    path.write_bytes(b"**\xff**")
    with pytest.raises(ValueError, match=r"table3\.md.*UTF-8"):
        read_printed(path)
