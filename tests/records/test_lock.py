"""One process at a time, whoever's it is, and nothing else than a plain file is opened."""

import errno
import fcntl
import multiprocessing
import os
import stat
import time
from contextlib import ExitStack

import pytest

from pcpo.records.lock import Busy, alone, alone_in
from pcpo.records.replace import explained
from tests.system.users import LOCKED, as_user, shared_folder

CONTEXT = multiprocessing.get_context("spawn")


def hold(path, ready):
    with alone(path):
        ready.put(os.getpid())
        time.sleep(600)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path / "lock"`."""
    ready = CONTEXT.Queue()
    other = CONTEXT.Process(target=hold, args=(tmp_path / "lock", ready))
    other.start()
    assert ready.get(timeout=60) == other.pid
    yield other
    other.kill()
    other.join()


def test_the_holder_is_named_and_a_killed_one_gives_it_back(tmp_path, holder):
    with pytest.raises(Busy, match=f"held by process {holder.pid} on "), alone(tmp_path / "lock"):
        pass
    holders = []

    def waiting(name):
        holders.append(name)
        holder.kill()

    with alone(tmp_path / "lock", waiting):
        assert f"process {os.getpid()} on " in (tmp_path / "lock").read_text()
    assert holders[0].startswith(f"process {holder.pid} on ")


def test_a_folder_can_be_held_and_nothing_is_left_in_it(tmp_path):
    for _ in range(2):  # it is made by the first
        with alone_in(tmp_path / "deep" / "folder"):
            assert not list((tmp_path / "deep" / "folder").iterdir())


def test_who_finds_a_folder_held_waits(tmp_path):
    holders = []
    with ExitStack() as other:
        other.enter_context(alone_in(tmp_path))
        with pytest.raises(Busy, match="held by a process"), alone_in(tmp_path):
            pass

        def waiting(holder):
            holders.append(holder)
            other.close()

        with alone_in(tmp_path, waiting):
            pass
    assert holders == ["a process"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EBADF])
def test_a_file_system_without_locks_is_called_that(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="has no locks") as caught, alone(tmp_path / "lock"):
        pass
    assert explained(caught.value).startswith(f"{tmp_path / 'lock'}: cannot be locked (")


def test_no_link_is_followed_and_no_pipe_waited_for(tmp_path):
    (tmp_path / "target").write_text("mine\n")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "nowhere").symlink_to(tmp_path / "not there")
    os.mkfifo(tmp_path / "pipe")
    os.link(tmp_path / "target", tmp_path / "hard")
    for name in ("link", "nowhere", "pipe", "hard"):
        with (
            pytest.raises(ValueError, match=f"{name} is to be a lock file"),
            alone(tmp_path / name),
        ):
            pass
    assert (tmp_path / "target").read_text() == "mine\n"
    assert not (tmp_path / "not there").exists()


def test_modes(tmp_path):
    old = os.umask(0o027)
    try:
        for name, everyone in (("own", False), ("all", True)):
            with alone(tmp_path / name, everyone=everyone):
                pass
    finally:
        os.umask(old)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("own", "all")}
    assert modes == {"own": 0o640, "all": 0o666}


def test_two_users_take_turns_in_a_folder_like_tmp():
    """Sticky and open to all: the kernel refuses O_CREAT for the file of another user there."""
    with shared_folder(0o1777) as place:

        def take():
            with alone(place / "lock", everyone=True):
                pass

        assert as_user(12345, take) == 0
        assert (place / "lock").stat().st_uid == 12345
        assert as_user(12346, take) == 0
        with alone(place / "lock", everyone=True):
            assert as_user(12346, take) == LOCKED
