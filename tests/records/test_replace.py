"""Whole or not at all, with the modes of the umask, and one sentence where it cannot be."""

import errno
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file

from pcpo.archive import bundle
from pcpo.evaluation.images import write_images
from pcpo.evaluation.rows import RowWriter
from pcpo.evaluation.score_cache import KeptScores
from pcpo.figures.style import save
from pcpo.policies.embeddings import PromptEmbeddings
from pcpo.records import frame_file, frames, history
from pcpo.records.durable import complete_folder
from pcpo.records.replace import (
    NotWritten,
    _host,
    explained,
    new_file,
    new_files,
    new_folder,
    write_text,
)


def frame(path):
    rows = pd.DataFrame({"x": np.random.default_rng(0).random(100_000)})
    frame_file.write(rows, frames.FrameSpec("x", ("x",), {"x": "f"}), path / "x.parquet", "smoke")


def kept_scores(path):
    checkpoint = path.parent / "checkpoint"
    checkpoint.mkdir(exist_ok=True)
    (checkpoint / "SHA256SUMS").touch()
    KeptScores(path, {}).of("x", checkpoint, lambda: np.zeros(100_000))


def rows(path):
    with RowWriter(path, 1000) as writer:
        writer.add(np.zeros((1000, 100)))


def state(path):
    with complete_folder(path) as part:
        save_file({"x": torch.zeros(100_000)}, part / "x.safetensors")


def archive(path):
    contents = {"a": os.urandom(1_000_000)}
    return bundle.write(path / "x.zip", contents, bundle.digests(contents))


def picture():
    figure = Figure(dpi=100)
    figure.subplots().imshow(NOISE[0].transpose(1, 2, 0))
    return figure


NOISE = np.random.default_rng(0).integers(0, 256, (1, 3, 300, 300), np.uint8)
WRITERS = {
    "text": lambda path: write_text(path / "x.txt", "x" * 1_000_000),
    "frame": frame,
    "scores": kept_scores,
    "features": lambda path: rows(path / "x.npy"),
    "embedding": lambda path: PromptEmbeddings(path).put("x", {"x": torch.zeros(1, 100_000)}),
    "images": lambda path: write_images(path, [(0, "x", 0)], list(NOISE)),
    "state": lambda path: state(path / "state"),
    "archive": archive,
    "figure": lambda path: save(picture(), path / "x"),
    "history": lambda path: history.append(path, "x", y="x" * 100_000),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_sentence_that_names_the_file_and_what_is_free(name, tmp_path, mounted):
    disk = mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    with pytest.raises(OSError) as caught:  # noqa: PT011  (its text is what the test is about)
        WRITERS[name](disk / "made")
    message = explained(caught.value)
    assert message.startswith(f"{disk / 'made'}")
    assert re.search(f"cannot be written: .*[(]0[.][01] MB are free in {disk}", message)
    assert not list(disk.rglob("*.part"))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_files_have_the_modes_of_the_umask(name, umask, tmp_path):
    old = os.umask(umask)
    try:
        WRITERS[name](tmp_path / "made")
    finally:
        os.umask(old)
    files = [file for file in (tmp_path / "made").rglob("*") if file.is_file()]
    assert files and {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o666 & ~umask}


@pytest.mark.parametrize("name", WRITERS)
def test_a_groups_default_rights_are_kept(name, tmp_path):
    """A folder's default ACL comes before the umask: its group may write, others may not read."""
    entries = ((1, 6), (4, 6), (32, 0))  # owner, group, others
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e, 0xFFFFFFFF) for e in entries)
    (tmp_path / "made").mkdir()
    try:
        os.setxattr(tmp_path / "made", "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    WRITERS[name](tmp_path / "made")
    files = [file for file in (tmp_path / "made").rglob("*") if file.is_file()]
    assert files and {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o660}


def test_a_file_system_without_modes_takes_files(tmp_path, monkeypatch):
    def chmod(self, mode):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "chmod", chmod)
    state(tmp_path / "state")
    assert (tmp_path / "state" / "x.safetensors").exists()


def test_a_folder_that_another_process_made_first_can_stay(tmp_path):
    for keep, left in ((True, "first"), (False, "second")):
        with new_folder(tmp_path / "x", keep) as part:
            (part / "second").touch()
            with new_folder(tmp_path / "y") as other:
                (other / "first").touch()
            shutil.rmtree(tmp_path / "x", ignore_errors=True)
            (tmp_path / "y").rename(tmp_path / "x")
        assert [file.name for file in (tmp_path / "x").iterdir()] == [left]
        assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_files_that_belong_together_are_replaced_together(tmp_path):
    places = [tmp_path / "a", tmp_path / "b"]
    for place in places:
        place.write_text("old")

    def failing():
        yield "new"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), new_files(places) as parts:
        [part.write_text(text) for part, text in zip(parts, failing(), strict=True)]
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a": "old", "b": "old"}


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    """Of this machine: another's processes cannot be seen."""
    host = _host()
    kill = """
import os
from pathlib import Path
from pcpo.records.replace import new_file, new_folder
with new_file("x") as part, new_folder(Path("y")) as folder:
    part.touch(), (folder / "z").touch()
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", kill], cwd=tmp_path, env=os.environ | here())
    assert len(list(tmp_path.iterdir())) == 2
    others = [tmp_path / f"x.{host}-{os.getppid()}.part"]
    # Of another machine, also of one whose name ends as this one's; of another file.
    strangers = ("x.elsewhere", f"x.big-{host}", f"x.big{host}", f"x.csv.{host}")
    others += [tmp_path / f"{name}-4194399.part" for name in strangers]
    for other in others:
        other.touch()
    write_text(tmp_path / "x", "new")
    with new_folder(tmp_path / "y"):
        pass
    assert set(tmp_path.iterdir()) == {tmp_path / "x", tmp_path / "y", *others}


def here():
    return {"PYTHONPATH": str(Path(__file__).parents[2])}


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, new_file(tmp_path / "x") as part:
        part.write_bytes((tmp_path / "missing").read_bytes())
    assert caught.value.filename == str(tmp_path / "missing")
    assert not list(tmp_path.iterdir())


def test_a_missing_right_is_called_that_and_whose_it_is(tmp_path):
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x"))
    message = explained(error)
    assert message.startswith(f"{tmp_path / 'x'}: Permission denied for user ")
    assert f"{tmp_path} is user " in message and "drwx" in message


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(NotWritten, match=f"{tmp_path / 'x'}"):
        write_text(tmp_path / "x" / "y", "")
