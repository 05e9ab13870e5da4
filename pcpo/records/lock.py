"""One process at a time: a lock file that says who holds it.

The kernel gives a lock back when its process ends, however it ends. The `filelock` package is not
used, as it empties the file at each try and the holder's name with it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pcpo.records.history import process


class Busy(BlockingIOError):
    """Another process holds the lock; `holder` says which."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path}: held by {holder}")
        self.holder = holder


@contextmanager
def alone(
    path: Path, waiting: Callable[[str], None] | None = None, everyone: bool = False
) -> Iterator[None]:
    """Hold a lock; without `waiting` raise Busy where another process does.

    path: the lock file, made where it is not there.
    waiting: called with the holder's name before the wait for its end.
    everyone: whoever may reach the file may take the lock (mode 0666), not only whom the umask
    lets.

    Raises ValueError where something else than a plain file is at `path`, and OSError where it
    cannot be made, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(_open(path, everyone), path, waiting) as handle:
        with suppress(OSError):  # another user's file, or a full disk: it serves without a name
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{process()}\n".encode(), 0)
        yield


@contextmanager
def alone_in(folder: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """`alone` by a lock on a folder itself, made where it is not there: nothing is left in it.

    Who holds it cannot be said: `waiting` is told of "a process".
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(os.open(folder, os.O_RDONLY), folder, waiting):
        yield


@contextmanager
def _held(handle: int, path: Path, waiting: Callable[[str], None] | None) -> Iterator[int]:
    """Hold the lock of an open file or folder, and close it."""
    try:
        try:
            _take(handle, path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(handle)
            if waiting is None:
                raise Busy(path, holder) from error
            waiting(holder)
            _take(handle, path, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def beside(path: Path) -> Path:
    """The lock file of what is written to `path`."""
    return path.with_name(f".{path.name}.lock")


def _take(handle: int, path: Path, how: int) -> None:
    """Raises BlockingIOError where another process holds it."""
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        raise
    except OSError as error:  # names no file
        if error.errno not in _NO_LOCKS:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise OSError(
            f"{path}: cannot be locked ({error.strerror}): the file system there has no locks for "
            "this process; mount it with them (Lustre: -o flock), or put the folder on another disk"
        ) from error


# Of Lustre without them, of NFS without its lock daemon, and of NFS for another user's file.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF)


def _holder(handle: int) -> str:
    """Who holds a lock, as its file says; a folder says nothing."""
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        return "a process"
    return os.pread(handle, 1000, 0).decode(errors="replace").strip() or "a process"


def _open(path: Path, everyone: bool) -> int:
    """A handle of the file. No link is followed, hard ones included, and no pipe waited for.

    A file that is there is opened without O_CREAT: in a folder like /tmp the kernel refuses that
    for another user's file, whatever its mode.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    for _ in range(100):
        try:
            handle = os.open(path, flags)
            break
        except FileNotFoundError:
            with suppress(FileExistsError):  # another process was faster
                handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
                if everyone:
                    os.fchmod(handle, 0o666)
                break
        except PermissionError:  # another user's: a lock takes no right to write
            handle = os.open(path, flags & ~os.O_RDWR)
            break
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise _not_plain(path) from error
            raise
    else:
        raise _not_plain(path)
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(handle)
        raise _not_plain(path)
    return handle


def _not_plain(path: Path) -> ValueError:
    return ValueError(f"{path} is to be a lock file, and is a link or no plain file: remove it")
