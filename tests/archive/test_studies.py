"""The archives in studies/, the project's published runs: this version reads each of them."""

import pytest

from pcpo.archive.bundle import open_archive
from pcpo.claims.claim import read_claims
from pcpo.config import files, load_experiment, load_scale
from pcpo.paths import Paths
from pcpo.records import frame_file, frames
from pcpo.workflow.targets import Targets
from tests.system.pipeline import ROOT

LARGEST = 25_000_000  # bytes, so that the repository stays easy to clone


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.zip")), ids=lambda p: p.stem)
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
        assert len(frame_file.read(places, frames.BY_NAME[frame], scale.name))
