"""Whether a change of the code that is to change no result changes none.

    python -m tests.system.unchanged COMMIT                  # the smoke pipeline, twice
    python -m tests.system.unchanged COMMIT --archive FILE   # only what is drawn from it

Runs the code of a commit and that of this checkout, each in a copy of its own. Of the pipeline all
that `sameness.py` compares must be equal byte for byte, but for digests of code and keys of caches
(`OF_THE_CODE`); of the drawing from an archive every table, figure and claim, and the report but
for times, commits, names of sources and the section on code and machine. Newer code may make more
files. Files that a change renames are named as missing: compare them by hand.
"""

import argparse
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.system.pipeline import ROOT, copy_sources, snakemake
from tests.system.stop.sameness import contents

SECTION = re.compile(r'<section id="provenance">.*?</section>', re.S)
TIME = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?( UTC|Z|\+00:00)?"
VARYING = re.compile(rf"{TIME}|\b[0-9a-f]{{7,64}}\b|\bpcpo/[\w/]+\.py\b")


# Files that contain digests of code or are named by one, and who holds a lock.
OF_THE_CODE = re.compile(r"(/features/.*\.json|/lock|/made_by|/state\.json)$|\.scores/")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit", help="of the code to compare with")
    parser.add_argument("--archive", type=Path, help="of a finished run")
    parser.add_argument("--folder", type=Path, help="where to run; kept, unlike the one made here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pcpo_unchanged_") as made:
        folder = args.folder or Path(made)
        old = sources_of(args.commit, folder / "old")
        new = copy_sources(folder / "new")
        if args.archive is None:
            results = both(old, new, "--cores", "1", "--config", "scale=smoke")
            first, second = (results_of(folder) for folder in results)
            assert_nothing_changed(first, second, *results)
        else:
            config = f"from_bundle={args.archive.resolve()}"
            results = both(old, new, "--cores", "1", "--config", config)
            assert_nothing_changed(*map(drawn, results), *results)
    print(f"the code of {args.commit} and that of this checkout give the same")


def sources_of(commit, folder):
    """The files of a commit, in a new folder."""
    packed = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def both(old, new, *arguments):
    """Run both side by side; the results folders."""
    with ThreadPoolExecutor(2) as side_by_side:
        done = list(side_by_side.map(lambda place: snakemake(place, *arguments), (old, new)))
    for code, output in done:
        if code:
            sys.exit(output[-6000:])
    return [next(iter(sorted(place.glob("results/**/report.html")))).parent for place in (old, new)]


def results_of(folder):
    """Name -> digest of what must not vary, without what contains digests of code."""
    found = {path.as_posix(): digest for path, digest in contents(folder).items()}
    return {name: digest for name, digest in found.items() if not OF_THE_CODE.search(name)}


def assert_nothing_changed(first, second, one, other):
    """Everything in the older results is in the newer ones, and the same."""
    missing = sorted(first.keys() - second.keys())
    assert not missing, f"only in {one}: {missing}"
    print("only in the newer one:", ", ".join(sorted(second.keys() - first.keys())) or "nothing")
    different = sorted(name for name in first if first[name] != second[name])
    assert not different, f"{one} and {other} differ in {different}"
    assert len(first) > 10, f"{one}: nothing was made"


def drawn(results):
    """Name -> content of what is made from an archive."""
    made = [*results.glob("tables/*"), *results.glob("figures/*")]
    made += [results / "claims.csv", results / "claims.md", results / "compare.csv"]
    read = {file.relative_to(results).as_posix(): file.read_bytes() for file in made}
    page = SECTION.sub("", (results / "report.html").read_text(encoding="utf-8"))
    return read | {"report.html": VARYING.sub("", page).encode()}


if __name__ == "__main__":
    main()
