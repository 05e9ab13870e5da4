"""An archive is bounded before it is read, and what a killed unpacking left is deleted."""

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile

import pytest

from pcpo.archive import bundle
from pcpo.archive.bundle import FORMAT, digests, open_archive, write
from pcpo.records.replace import _host
from tests.archive.finished import small


@pytest.fixture
def archive(tmp_path):
    return small(tmp_path / "archive.zip", {"config/a.yaml": b"a: 1\n"})


def refused(archive, into, message):
    """That it is refused in one line with its name, that nothing is left, and in little memory."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=message) as caught:
        open_archive(archive, into)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert str(caught.value).startswith(str(archive))
    assert str(caught.value).isprintable()
    assert not into.exists() or list(into.iterdir()) == []


def zipped(path, entries, method=zipfile.ZIP_DEFLATED):
    """A zip with a right list of its files."""
    listed = "".join(f"{digest}  {name}\n" for name, digest in digests(entries).items())
    with zipfile.ZipFile(path, "w", method) as out:
        for name, data in {**entries, "manifest-sha256.txt": listed.encode()}.items():
            out.writestr(name, data)
    return path


def about(**changed):
    content = {"format": FORMAT, "scale": "demo", "experiments": ["a"], "seeds": [0]} | changed
    return {"archive.json": json.dumps(content).encode()}


def test_a_long_archive_json_is_not_read(tmp_path):
    for text in (b"[" * 90_000, b" " * 10**8):  # deep, and long: 100 kB in the zip
        archive = zipped(tmp_path / "archive.zip", {"archive.json": text})
        refused(archive, tmp_path / "into", r"archive\.json (cannot be|has more than 100,000)")


def test_no_more_is_unpacked_than_the_zip_states(tmp_path):
    """Its directory says 10 bytes of an entry that unpacks to 100 MB."""
    archive = zipped(tmp_path / "archive.zip", {"archive.json": b" " * 10**8})
    data = archive.read_bytes()
    real = (10**8).to_bytes(4, "little")
    assert data.count(real) == 2
    archive.write_bytes(data.replace(real, (10).to_bytes(4, "little")))
    refused(archive, tmp_path / "into", "damaged|cannot be understood")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_what_unpacks_piece_by_piece_is_unpacked(tmp_path, method):
    archive = zipped(tmp_path / "archive.zip", about() | {"config/a.yaml": b" " * 10**6}, method)
    refused(archive, tmp_path / "into", "is packed by another method")


def test_bytes_and_files_have_a_bound_for_reading_and_for_writing(archive, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "LARGEST", 300)
        refused(archive, tmp_path / "into", "has .* GB, an archive .* at most")
        patch.setattr(bundle, "LARGEST", archive.stat().st_size)
        many = zipped(tmp_path / "many.zip", about() | {"config/a.yaml": b" " * 10**5})
        patch.setattr(bundle, "LARGEST", many.stat().st_size)
        refused(many, tmp_path / "into", "GB unpacked, an archive .* at most")
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "MOST_FILES", 2)
        refused(archive, tmp_path / "into", "has 3 files, an archive 2 at most")
        contents = {f"{n}": b"" for n in range(3)}
        with pytest.raises(ValueError, match="has 4 files, an archive 2 at most"):
            write(tmp_path / "new.zip", contents, digests(contents))
        patch.setattr(bundle, "LONGEST_LIST", 20)
        refused(archive, tmp_path / "into", "lists more files than the 2 that")
    assert open_archive(archive, tmp_path / "into").scale == "demo"


@pytest.mark.parametrize("tail", [b"a comment", b"PK\5\6" + b"\0" * 18])
def test_what_follows_the_directory_is_refused(archive, tmp_path, tail):
    data = archive.read_bytes()
    archive.write_bytes(data[:-2] + len(tail).to_bytes(2, "little") + tail)
    refused(archive, tmp_path / "into", "damaged, cut off or no zip file|no archive")


def test_a_directory_of_another_format_is_refused(archive, tmp_path):
    """ZIP64's end would say of a directory of any size what the usual one cannot."""
    data = archive.read_bytes()
    archive.write_bytes(data[:-22] + b"PK\6\7" + b"\0" * 16 + data[-22:])
    refused(archive, tmp_path / "into", "damaged, cut off or no zip file")


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31ma", "a//b", "a/./b", "C:\\a", "a/"])
def test_a_name_of_a_file_is_plain(tmp_path, name):
    archive = zipped(tmp_path / "archive.zip", about() | {name: b""})
    refused(archive, tmp_path / "into", "names a file outside of its folder")


@pytest.mark.parametrize(
    "changed",
    [{"scale": 7}, {"scale": ["a"]}, {"scale": "a\n"}, {"experiments": "ab"},
     {"experiments": [1]}, {"experiments": ["a" * 99]}, {"seeds": [True]}, {"seeds": [-1]},
     {"seeds": ["0"]}, {"seeds": []}],
)  # fmt: skip
def test_archive_json_holds_names_and_seeds(tmp_path, changed):
    refused(
        zipped(tmp_path / "archive.zip", about(**changed)),
        tmp_path / "into",
        "archive.json does not say of which run it is",
    )


SLOW = """
import sys, time
from pathlib import Path
from pcpo.archive import bundle
bundle._about = lambda *given: time.sleep(600)
bundle.open_archive(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_unpacking_is_cleaned_up_by_the_next_and_a_living_one_is_not(archive, tmp_path):
    into = tmp_path / "into"
    jobs = [subprocess.Popen([sys.executable, "-c", SLOW, archive, into]) for _ in range(2)]
    try:
        for _ in range(600):
            if into.exists() and len(list(into.iterdir())) == 2:
                break
            time.sleep(0.05)
        jobs[0].send_signal(signal.SIGKILL)
        jobs[0].wait()
        elsewhere = into / f"other-{'0' * 12}.another_host-1.part"
        elsewhere.mkdir()
        folder = open_archive(archive, into).folder
        alive = f"{folder.name}.{_host()}-{jobs[1].pid}.part"
        assert {p.name for p in into.iterdir()} == {folder.name, alive, elsewhere.name}
    finally:
        for job in jobs:
            job.kill()
            job.wait()
    open_archive(archive, into)
    assert {p.name for p in into.iterdir()} == {folder.name, elsewhere.name}
    assert (folder.stat().st_mode & 0o777) == 0o777 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
