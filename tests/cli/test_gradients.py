"""`python -m pcpo.cli.gradients` on a run of small models."""

import pytest

from pcpo import policies
from pcpo.cli import gradients, train
from pcpo.config import load_experiment
from pcpo.records import frame_file, frames
from pcpo.training.run_folder import read_manifest
from tests.cli import test_select

command = test_select.command  # its fixture: commands on configuration 1 with small models
NAME = "01_ddpo_aesthetic_half"


def test_checkpoints_of_a_run_are_measured_from_the_base_model_on(command):
    command(train, "pcpo", "--out", "run")
    options = ("--run", "run", "--epochs", "0", "5", "--out", "gradients.parquet")
    command(gradients, "pcpo", *options)
    frame = frame_file.read("gradients.parquet", frames.GRADIENTS, "smoke", [NAME])
    assert set(zip(frame["experiment"], frame["arm"], frame["seed"], strict=True)) == {
        (NAME, "pcpo", 0)
    }
    by_epoch = frame.set_index(["epoch", "step"])["grad_norm"].unstack("epoch")
    assert list(by_epoch.columns) == [0, 5]
    assert list(by_epoch.index) == [frames.WHOLE, *range(len(by_epoch) - 1)]
    assert (by_epoch > 0).all(axis=None)
    assert (by_epoch[0] != by_epoch[5]).all()  # the checkpoint's weights are those that were loaded
    command(gradients, "pcpo", *options[:3], "0", "--out", "base.parquet")
    base = frame_file.read("base.parquet", frames.GRADIENTS).set_index("step")["grad_norm"]
    assert base.equals(by_epoch[0].reindex(base.index).rename("grad_norm"))


def test_the_denoiser_is_not_compiled(command, monkeypatch):
    """In fp16 the graph of a loss is used several times, which a compiled backward refuses."""
    compiled, own = [], load_experiment(1, "smoke")
    own = own.model_copy(update={"execution": own.execution.model_copy(update={"compile": True})})

    def load(experiment, *arguments, **options):
        compiled.append(experiment.execution.compile)
        raise InterruptedError

    command(train, "pcpo", "--out", "run")
    command(gradients, "pcpo", "--run", "run", "--epochs", "0", "--out", "gradients.parquet")
    monkeypatch.setattr(policies, "load", load)
    monkeypatch.setattr(gradients, "load_experiment", lambda *names: own)
    with pytest.raises(InterruptedError):
        gradients.main()
    assert compiled == [False]


def test_an_epoch_without_a_checkpoint_and_another_arms_run_are_refused(command, tmp_path):
    command(train, "pcpo", "--out", "run")
    assert 7 not in read_manifest(tmp_path / "run" / "checkpoints.csv")
    with pytest.raises(ValueError, match="there is no checkpoint of epoch 7"):
        command(gradients, "pcpo", "--run", "run", "--epochs", "0", "7", "--out", "new.parquet")
    with pytest.raises(ValueError, match="baseline"):
        command(gradients, "baseline", "--run", "run", "--epochs", "1", "--out", "new.parquet")
    assert not (tmp_path / "new.parquet").exists()
