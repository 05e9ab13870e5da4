"""The zip: the same bytes twice, and a clear refusal of anything that is not whole."""

import os
import random
import shutil
import subprocess
import sys
import zipfile

import pytest

from pcpo.archive.bundle import digests, open_archive, write
from tests.archive.finished import small
from tests.test_layers import reached

CONTENTS = {
    "config/a.yaml": b"a: 1\n" * 50,
    "results/demo/tidy/credit.parquet": bytes(range(256)) * 4,
    "results/demo/tables/table1.csv": b"made again",
    "results/demo/logs/train/x.log": b"12:00:00 done\n",
}


@pytest.fixture
def archive(tmp_path):
    return small(tmp_path / "archive.zip", CONTENTS)


def test_the_snakefile_reads_archives_with_the_standard_library_alone():
    others = {name for name in reached("pcpo.archive.rebuilt") if not name.startswith("pcpo")}
    assert others <= sys.stdlib_module_names


def everything(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_written_twice_it_is_the_same_whatever_the_order_and_the_time(archive, tmp_path):
    source = tmp_path / "a.yaml"
    source.write_bytes(CONTENTS["config/a.yaml"])
    os.utime(source, (10**9, 10**9))
    turned = dict(reversed((CONTENTS | {"config/a.yaml": source}).items()))
    assert small(tmp_path / "again.zip", turned).read_bytes() == archive.read_bytes()


def test_the_sums_are_those_of_sha256sum(archive, tmp_path):
    out = tmp_path / "out"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(out)
    check = ["sha256sum", "--check", "--strict", "--quiet", "manifest-sha256.txt"]
    assert subprocess.run(check, cwd=out).returncode == 0
    (out / "config" / "a.yaml").write_bytes(b"b: 1\n")
    assert subprocess.run(check, cwd=out, capture_output=True).returncode == 1


def test_opened_without_what_is_made_again(archive, tmp_path):
    opened = open_archive(archive, tmp_path / "into")
    assert (opened.scale, opened.experiments, opened.seeds) == ("demo", ("a",), (0,))
    there = everything(opened.folder)
    assert there.keys() >= CONTENTS.keys() - {"results/demo/tables/table1.csv"}
    assert "results/demo/tables/table1.csv" not in there
    assert all(there[name] == data for name, data in CONTENTS.items() if name in there)
    assert open_archive(archive, tmp_path / "into") == opened
    other = small(tmp_path / "archive.zip", CONTENTS | {"config/a.yaml": b"a: 2\n"})
    assert open_archive(other, tmp_path / "into").folder != opened.folder


def test_a_changed_frame_is_not_drawn_from(archive, tmp_path):
    folder = open_archive(archive, tmp_path / "into").folder
    (folder / "results/demo/logs/train/x.log").write_text("of a step that was done again")
    open_archive(archive, tmp_path / "into")
    (folder / "results/demo/tidy/credit.parquet").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"credit\.parquet is not what the archive holds; delete"):
        open_archive(archive, tmp_path / "into")


def altered(archive, change):
    """The archive with its entries changed by hand: name -> bytes."""
    with zipfile.ZipFile(archive) as opened:
        entries = {name: opened.read(name) for name in opened.namelist()}
    change(entries)
    with zipfile.ZipFile(archive, "w") as opened:
        for name, data in entries.items():
            opened.writestr(name, data)


def listed(name, data):
    """Put a file in, with its right sum."""

    def change(entries):
        sums = digests({name: data})
        entries[name] = data
        entries["manifest-sha256.txt"] += f"{sums[name]}  {name}\n".encode()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (listed("../outside.txt", b"x"), "names a file outside of its folder"),
        (listed("config/../../outside.txt", b"x"), "names a file outside of its folder"),
        (listed("/tmp/outside.txt", b"x"), "names a file outside of its folder"),
        (listed("..\\outside.txt", b"x"), "names a file outside of its folder"),
        (lambda e: e.update({"extra.txt": b"x"}), "its list of files is not what it holds"),
        (lambda e: e.pop("config/a.yaml"), "its list of files is not what it holds"),
        (lambda e: e.update({"config/a.yaml": b"x"}), "config/a.yaml is damaged"),
        (lambda e: e.update({"results/demo/tables/table1.csv": b"x"}), "table1.csv is damaged"),
        (lambda e: e.pop("archive.json"), "no archive that `snakemake archive` made"),
        (lambda e: e.pop("manifest-sha256.txt"), "no archive that `snakemake archive` made"),
        (lambda e: e.update({"manifest-sha256.txt": b"no sums"}), "damaged, cut off or no zip"),
        (lambda e: e.update({"archive.json": b"{"}), "cannot be understood"),
        (lambda e: e.update({"archive.json": b"[]"}), "cannot be understood"),
        (
            lambda e: e.update({"archive.json": e["archive.json"].replace(b"3", b"2")}),
            "an archive of format 2, this version reads 3",
        ),
        (
            lambda e: e.update({"archive.json": e["archive.json"].replace(b"demo", b"../x")}),
            "does not say of which run it is",
        ),
    ],
)
def test_a_foreign_or_changed_file_is_refused_and_leaves_nothing(
    archive, tmp_path, change, message
):
    altered(archive, change)
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=message) as refused:
        open_archive(archive, tmp_path / "into")
    assert "\n" not in str(refused.value)
    assert everything(tmp_path) == before
    assert list((tmp_path / "into").iterdir()) == []


def test_no_file_and_no_zip(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        open_archive(tmp_path / "archive.zip", tmp_path)
    (tmp_path / "archive.zip").write_text("<html>Not found</html>")
    with pytest.raises(ValueError, match="damaged, cut off or no zip file"):
        open_archive(tmp_path / "archive.zip", tmp_path)


def test_cut_anywhere_it_is_refused(archive, tmp_path):
    data = archive.read_bytes()
    for length in range(0, len(data), 97):
        archive.write_bytes(data[:length])
        with pytest.raises(ValueError, match="damaged, cut off or no zip file|no archive"):
            open_archive(archive, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_flipped_bit_is_refused_or_harmless(archive, tmp_path):
    """Harmless are bits that say nothing of the content, such as an entry's date."""
    whole = everything(open_archive(archive, tmp_path / "whole").folder)
    data, dice, refused = archive.read_bytes(), random.Random(5), 0
    for _ in range(400):
        broken = bytearray(data)
        broken[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        archive.write_bytes(broken)
        into = tmp_path / "into"
        try:
            assert everything(open_archive(archive, into).folder) == whole
        except ValueError:
            refused += 1
            assert list(into.iterdir()) == []
        shutil.rmtree(into)
    assert refused > 200


def test_a_file_that_changes_while_it_is_archived_leaves_the_older_archive(archive, tmp_path):
    source = tmp_path / "frame.csv"
    source.write_text("1")
    sums = digests({"frame.csv": source})
    source.write_text("2")
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=r"frame\.csv has changed while it was archived"):
        write(archive, {"frame.csv": source}, sums)
    assert everything(tmp_path) == before
