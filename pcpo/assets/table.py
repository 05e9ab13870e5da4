"""`config/assets.csv`: one row per file of every asset."""

from __future__ import annotations

import csv
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pcpo.config.files import CONFIG

ASSETS = CONFIG / "assets.csv"
COLUMNS = (
    "asset",
    "path",
    "source",
    "repository",
    "file",
    "revision",
    "licence",
    "gated",
    "gigabytes",
)
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth$")


class AssetError(ValueError):
    """An asset that cannot be used or fetched; the message says what to do."""


@dataclass(frozen=True)
class Row:
    """One file of an asset.

    asset: folder below `data/`; path: of the file in that folder.
    source: "hub" (`repository` is a hub id, `datasets/` before it for a data set) or "url" (the
        file is at repository/revision/file, without the middle part if `revision` is empty).
    gigabytes: its approximate size; only the lock is exact.
    """

    asset: str
    path: str
    source: str
    repository: str
    file: str
    revision: str
    licence: str
    gated: bool
    gigabytes: float

    @property
    def name(self) -> str:
        return f"{self.asset}/{self.path}"

    @property
    def pinned(self) -> bool:
        """Whether the revision is used unchanged; a branch of the hub is resolved once."""
        return self.source == "url" or COMMIT.fullmatch(self.revision) is not None

    @property
    def url(self) -> str:
        """The URL of a `url` row."""
        parts = (self.repository, self.revision, urllib.parse.quote(self.file))
        return "/".join(part for part in parts if part)

    @property
    def hub(self) -> dict[str, Any]:
        """The file of a `hub` row as arguments of huggingface_hub's functions."""
        data_set = self.repository.startswith("datasets/")
        return {
            "repo_id": self.repository.removeprefix("datasets/"),
            "filename": self.file,
            "repo_type": "dataset" if data_set else "model",
        }

    @property
    def stated_sha256(self) -> str:
        """The first digits, which torch's publishers put in a name, as in vgg16-397923af.pth."""
        match = SHA_IN_NAME.search(self.file)
        return match[1] if match else ""


def read_assets(file: Path = ASSETS) -> dict[str, list[Row]]:
    """Asset -> its rows. Raises AssetError naming file and line."""
    assets: dict[str, list[Row]] = {}
    seen: set[str] = set()
    for where, cells in read_cells(file, COLUMNS):
        try:
            gigabytes = float(cells["gigabytes"])
        except ValueError:
            gigabytes = 0.0
        wrong = {
            "asset": not _inside(cells["asset"]),
            "path": not _inside(cells["path"]),
            "source": cells["source"] not in ("hub", "url"),
            "repository": not _repository(cells["source"], cells["repository"]),
            "file": not _inside(cells["file"]),
            "revision": cells["source"] == "hub" and not cells["revision"],
            "licence": not cells["licence"].strip(),
            "gated": cells["gated"] not in ("yes", "no"),
            "gigabytes": not 0 < gigabytes < 1000,
        }
        for column in (column for column, mistaken in wrong.items() if mistaken):
            raise AssetError(f"{where}: '{cells[column]}' cannot be a {column}")
        values: dict[str, Any] = {**cells, "gated": cells["gated"] == "yes", "gigabytes": gigabytes}
        row = Row(**values)
        if row.name in seen:
            raise AssetError(f"{where}: {row.name} has a line already")
        seen.add(row.name)
        assets.setdefault(row.asset, []).append(row)
    return assets


def rows_of(names: Iterable[str], file: Path = ASSETS) -> dict[str, list[Row]]:
    """The rows of some assets. Raises AssetError for a name that the table does not have."""
    assets = read_assets(file)
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if name not in assets]:
        raise AssetError(
            f"{file}: no asset {', '.join(unknown)}; there are: {', '.join(sorted(assets))}"
        )
    return {name: assets[name] for name in names}


def read_cells(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """("<file>, line <n>", cells) of a CSV file that must have exactly these columns."""
    if not file.exists():
        raise AssetError(f"{file} is missing")
    with file.open(encoding="utf-8", newline="") as handle:
        reader = csv.reader(handle)
        if next(reader, None) != list(columns):
            raise AssetError(f"{file}, line 1: the columns must be {','.join(columns)}")
        for cells in reader:
            where = f"{file}, line {reader.line_num}"
            if len(cells) != len(columns):
                raise AssetError(f"{where}: {len(cells)} cells instead of {len(columns)}")
            yield where, dict(zip(columns, cells, strict=True))


def _inside(path: str) -> bool:
    """Whether a path stays inside the folder that it is relative to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts


def _repository(source: str, repository: str) -> bool:
    if source == "url":
        return repository.startswith(("https://", "http://"))
    return len(repository.removeprefix("datasets/").split("/")) == 2
