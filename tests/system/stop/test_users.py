"""Two users of one group folder resume each other's runs; an error names a missing right."""

import shutil
import stat

import pytest

from pcpo.config import ModelSource
from pcpo.training.run_folder import read_manifest
from tests.small import experiment
from tests.system.stop.test_faults import in_epoch, run
from tests.system.users import as_user, shared_folder

ALICE, BOB = 12345, 12346
CHOSEN = experiment(1, epochs=2, checkpoint_every=1)


@pytest.fixture
def place(models):
    """A folder of the group, and in it a base model that all may read."""
    with shared_folder(0o2775) as folder:
        shutil.copytree(models[CHOSEN.model].path, folder / "model")
        for file in (folder / "model").rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        yield folder


@pytest.fixture
def reachable(place):
    return {CHOSEN.model: ModelSource(path=str(place / "model"))}


def stop():
    raise KeyboardInterrupt


def begun(models, path):
    """A run that is stopped in its second epoch."""

    def work():
        with pytest.raises(KeyboardInterrupt):
            run(models, path, in_epoch(2, stop), chosen=CHOSEN)

    return work


def test_another_user_of_the_group_resumes_a_run(reachable, place):
    path, output = place / "runs" / "run", place / "output"
    assert as_user(ALICE, begun(reachable, path)) == 0

    def go_on():
        lines = []
        run(reachable, path, log=lines.append, chosen=CHOSEN)
        output.write_text("\n".join(lines))

    assert as_user(BOB, go_on) == 0
    assert output.read_text().startswith("resuming after epoch 1")
    assert sorted(read_manifest(path / "checkpoints.csv")) == [1, 2]
    files = [file for file in path.rglob("*") if file.is_file()]
    assert {file.stat().st_uid for file in files} == {ALICE, BOB}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o664}


def test_a_run_that_is_not_for_others_is_not_called_damaged(reachable, place):
    path = place / "runs" / "run"
    assert as_user(ALICE, begun(reachable, path), umask=0o022) == 0
    output = as_user(BOB, lambda: run(reachable, path, chosen=CHOSEN))
    assert "Permission denied for user 12346" in output
    assert "is user 12345's" in output
    for entry in (path, *path.rglob("*")):
        private = entry.name == "state.safetensors"
        entry.chmod(0o2775 if entry.is_dir() else 0o600 if private else 0o664)
    output = as_user(BOB, lambda: run(reachable, path, chosen=CHOSEN))
    assert "state.safetensors: Permission denied for user 12346" in output
    assert "damaged" not in output
