"""The archives in studies/, the project's published runs: this version reads each of them."""

import zipfile
from functools import cache

import pytest

from pcpo.archive.bundle import open_archive
from pcpo.claims.claim import read_claims
from pcpo.claims.evidence import Evidence
from pcpo.claims.ledger import evaluate
from pcpo.config import files, load_experiment, load_experiments, load_scale
from pcpo.paths import Paths
from pcpo.records import frame_file, frames
from pcpo.report.ledger import read_ledger
from pcpo.report.ledger_table import to_table
from pcpo.workflow.targets import Targets
from tests.system.pipeline import ROOT

ARCHIVES = sorted((ROOT / "studies").glob("*.zip"))
CHANGED = {"small-1": {"flow_grpo_kl"}}
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
    """Primary claims and own questions as tables: of the archive's frames, and of its ledgers."""
    opened = open_archive(path, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CONFIG", opened.folder / "config")
        scale = load_scale(opened.scale)
        experiments = {name: load_experiment(name, opened.scale) for name in opened.experiments}
        paths = Paths(opened.scale, f"{opened.folder}/")
        named = Targets(scale, experiments, opened.seeds, paths).all_frames()
        evidence = Evidence(
            load_experiments(opened.scale),
            {
                name: frame_file.read(named[name], spec, scale.name)
                for name, spec in frames.BY_NAME.items()
                if named.get(name)
            },
        )
        primary = [c for c in read_claims(files.CONFIG / "claims.yaml") if c.primary]
        asked = [primary]
        if scale.questions:
            asked.append(read_claims(files.CONFIG / f"{scale.questions}.yaml"))
        found = []
        for claims in asked:
            ledger = folder / "ledger.csv"
            evaluate(claims, evidence).to_csv(ledger, index=False)
            found.append(to_table(read_ledger(ledger)))
    with zipfile.ZipFile(path) as archive:
        kept = [
            read_ledger(archive.extract(f"results/{opened.scale}/{name}.csv", folder))
            for name in ("claims", "questions")[: len(found)]
        ]
    return found, [to_table(c for c in kept[0] if c.primary), *map(to_table, kept[1:])]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Path of an archive -> the tables that this version makes of its frames, and its own ones."""
    return cache(lambda path: tables(path, tmp_path_factory.mktemp(path.stem)))


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda p: p.stem)
def test_a_page_has_the_tables_of_a_published_archive(path, drawn):
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    for table in drawn(path)[0]:
        if table.count("\n") > 2:  # it has rows
            assert table in pages


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda p: p.stem)
def test_a_published_archive_has_the_estimates_of_this_version(path, drawn):
    """But for those of which docs/study.md says that they changed."""
    for now, own in zip(*drawn(path), strict=True):
        changed = {*now.splitlines()} ^ {*own.splitlines()}
        assert {line.split("`")[1] for line in changed} <= CHANGED.get(path.stem, set())


def test_rows_of_claims_in_the_readme_are_of_published_archives(drawn):
    text = "".join(table for path in ARCHIVES for table in drawn(path)[0])
    rows = {line for line in text.splitlines() if line.startswith("| `")}
    shown = {line for line in (ROOT / "README.md").read_text().splitlines() if "| `" in line[:4]}
    assert shown and shown <= rows
