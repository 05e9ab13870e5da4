"""The archives in studies/, the project's published runs: this version reads each of them."""

import zipfile

import pytest

from pcpo.archive.bundle import open_archive
from pcpo.claims.claim import read_claims
from pcpo.config import files, load_experiment, load_scale
from pcpo.paths import Paths
from pcpo.records import frame_file, frames
from pcpo.report.ledger import read_ledger
from pcpo.report.ledger_table import to_table
from pcpo.workflow.targets import Targets
from tests.system.pipeline import ROOT

ARCHIVES = sorted((ROOT / "studies").glob("*.zip"))
LARGEST = 25_000_000  # bytes, so that the repository stays easy to clone


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda p: p.stem)
def test_a_published_archive_can_be_read(path, tmp_path, monkeypatch):
    """Its own configuration and claims by this code, and the frames of its first experiment."""
    assert path.stat().st_size < LARGEST
    opened = open_archive(path, tmp_path)
    monkeypatch.setattr(files, "CONFIG", opened.folder / "config")
    assert read_claims(opened.folder / "config" / "claims.yaml")
    scale = load_scale(opened.scale)
    experiments = {name: load_experiment(name, opened.scale) for name in opened.experiments}
    paths = Paths(opened.scale, f"{opened.folder}/")
    targets = Targets(scale, experiments, opened.seeds, paths)
    first = [*experiments.values()][:1]
    for frame in ("updates", "timesteps", "validation"):
        assert len(
            frame_file.read(targets.run_frames(frame, first), frames.BY_NAME[frame], scale.name)
        )
    for frame in ("overall", "per_prompt", "selection"):
        places = targets.measured_frames(frame, first)
        # Without compared arms no image is measured.
        assert len(frame_file.read(places, frames.BY_NAME[frame], scale.name)) or not places


def tables(path, folder):
    """The ledger of an archive as tables: its primary claims, and the scale's own questions."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(("/claims.csv", "/questions.csv")):
                archive.extract(name, folder)
    (claims,) = folder.glob("results/*/claims.csv")
    found = [to_table(claim for claim in read_ledger(claims) if claim.primary)]
    questions = claims.with_name("questions.csv")
    return found + ([to_table(read_ledger(questions))] if questions.exists() else [])


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda p: p.stem)
def test_a_page_has_the_tables_of_a_published_archive(path, tmp_path):
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    for table in tables(path, tmp_path):
        if table.count("\n") > 2:  # it has rows
            assert table in pages


def test_rows_of_claims_in_the_readme_are_of_published_archives(tmp_path):
    text = "".join(table for path in ARCHIVES for table in tables(path, tmp_path / path.stem))
    rows = {line for line in text.splitlines() if line.startswith("| `")}
    shown = {line for line in (ROOT / "README.md").read_text().splitlines() if "| `" in line[:4]}
    assert shown and shown <= rows
