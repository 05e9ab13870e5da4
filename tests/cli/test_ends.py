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
    """Measure these runs with an untrained quality network; the FID of each."""
    folder, load = tmp_path / "quality_network", features.load
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(QualityNetwork().state_dict(), folder / "model.safetensors")
    config = {"channels": [24, 48, 64, 64], "classes": [5, 9, 4]}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(features, "load", lambda name, _, *more: load(name, str(folder), *more))

    def measured(*runs):
        words = [word for folder in runs for word in ("--run", folder)]
        command(ends, *words, "--out", "out/ends.csv", images_per_prompt=8)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["ends.csv"]
        frame = frame_file.read("out/ends.csv", frames.ENDS, "smoke")
        return frame[frame["metric"] == "fid"].set_index(["arm", "seed", "epoch"])["value"]

    return measured


def test_images_are_those_of_the_last_checkpoint(command, distances, tmp_path):
    command(train, "pcpo", "--out", "run")
    command(train, "baseline", "--out", "other", "--seed", "1")
    both = distances("other", "run")
    assert {*both.index} == {("base", 1, 0), ("baseline", 1, 5), ("base", 0, 0), ("pcpo", 0, 5)}
    assert both["base"].to_numpy() == pytest.approx(0, abs=1e-6)
    found = distances("run")["pcpo", 0, 5]
    assert found > 1e-3 and found != both["baseline", 1, 5]
    assert both["pcpo", 0, 5] == found  # whatever was loaded before
    lines = (tmp_path / "run" / "checkpoints.csv").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "checkpoints.csv").write_text("".join(lines[:2]))  # the first one alone
    assert distances("run")["pcpo", 0, 1] != found


def test_a_run_twice_or_of_another_configuration_is_refused(command, distances, tmp_path):
    command(train, "baseline", "--out", "run")
    with pytest.raises(ValueError, match="--run run: arm 'baseline' of seed 0 is there twice"):
        distances("run", "run")
    (tmp_path / "run" / "checkpoints.csv").unlink()
    with pytest.raises(FileNotFoundError, match="checkpoints"):
        distances("run")
    assert not (tmp_path / "out").exists()
