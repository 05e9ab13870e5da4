import json

import pytest

from pcpo.archive.steps import files_of, read_steps

IMAGES = "results/demo/images/a/pcpo/seed0"
FILES = [
    "results/demo/tables/table1.csv",
    "results/demo/tables/table1.md",
    "results/demo/tables/table10.csv",
    "results/demo/runs/a/pcpo/seed0/updates.parquet",
    f"{IMAGES}/index.csv",
    "results/demo/tidy/overall/a_seed0.parquet",
]


def no_problem(message):
    raise AssertionError(message)


def step(tmp_path, rule, *command, **files):
    record = {"rule": rule, "job": "x", "command": ["python", "-m", f"pcpo.cli.{rule}", *command]}
    (tmp_path / "x.json").write_text(json.dumps(record | {"start": "1", "end": "2"} | files))
    return read_steps(["x.json"], tmp_path, no_problem)[0]


@pytest.mark.parametrize(
    ("read", "wrote", "given", "made"),
    [
        ([FILES[3]], ["results/demo/tables/table1"], [3], [0, 1]),
        ([IMAGES], ["x/y"], [4], []),
        ([], ["results/demo/runs/a/pcpo/seed0"], [], [3]),
        ([IMAGES], [FILES[5]], [4], [5]),
        (["results/demo"], [FILES[0]], [1, 2, 3, 4, 5], [0]),
    ],
)
def test_what_a_step_read_and_wrote(tmp_path, read, wrote, given, made):
    found = files_of(step(tmp_path, "table", read=read, wrote=wrote), FILES)
    assert [sorted(names) for names in found] == [
        sorted(FILES[i] for i in numbers) for numbers in (given, made)
    ]


def test_an_older_record_has_no_files(tmp_path):
    assert files_of(step(tmp_path, "table", "--out", "results/demo/tables/table1"), FILES) == (
        [],
        [],
    )


def test_a_step_names_its_module_and_its_line(tmp_path):
    one = step(tmp_path, "table", "--note", "two words")
    assert one.module == "pcpo.cli.table"
    assert one.line == "python -m pcpo.cli.table --note 'two words'"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"rule": "a\xff"}', b"[" * 10**5])
def test_a_broken_record_is_named_and_costs_no_other(tmp_path, content):
    one = step(tmp_path, "table")
    (tmp_path / "y.json").write_bytes(content)
    printed = []
    assert read_steps(["y.json", "x.json"], tmp_path, printed.append) == [one]
    [message] = printed
    assert f"{tmp_path / 'y.json'}: no record of a job" in message


def test_a_flipped_bit_stops_no_archive(tmp_path):
    step(tmp_path, "table")
    whole = (tmp_path / "x.json").read_bytes()
    for position in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        (tmp_path / "x.json").write_bytes(damaged)
        printed = []
        assert len(read_steps(["x.json"], tmp_path, printed.append)) + len(printed) == 1
