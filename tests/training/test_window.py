"""Arms with a window: which steps an epoch trains, and that no other step has noise."""

import pytest
import torch

from pcpo.config import load_arm
from pcpo.config.arms import Window
from pcpo.prompts.draws import iteration_prompts
from pcpo.records import frame_file, frames
from pcpo.training.loop import train
from pcpo.training.rollout import roll_out
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from tests.small import PROMPTS, brightness, experiment, policy

# Of the six steps of the sampler the last is never trained.
BY_EPOCH = {
    **{1: [0, 1], 2: [0, 1], 3: [0, 1]},
    **{4: [1, 2], 5: [1, 2], 6: [1, 2]},
    **{7: [2, 3], 8: [2, 3], 9: [2, 3]},
    **{10: [3, 4], 11: [3, 4], 12: [3, 4]},
    **{13: [0, 1], 14: [0, 1], 15: [0, 1], 16: [1, 2]},
}


def windowed(models, epochs=1):
    window = Window(steps=2, every=3)
    arm = load_arm("matching_window").model_copy(update={"window": window})
    chosen = experiment(8, epochs=epochs, sampler={"steps": 6}, kl_beta=None)
    fresh = policy(models, chosen, train=True)
    return Run(chosen, arm, 0, fresh, brightness, PROMPTS)


def test_the_window_moves_by_one_step_and_starts_again(models):
    run = windowed(models)
    found = {epoch: run.trained(epoch).nonzero()[:, 0].tolist() for epoch in BY_EPOCH}
    assert found == BY_EPOCH


def test_noise_is_where_an_epoch_trains(models):
    run = windowed(models)
    for epoch, steps in BY_EPOCH.items():
        std = run.sampler_of(epoch).std
        assert (std > 0).nonzero()[:, 0].tolist() == steps
        assert torch.equal(std[steps], run.sampler.std[steps])


@pytest.mark.parametrize("epoch", [1, 4])
def test_images_take_steps_without_noise_outside_of_the_window(models, epoch):
    run = windowed(models)
    ids = iteration_prompts(run.experiment.batch, len(PROMPTS), 0, epoch)
    kept = roll_out(run, epoch, ids).micro_batches[0][0].trajectory
    x = torch.cat([kept.latents, kept.final[:, None]], 1)
    for step, dt in enumerate(run.sampler.dt.tolist()):
        euler = x[:, step] - dt * kept.predictions_old[:, step]
        away = (x[:, step + 1] - euler).abs().max()
        assert away > 0.1 if step in BY_EPOCH[epoch] else away < 1e-5


def test_updates_train_the_window_of_their_epoch(models, tmp_path):
    run = windowed(models, epochs=4)
    train(run, RunFolder(tmp_path, "same"), log=lambda message: None)
    rows = frame_file.read(tmp_path / "timesteps.parquet", frames.TIMESTEPS)
    for (epoch, _), steps in rows.groupby(["epoch", "update"])["step"]:
        assert steps.tolist() == BY_EPOCH[epoch]
    assert rows["epoch"].nunique() == 4
