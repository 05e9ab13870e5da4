"""The archive as a zip with a SHA-256 sum for each of its files.

The same files give the same bytes: entries are sorted, their times fixed. An archive is opened only
when it is complete: everything is checked while it is unpacked to a folder with a temporary name,
which is then renamed. It may come from anyone. Its own description is limited in size before it is
read. Nothing in it names a file outside its folder or becomes part of a command (pcpo/names.py).
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pcpo.names import checked_name, is_seed, shown
from pcpo.records.digest import of_bytes, of_file, of_parts
from pcpo.records.replace import delete_abandoned, new_file, new_folder

MANIFEST = "manifest-sha256.txt"  # as `sha256sum --check` reads it
ABOUT = "archive.json"
FORMAT = 3  # 2: other names of columns, folders and settings. 1: frames without checksums
# Below results/<scale>/: files that are made again from an archive, with their side products.
MADE = (
    *("tables", "figures", "pictures"),
    *("compare.csv", "claims.csv", "claims.md", "questions.csv", "questions.md", "report.html"),
)
WRITTEN = ("logs", "benchmarks", "provenance")

# Limits of an archive, for writing and reading. Ten configurations at the paper's scale would have
# some hundred images below 1 MB, and less than 1,000 files for each training seed. Without ZIP64,
# which is refused, the format's own limits are 4 GB and 65,535 files.
LARGEST = 2 * 10**9  # bytes: of the zip, and of its content
MOST_FILES = 50_000
LONGEST_ABOUT = 100_000  # bytes of archive.json: names and seeds
LONGEST_LIST = 300 * MOST_FILES  # bytes of the list of files, and of the zip's own

_DATE = (1980, 1, 1, 0, 0, 0)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack in blocks of any size
# Already compressed. Parquet is not: a small one is half description.
_PACKED = (".png", ".zip")
_BLOCK = 1 << 20
_AGAIN = "copy it again, or make it again with `snakemake --cores all archive`"
# What zipfile raises on flipped bits. The last three occur where an entry looks packed by an
# unknown method, encrypted, or impossibly large.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, ValueError,
    NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """An unpacked archive: the file's name, its folder, and its run."""

    name: str
    folder: Path
    scale: str
    experiments: tuple[str, ...]
    seeds: tuple[int, ...]


def digests(contents: Mapping[str, Path | bytes]) -> dict[str, str]:
    """SHA-256 sums of files by their name in the archive."""
    return {name: _digest(source) for name, source in sorted(contents.items())}


def write(path: Path, contents: Mapping[str, Path | bytes], sums: Mapping[str, str]) -> None:
    """Write the archive; it appears when it is complete.

    `sums` are the `digests` of `contents`. Raises ValueError for a file that has changed since, and
    where the archive would be larger than `open_archive` accepts.
    """
    listed = "".join(f"{sums[name]}  {name}\n" for name in sorted(contents))
    whole = {**contents, MANIFEST: listed.encode()}
    _check_bounds(path, [_size(source) for source in whole.values()])
    with new_file(path) as part, zipfile.ZipFile(part, "w") as archive:
        for name in sorted(whole):
            source = whole[name]
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o644 << 16
            packed = name.endswith(_PACKED)
            info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            info.file_size = _size(source)  # above 4 GiB an entry needs another header
            with _opened(source) as handle, archive.open(info, "w") as entry:
                digest = _copy(handle, entry)
            if name != MANIFEST and digest != sums[name]:
                raise ValueError(f"{name} has changed while it was archived; start again")


def open_archive(path: Path, into: Path) -> Archive:
    """Unpack an archive to a folder below `into`, without the files that are made again from it.

    The folder is named after the file and its content, so another archive gets another folder. An
    existing folder is checked and used. Remains of a killed unpacking are deleted.
    Raises ValueError, with nothing left behind, for a file that is no archive of this pipeline, of
    another format, too large, damaged or cut, or that names files outside its folder;
    FileNotFoundError where there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    delete_abandoned(into)
    folder = into / f"{re.sub(r'[^A-Za-z0-9._-]', '_', path.stem)}-{_digest(path)[:12]}"
    if folder.exists():
        if not (folder / ABOUT).is_file():
            raise ValueError(f"{folder} is not complete any more; delete it")
        about = _about((folder / ABOUT).read_bytes(), path)
        _check_folder(folder, about["scale"])
    else:
        with new_folder(folder, keep=True) as part:
            about = _extract(path, part)
    runs = (about["scale"], tuple(about["experiments"]), tuple(about["seeds"]))
    return Archive(path.name, folder, *runs)


def read_manifest(text: str) -> dict[str, str]:
    """Sums by name; ValueError for a malformed line."""
    sums = {}
    for line in text.splitlines():
        found = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if not found:
            raise ValueError(f"{shown(line)} is no sum and name")
        sums[found[2]] = found[1]
    return sums


def _extract(path: Path, folder: Path) -> dict:
    """Check everything and write what is needed. Returns the content of archive.json."""
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not {ABOUT, MANIFEST} <= set(names):
                raise _Refused(f"{path}: a zip file, but no archive that `snakemake archive` made")
            for name in names:
                if not _is_inside(name):
                    raise _Refused(
                        f"{path}: names a file outside of its folder ({shown(name)}); do not trust "
                        "it"
                    )
            _check_bounds(path, [info.file_size for info in archive.infolist()])
            for info in archive.infolist():
                if info.compress_type not in _METHODS:
                    raise _Refused(f"{path}: {info.filename} is packed by another method; {_AGAIN}")
            about = _about(_short(archive, ABOUT, LONGEST_ABOUT, path), path)
            sums = read_manifest(_short(archive, MANIFEST, LONGEST_LIST, path).decode())
            if sorted(names) != sorted({*sums, MANIFEST}):
                odd = sorted(set(names) ^ {*sums, MANIFEST}) or names
                raise _Refused(
                    f"{path}: its list of files is not what it holds ({shown(odd[0])}); {_AGAIN}"
                )
            size = sum(info.file_size for info in archive.infolist())
            if size > shutil.disk_usage(folder).free:
                raise _Refused(f"{path}: needs {size / 1e9:.1f} GB, which {folder.parent} lacks")
            skipped = tuple(f"results/{about['scale']}/{made}/" for made in MADE)
            for name in names:
                target = folder / name
                if f"{name}/".startswith(skipped):  # made again, but checked like the others
                    target = Path(os.devnull)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as entry, target.open("wb") as handle:
                    digest = _copy(entry, handle)
                if name != MANIFEST and digest != sums[name]:
                    raise _Refused(f"{path}: {name} is damaged; {_AGAIN}")
    except _Refused:
        raise
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # no seek to a wrong place
            raise
        raise ValueError(f"{path}: damaged, cut off or no zip file ({error}); {_AGAIN}") from error
    return about


def _check_directory(path: Path) -> None:
    """Refuse a zip whose directory is too large for an archive: Python reads it all at once.

    The last 22 bytes give its size: an archive has no comment, and needs no ZIP64.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise _Refused(f"{path}: has {size / 1e9:.1f} GB, an archive {LARGEST / 1e9:.0f} at most")
    with path.open("rb") as handle:
        handle.seek(-min(size, _END.size + _ZIP64_END), os.SEEK_END)
        tail = handle.read()
    signature, *_, length, _, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\5\6" or comment or tail[: -_END.size].startswith(b"PK\6\7"):
        raise zipfile.BadZipFile("no end of an archive")
    if length > LONGEST_LIST:
        raise _Refused(f"{path}: lists more files than the {MOST_FILES:,} that an archive may have")


_END = struct.Struct("<4s4H2LH")  # of the directory: ..., its bytes, offset, bytes of a comment
_ZIP64_END = 20  # bytes of the ZIP64 locator, which precedes it where there are too many entries


def _check_bounds(path: Path, sizes: Sequence[int]) -> None:
    """Refuse more files, or more bytes in them, than an archive has."""
    if len(sizes) > MOST_FILES:
        raise _Refused(f"{path}: has {len(sizes):,} files, an archive {MOST_FILES:,} at most")
    if (total := sum(sizes)) > LARGEST:
        most = f"an archive {LARGEST / 1e9:.0f} at most"
        raise _Refused(f"{path}: has {total / 1e9:.1f} GB unpacked, {most}")


def _is_inside(name: str) -> bool:
    """Whether `name` is a file below the archive's folder on any system."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def _short(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    """A file of at most `most` bytes; no more is unpacked, whatever size the zip states."""
    if archive.getinfo(name).file_size > most:
        raise _Refused(f"{path}: {name} has more than {most:,} bytes; do not trust it")
    with archive.open(name) as entry:
        return entry.read(most)


def _about(data: bytes, path: Path) -> dict:
    """The content of archive.json: format, scale, experiments, seeds, each of them checked."""
    try:
        about = json.loads(data)
        known, scale, experiments, seeds = (about[key] for key in _ABOUT_KEYS)
        lists = isinstance(experiments, list) and isinstance(seeds, list)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _Refused(f"{path}: {ABOUT} cannot be understood ({error}); {_AGAIN}") from error
    if known != FORMAT:
        raise _Refused(
            f"{path}: an archive of format {shown(known)}, this version reads {FORMAT}; use the "
            "version of pcpo that made it"
        )
    if not (lists and experiments and seeds and all(map(is_seed, seeds))):
        raise _Refused(f"{path}: {ABOUT} does not say of which run it is; {_AGAIN}")
    try:
        checked_name(scale, "scale")
        for name in experiments:
            checked_name(name, "experiments")
    except ValueError as error:
        raise _Refused(f"{path}: {ABOUT} does not say of which run it is: {error}") from error
    if len({*experiments}) < len(experiments) or len({*seeds}) < len(seeds):
        raise _Refused(f"{path}: {ABOUT} lists an experiment or a seed twice; {_AGAIN}")
    return {"scale": scale, "experiments": experiments, "seeds": seeds}


_ABOUT_KEYS = ("format", "scale", "experiments", "seeds")


def _check_folder(folder: Path, scale: str) -> None:
    """An unpacked archive is used again only while its files are unchanged."""
    free = tuple(f"results/{scale}/{name}/" for name in (*MADE, *WRITTEN))
    for name, digest in read_manifest((folder / MANIFEST).read_text(encoding="utf-8")).items():
        if f"{name}/".startswith(free):
            continue
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise ValueError(
                f"{folder / name} is not what the archive holds; delete {folder} so that it is "
                "unpacked again"
            )


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _opened(source: Path | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _digest(source: Path | bytes) -> str:
    return of_bytes(source) if isinstance(source, bytes) else of_file(source)


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy all of `source`. Returns the digest of the bytes read."""

    def blocks() -> Iterator[bytes]:
        while block := source.read(_BLOCK):
            target.write(block)
            yield block

    return of_parts(blocks())


class _Refused(ValueError):
    """An archive is refused; the message is for the user."""
