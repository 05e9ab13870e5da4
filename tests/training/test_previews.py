"""Preview images: the same prompts and noise, drawn without any effect on the training."""

from functools import partial

import numpy as np
import pytest

from pcpo.config import TRAINING_FIELDS, load_experiment, load_scale
from pcpo.config.scale import Previews
from pcpo.evaluation.generation import generate
from pcpo.records import frame_file, strips
from pcpo.samplers import build
from pcpo.training.previews import previews
from pcpo.training.run_folder import LOGS, read_manifest
from pcpo.training.set_aside import put
from tests.small import PROMPTS, experiment, policy
from tests.training.runs import HELD_OUT, run


def watched(path, every=2, prompts=2):
    return partial(previews, folder=path, config=Previews(every=every, prompts=prompts))


@pytest.mark.parametrize("number", [1, 5, 8])
def test_a_run_with_previews_has_the_same_bytes_as_one_without(models, tmp_path, number):
    """8 has a moving average, which the previews show and the training must not take over."""
    chosen = experiment(number, epochs=3, checkpoint_every=1, validation=HELD_OUT)
    plain, shown = tmp_path / "plain", tmp_path / "shown"
    run(models, plain, chosen)
    run(models, shown, chosen, watch=watched(shown, every=1, prompts=3))
    for spec in LOGS:
        pair = [frame_file.read(path / f"{spec.name}.parquet", spec) for path in (plain, shown)]
        one, other = (frame.drop(columns="seconds", errors="ignore") for frame in pair)
        assert one.equals(other)
    manifests = [read_manifest(path / "checkpoints.csv") for path in (plain, shown)]
    for one, other in zip(*(manifest.values() for manifest in manifests), strict=True):
        for file in one.iterdir():
            assert (other / file.name).read_bytes() == file.read_bytes(), file


def test_strips_are_of_the_epochs_that_are_due_and_show_the_checkpoint(models, tmp_path):
    chosen = experiment(8, epochs=3, checkpoint_every=1, ema={"every": 1, "images_per_call": None})
    run(models, tmp_path, chosen, watch=watched(tmp_path))
    found = strips.read(tmp_path)
    assert list(found) == [0, 2, 3]
    assert {strip.prompts for strip in found.values()} == {(PROMPTS[0], PROMPTS[2])}
    saved = policy(models, chosen)
    sampler = build(chosen.sampler, saved.scheduler_config)
    for epoch, strip in found.items():
        assert strip.images.shape == (2, 32, 32, 3) and strip.images.dtype == np.uint8
        if epoch:
            saved.load_weights(read_manifest(tmp_path / "checkpoints.csv")[epoch])
        items = [(prompt, 0) for prompt in strip.prompts]
        guidance = chosen.sampler.guidance_scale
        images = generate(saved, sampler, guidance, items, 2, stream="preview")
        own = np.stack([image.numpy().transpose(1, 2, 0) for image in images]).astype(int)
        # A loaded adapter is added in another order of operations: some grey levels may differ.
        assert np.abs(own - strip.images).max() <= 1
    assert not np.array_equal(found[0].images, found[3].images)


def test_previews_are_no_part_of_a_runs_identity(models, tmp_path):
    """A stopped run goes on when they are switched on; set aside, they go with it."""
    log = []
    run(models, tmp_path / "seed0", experiment(1, epochs=1))
    chosen = experiment(1, epochs=2)
    run(models, tmp_path / "seed0", chosen, watch=watched(tmp_path / "seed0"), log=log.append)
    assert log == ["resuming after epoch 1"]
    assert list(strips.read(tmp_path / "seed0")) == [2]
    kept = put(tmp_path / "seed0")
    assert list(strips.read(kept)) == [2] and not strips.read(tmp_path / "seed0")
    assert load_scale("demo").previews and load_scale("paper").previews is None
    one, other = (load_experiment(1, s).identity(*TRAINING_FIELDS) for s in ("demo", "study"))
    assert "previews" not in {*one, *other}
