"""Write files and folders completely or not at all, with a clear error if writing fails.

They are written beside their place as `<name>.<host>-<process>.part` and renamed. A kill at any
moment leaves the older one or the newer one, and two processes never write to the same file.
Some libraries make files that only the user can read (safetensors: 0600). Here each file gets the
mode of any new file in its folder, by the umask or the folder's default ACL.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)


class NotWritten(OSError):
    """A file that could not be written: which, why, and what is free."""


@contextmanager
def new_file(path: str | Path, tidy: bool = True) -> Iterator[Path]:
    """A path to write to; the file replaces `path` when the block ends without an error.

    tidy: also delete partial files of killed processes; False where a folder has very many files.
    Raises NotWritten if it cannot be written; the old file is then still there.
    """
    with new_files([path], tidy) as (part,):
        yield part


@contextmanager
def new_files(paths: Sequence[str | Path], tidy: bool = True) -> Iterator[list[Path]]:
    """`new_file` for files that belong together: none is replaced unless all could be written."""
    places = [Path(path) for path in paths]
    parts = [_part(path) for path in places]
    try:
        with naming(dict(zip(parts, places, strict=True))):
            for path in places:
                path.parent.mkdir(parents=True, exist_ok=True)
                if tidy:
                    delete_abandoned(path.parent, path.name)
            modes = [_mode_of_new(part) for part in parts]
            yield parts
            for part, mode in zip(parts, modes, strict=True):
                _give_mode(part, mode)
            for part, path in zip(parts, places, strict=True):
                part.replace(path)
    except BaseException:
        for part in parts:
            _unlink(part)
        raise


def write_bytes(path: str | Path, data: bytes, tidy: bool = True) -> None:
    """Write a file in one step."""
    with new_file(path, tidy) as part:
        part.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a file in one step, as UTF-8 and with the line ends of `text`."""
    write_texts({Path(path): text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write files that belong together: none is replaced unless all could be written."""
    with new_files(list(texts)) as parts:
        for part, text in zip(parts, texts.values(), strict=True):
            part.write_text(text, encoding="utf-8", newline="")


@contextmanager
def new_folder(folder: Path, keep: bool = False) -> Iterator[Path]:
    """An empty folder to write into; it replaces `folder` when the block ends without an error.

    keep: if another process was faster, keep its folder: it may be in use, and is equally good.

    A kill between the two renames leaves the older one as `<name>.old`. Raises NotWritten if it
    cannot be written; the old folder is then still there.
    """
    part = _part(folder)
    try:
        with naming({part: folder}):
            folder.parent.mkdir(parents=True, exist_ok=True)
            delete_abandoned(folder.parent, folder.name)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            mode = _mode_of_new(part / "mode")
            yield part
            for file in part.rglob("*"):
                if file.is_file():
                    _give_mode(file, mode)
            if keep:
                _rename_if_first(part, folder)
                return
            old = folder.with_name(folder.name + ".old")
            shutil.rmtree(old, ignore_errors=True)
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)  # a full disk needs the room
        raise


def delete_abandoned(folder: Path, name: str = "") -> None:
    """Delete partial files that killed processes of this machine left in a folder.

    name: only those of this file or folder; all without it. Partial files of another machine stay,
    because its process may still run.
    """
    for part in folder.glob(f"{glob.escape(name) or '*'}.*.part"):
        found = re.fullmatch(rf"(.+)\.{re.escape(_host())}-([0-9]+)\.part", part.name)
        if found and name in ("", found[1]) and not running(int(found[2])):
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else _unlink(part)


def running(process: int) -> bool:
    """Whether another process with this number runs on this machine."""
    try:
        os.kill(process, 0)
    except PermissionError:  # it is another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return process != os.getpid()


def explained(error: OSError, path: Path | None = None) -> str:
    """One sentence on a file system's error: the file, the cause, free space or the owner.

    path: the file, if the error does not name one.
    """
    named = path if error.filename is None else Path(os.fsdecode(error.filename))
    reason = os.strerror(error.errno) if error.errno else str(error)
    if named is None:
        return str(error)
    # numpy and safetensors report a failed write without its error number.
    if error.errno in _FULL or not error.errno:
        return f"{named}: cannot be written: {reason}{_free(named)}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{named}: {reason} for {_user(os.geteuid())}{_owner(named)}"
    if error.errno == errno.EROFS:
        return f"{named}: cannot be written: {reason}"
    return str(error) if error.filename is not None else f"{named}: {reason}"


@contextmanager
def naming(parts: Mapping[Path, Path]) -> Iterator[None]:
    """Raise NotWritten, which names the file, if a write in the block fails.

    parts: partial file -> its final place. Errors of other files pass unchanged.
    """
    try:
        yield
    except NotWritten:
        raise
    except Exception as error:
        cause = _failed_write(error)
        if cause is None:
            raise
        named = next(iter(parts.values()))
        if (name := getattr(cause, "filename", None)) is not None:
            place = Path(os.fsdecode(name))
            own = [path for part, path in parts.items() if place.is_relative_to(part)]
            if not own and not any(path.is_relative_to(place) for path in parts.values()):
                raise
            named = own[0] if own else place  # else a folder that could not be created
        number = getattr(cause, "errno", None)
        bare = OSError(number, os.strerror(number)) if number else OSError(str(cause))
        raise NotWritten(explained(bare, named)) from error


def _failed_write(error: BaseException) -> BaseException | None:
    """The failed write behind an error, if there is one.

    safetensors has its own error, compared by name because not every environment has the package.
    A library may fail again while it cleans up; the failed write, a full disk, is then reported.
    """
    if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":
        return error
    before = error.__context__
    while before is not None:
        if isinstance(before, OSError) and before.errno in _FULL:
            return before
        before = before.__context__
    return None


def _rename_if_first(part: Path, folder: Path) -> None:
    try:
        part.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(part, ignore_errors=True)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.{_host()}-{os.getpid()}.part")


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())


def _unlink(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:  # a read-only file system: the first error reports it
        return


def _mode_of_new(file: Path) -> int:
    """The mode of a new file there, by a test file. A default ACL overrules the umask."""
    file.unlink(missing_ok=True)
    file.touch()
    mode = stat.S_IMODE(file.stat().st_mode)
    file.unlink()
    return mode


def _give_mode(file: Path, mode: int) -> None:
    """Set a file's mode; on a file system without modes it stays as it is."""
    if stat.S_IMODE(file.stat().st_mode) & 0o666 != mode & 0o666:
        with suppress(PermissionError, NotImplementedError):
            file.chmod(mode)


def _free(path: Path) -> str:
    """The free space where a file was to be written."""
    there = next((place for place in path.absolute().parents if place.exists()), Path("/"))
    try:
        return f" ({shutil.disk_usage(there).free / 1e6:.1f} MB are free in {there})"
    except OSError:
        return ""


def _owner(path: Path) -> str:
    """The owner of a file, or of the nearest existing folder."""
    for place in (path, *path.absolute().parents):
        try:
            about = place.stat()
        except FileNotFoundError:
            continue
        except OSError:
            return ""
        mode = stat.filemode(about.st_mode)
        return f"; {place} is {_user(about.st_uid)}'s, {mode}: ask for the right to write or read"
    return ""


def _user(number: int) -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"
