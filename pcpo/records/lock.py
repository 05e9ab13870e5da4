"""One process at a time: a lock file that names its holder.

The kernel releases a lock when its process ends for any reason. The `filelock` package is not used:
it empties the file, with the holder's name, at each attempt.
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
    """Hold a lock; without `waiting`, raise Busy if another process holds it.

    path: the lock file, created if it does not exist.
    waiting: called with the holder's name before the wait for its end.
    everyone: every user who can reach the file may take the lock (mode 0666), whatever the umask
    is.

    Raises ValueError if `path` is not a plain file, and OSError if it cannot be created or its file
    system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(_open(path, everyone), path, waiting) as handle:
        with suppress(OSError):  # another user's file, or a full disk: no name then
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{process()}\n".encode(), 0)
        yield


@contextmanager
def alone_in(folder: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """`alone` with a lock on the folder itself, created if missing: no lock file is left in it.

    The holder is not known: `waiting` is called with "a process".
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
    """The lock file for writing to `path`."""
    return path.with_name(f".{path.name}.lock")


def _take(handle: int, path: Path, how: int) -> None:
    """Raises BlockingIOError if another process holds the lock."""
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        raise
    except OSError as error:  # it does not name the file
        if error.errno not in _NO_LOCKS:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise OSError(
            f"{path}: cannot be locked ({error.strerror}): the file system there has no locks for "
            "this process; mount it with them (Lustre: -o flock), or put the folder on another disk"
        ) from error


# From Lustre without locks, NFS without its lock daemon, and NFS for another user's file.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF)


def _holder(handle: int) -> str:
    """The holder of a lock, from its file; a folder does not name it."""
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        return "a process"
    return os.pread(handle, 1000, 0).decode(errors="replace").strip() or "a process"


def _open(path: Path, everyone: bool) -> int:
    """A handle of the file. Links, hard ones included, are not followed; a pipe is not waited for.

    An existing file is opened without O_CREAT: in a folder like /tmp the kernel refuses O_CREAT
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
        except PermissionError:  # another user's: a lock needs no write permission
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
