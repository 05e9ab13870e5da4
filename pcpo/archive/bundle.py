"""The archive as a zip with a SHA-256 sum for each of its files.

Written the same twice from the same files: entries are sorted, their times fixed. Opened only when
it is whole: everything is checked while it goes to a folder of another name, which is then renamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MANIFEST = "manifest-sha256.txt"  # as `sha256sum --check` reads it
ABOUT = "archive.json"
FORMAT = 1
# Below results/<scale>/: what is made anew from an archive, and what making it writes beside it.
MADE = ("tables", "figures", "compare.csv", "claims.csv", "claims.md", "report.html")
WRITTEN = ("logs", "benchmarks", "provenance")

_DATE = (1980, 1, 1, 0, 0, 0)
_PACKED = (".png", ".zip", ".parquet")  # gain nothing from another compression
_BLOCK = 1 << 20
_AGAIN = "copy it again, or make it again with `snakemake archive`"
# What zipfile raises on flipped bits: the last three where they make an entry look packed by an
# unknown method, encrypted, or of a size beyond all bounds.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, ValueError,
    NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """An unpacked archive: the file's name, its folder, and which run it is of."""

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

    `sums` are the `digests` of `contents`. Raises ValueError for a file that has changed since.
    """
    listed = "".join(f"{sums[name]}  {name}\n" for name in sorted(contents))
    whole = {**contents, MANIFEST: listed.encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name in sorted(whole):
                source = whole[name]
                info = zipfile.ZipInfo(name, _DATE)
                info.create_system, info.external_attr = 3, 0o644 << 16
                packed = name.endswith(_PACKED)
                info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
                info.file_size = _size(source)  # beyond 4 GiB an entry needs another header
                with _opened(source) as handle, archive.open(info, "w") as entry:
                    digest = _copy(handle, entry)
                if name != MANIFEST and digest != sums[name]:
                    raise ValueError(f"{name} has changed while it was archived; start again")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def open_archive(path: Path, into: Path) -> Archive:
    """Unpack an archive, but for what is made anew from it, to a folder below `into`.

    The folder is named after the file and its content, so that another archive gets another one;
    where it is there already it is checked and used. Raises ValueError, with nothing left behind,
    for a file that is no archive of this pipeline, of another format, damaged or cut, or that names
    files outside of its folder; FileNotFoundError where there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"from_bundle: there is no file {path}")
    folder = into / f"{re.sub(r'[^A-Za-z0-9._-]', '_', path.stem)}-{_digest(path)[:12]}"
    if folder.exists():
        about = _about((folder / ABOUT).read_bytes(), path)
        _check_folder(folder, about["scale"])
    else:
        into.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=into))
        try:
            about = _extract(path, part)
            part.chmod(0o755)  # mkdtemp's is for its owner alone
            if not folder.exists():
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    runs = (about["scale"], tuple(about["experiments"]), tuple(about["seeds"]))
    return Archive(path.name, folder, *runs)


def read_manifest(text: str) -> dict[str, str]:
    """Sums by name; ValueError for a line that is none."""
    sums = {}
    for line in text.splitlines():
        found = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if not found:
            raise ValueError(f"'{line[:80]}' is no sum and name")
        sums[found[2]] = found[1]
    return sums


def _extract(path: Path, folder: Path) -> dict:
    """Check everything, write what is needed; the archive's record of itself."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not {ABOUT, MANIFEST} <= set(names):
                raise _Refused(f"{path}: a zip file, but no archive that `snakemake archive` made")
            for name in names:
                if name.startswith("/") or "\\" in name or {"", ".", ".."} & set(name.split("/")):
                    raise _Refused(
                        f"{path}: names a file outside of its folder ('{name}'); do not trust it"
                    )
            about = _about(archive.read(ABOUT), path)
            sums = read_manifest(archive.read(MANIFEST).decode())
            if sorted(names) != sorted({*sums, MANIFEST}):
                odd = sorted(set(names) ^ {*sums, MANIFEST}) or names
                raise _Refused(
                    f"{path}: its list of files is not what it holds ({odd[0]}); {_AGAIN}"
                )
            size = sum(info.file_size for info in archive.infolist())
            if size > shutil.disk_usage(folder).free:
                raise _Refused(f"{path}: needs {size / 1e9:.1f} GB, which {folder.parent} lacks")
            skipped = tuple(f"results/{about['scale']}/{made}/" for made in MADE)
            for name in names:
                target = folder / name
                if f"{name}/".startswith(skipped):  # made anew, but checked like the others
                    target = Path(os.devnull)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as entry, target.open("wb") as handle:
                    digest = _copy(entry, handle)
                if name != MANIFEST and digest != sums[name]:
                    raise _Refused(f"{path}: {name} is damaged; {_AGAIN}")
    except _Refused:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{path}: damaged, cut off or no zip file ({error}); {_AGAIN}") from error
    return about


def _about(data: bytes, path: Path) -> dict:
    try:
        about = json.loads(data)
        known = about["format"]
        good = (
            re.fullmatch(r"[\w-]+", about["scale"])
            and about["experiments"]
            and all(re.fullmatch(r"[\w-]+", name) for name in about["experiments"])
            and about["seeds"]
            and all(isinstance(seed, int) for seed in about["seeds"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _Refused(f"{path}: {ABOUT} cannot be understood ({error}); {_AGAIN}") from error
    if known != FORMAT:
        raise _Refused(
            f"{path}: an archive of format {known}, this version reads {FORMAT}; use the version "
            "of pcpo that made it"
        )
    if not good:
        raise _Refused(f"{path}: {ABOUT} does not say of which run it is; {_AGAIN}")
    return dict(about)


def _check_folder(folder: Path, scale: str) -> None:
    """An unpacked archive is used again only while its files are what they were."""
    free = tuple(f"results/{scale}/{name}/" for name in (*MADE, *WRITTEN))
    for name, digest in read_manifest((folder / MANIFEST).read_text()).items():
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
    with _opened(source) as handle:
        return _copy(handle)


def _copy(source: IO[bytes], target: IO[bytes] | None = None) -> str:
    """Copy all of `source`; the SHA-256 of what was read."""
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
        if target:
            target.write(block)
    return digest.hexdigest()


class _Refused(ValueError):
    """With its message ready for the reader."""
