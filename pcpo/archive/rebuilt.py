"""Compare files that were made again from an archive with the archive's own files."""

from __future__ import annotations

from dataclasses import dataclass

from pcpo.archive.bundle import MADE, MANIFEST, Archive, read_manifest
from pcpo.records.digest import of_file

_NAMED = 6  # the others are counted


@dataclass(frozen=True)
class Rebuilt:
    """Names of files below the archive's folder."""

    same: tuple[str, ...]
    other: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        there = len(self.same) + len(self.other)
        sentence = (
            f"{len(self.same)} of {there} files made again are those of the archive, byte by byte"
        )
        if self.other:
            more = len(self.other) - _NAMED
            sentence += f"; not: {', '.join(self.other[:_NAMED])}"
            sentence += f" and {more} more" if more > 0 else ""
        return sentence + (f"; {len(self.missing)} were not made" if self.missing else "")


def compare_rebuilt(archive: Archive) -> Rebuilt:
    """All but the report, which describes its own making.

    A drawing also depends on a machine's fonts and libraries.
    """
    root = f"results/{archive.scale}"
    made = tuple(f"{root}/{name}" for name in MADE if name != "report.html")
    same, other, missing = [], [], []
    for name, digest in read_manifest(
        (archive.folder / MANIFEST).read_text(encoding="utf-8")
    ).items():
        if not name.startswith(made):
            continue
        path = archive.folder / name
        if not path.exists():
            missing.append(name)
        elif of_file(path) == digest:
            same.append(name)
        else:
            other.append(name)
    return Rebuilt(tuple(same), tuple(other), tuple(missing))
