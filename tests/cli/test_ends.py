"""`python -m pcpo.cli.ends` on runs of small models."""

import json

import pytest
import torch
from safetensors.torch import save_file

from pcpo import features
from pcpo.cli import ends, train
from pcpo.features.quality_network import QualityNetwork
from pcpo.records import frame_file, frames
from tests.cli import test_select

command = test_select.command  # its fixture: commands on configuration 1 with small models


@pytest.fixture
def distances(command, monkeypatch, tmp_path):
    """Measure these (arm, run) with an untrained quality network; the FID of each."""
    folder, load = tmp_path / "quality_network", features.load
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(QualityNetwork().state_dict(), folder / "model.safetensors")
    config = {"channels": [24, 48, 64, 64], "classes": [5, 9, 4]}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(features, "load", lambda name, _, *more: load(name, str(folder), *more))

    def measured(*arms):
        words = [word for arm in arms for word in ("--arm", *arm)]
        command(ends, *words, "--out", "out/ends.csv", images_per_prompt=8)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["ends.csv"]
        frame = frame_file.read("out/ends.csv", frames.METRICS_OVERALL, "smoke")
        return frame[frame["metric"] == "fid"].set_index("arm")["value"]

    return measured


def test_images_are_those_of_the_last_checkpoint(command, distances, tmp_path):
    command(train, "pcpo", "--out", "run")
    found = distances(("pcpo", "run"))
    assert found.index.tolist() == ["base", "pcpo"]
    assert found["base"] == pytest.approx(0, abs=1e-6) and found["pcpo"] > 1e-3
    lines = (tmp_path / "run" / "checkpoints.csv").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "checkpoints.csv").write_text("".join(lines[:2]))  # the first one alone
    assert distances(("pcpo", "run"))["pcpo"] != found["pcpo"]


def test_another_arms_run_is_refused(command, distances, tmp_path):
    command(train, "baseline", "--out", "run")
    with pytest.raises(ValueError, match="baseline"):
        distances(("pcpo", "run"))
    assert not (tmp_path / "out").exists()
