"""The loop on small pipelines: resuming, what stops a run, other lengths, and validation."""

import os
import resource
import shutil
import signal
import threading
import time

import pandas as pd
import pytest
from diffusers import FlowMatchEulerDiscreteScheduler

from pcpo.config import load_arm
from pcpo.prompts.draws import evaluation_prompts
from pcpo.records import frame_file, frames, history
from pcpo.training.loop import train
from pcpo.training.run import Run
from pcpo.training.run_folder import LOGS, RunFolder, read_manifest, verify_checkpoint
from pcpo.training.set_aside import put
from pcpo.training.update import TrainingDiverged
from pcpo.trajectory import gaussian_noise
from tests.small import (
    PROMPTS,
    brightness,
    brightness_by_prompt,
    experiment,
    newest_state,
    policy,
)
from tests.training.runs import HELD_OUT, HELD_OUT_PROMPTS, run, same_tensors, weights

# --- resuming --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 5, 6, 8])
def test_interrupted_equals_uninterrupted(models, tmp_path, number):
    """SIGTERM between checkpoints, then a crash within an epoch, then the rest."""
    # Of two calls of the average one falls before the first stop, at update 2, and one after it.
    ema = {"ema": {"every": 3, "images_per_call": 1}} if number == 8 else {}
    chosen = experiment(number, epochs=4, checkpoint_every=2, validation=HELD_OUT, **ema)
    whole_path, path, log = tmp_path / "whole", tmp_path / "pieces", []
    run(models, whole_path, chosen, adapter=7)

    def terminate(row):
        if row["epoch"] == 1 and row["update"] == 1:
            signal.raise_signal(signal.SIGTERM)

    def crash(row):
        if row["epoch"] == 4 and row["update"] == 1:
            raise RuntimeError("the machine went down")

    # Later pieces start from other adapters: what counts is the state that they resume from.
    with pytest.raises(InterruptedError, match="epoch 1"):
        run(models, path, chosen, report=terminate, adapter=7)
    assert not (path / "checkpoints.csv").exists()
    with pytest.raises(RuntimeError, match="went down"):
        run(models, path, chosen, report=crash, adapter=8, log=log.append)
    assert "resuming after epoch 1" in log
    run(models, path, chosen, adapter=9, log=log.append)
    assert "resuming after epoch 2" in log

    for spec in LOGS:
        pieces, whole = (
            frame_file.read(p / f"{spec.name}.parquet", spec).drop(
                columns="seconds", errors="ignore"
            )
            for p in (path, whole_path)
        )
        assert len(whole) > 4
        pd.testing.assert_frame_equal(pieces, whole, check_exact=True)
    assert list(read_manifest(path / "checkpoints.csv")) == [2, 4]
    for epoch in (2, 4):
        assert same_tensors(weights(path, epoch), weights(whole_path, epoch))


def test_a_complete_run_writes_its_outputs_again_without_training(models, tmp_path):
    chosen = experiment(1, epochs=1)
    before = run(models, tmp_path, chosen)
    (tmp_path / "updates.parquet").unlink()
    (tmp_path / "checkpoints.csv").unlink()

    def untouched(images, prompts):
        raise AssertionError("nothing is left to sample")

    pd.testing.assert_frame_equal(run(models, tmp_path, chosen, reward=untouched), before)


def test_a_checkpoint_that_is_gone_is_trained_again(models, tmp_path):
    chosen = experiment(1, epochs=2)
    before = run(models, tmp_path, chosen)
    shutil.rmtree(tmp_path / "checkpoints" / "epoch_00001")
    log = []
    after = run(models, tmp_path, chosen, log=log.append)
    assert "epoch_00001: this checkpoint is gone; starting over" in log[0]
    assert list(read_manifest(tmp_path / "checkpoints.csv")) == [1, 2]
    pd.testing.assert_frame_equal(before.drop(columns="seconds"), after.drop(columns="seconds"))


def test_sigterm_is_the_callers_again_afterwards(models, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    run(models, tmp_path, experiment(1, epochs=1))
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_configuration_starts_over_and_logs_it(models, tmp_path):
    run(models, tmp_path, experiment(1, epochs=2))
    log = []
    other = experiment(1, epochs=1, optimizer={"learning_rate": 1e-3})
    updates = run(models, tmp_path, other, identity="another", log=log.append)
    assert "another configuration" in log[0]
    assert "starting over" in log[0]
    assert (updates["learning_rate"] == 1e-3).all()
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["epoch_00001"]


def damage(file, how):
    data = file.read_bytes()
    if how == "missing":
        file.unlink()
    elif how == "truncated":
        file.write_bytes(data[:-100])
    else:
        middle = len(data) // 2
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def stopped_in_epoch_3(models, path, chosen):
    """A run that was killed with states of epochs 1 and 2."""

    def crash(row):
        if row["epoch"] == 3:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run(models, path, chosen, report=crash)
    return [path / "resume" / f"epoch_{epoch:05d}" for epoch in (1, 2)]


@pytest.fixture(scope="module")
def undisturbed(models, tmp_path_factory):
    """Experiment, folder and update log of a run of three epochs that nothing stopped."""
    chosen, folder = experiment(1, epochs=3, checkpoint_every=1), tmp_path_factory.mktemp("whole")
    return chosen, folder, run(models, folder, chosen)


@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "updates.parquet"])
@pytest.mark.parametrize("how", ["truncated", "missing", "flipped"])
def test_a_damaged_state_is_passed_over_for_the_one_before(
    models, undisturbed, tmp_path, file, how
):
    (chosen, folder, whole), log = undisturbed, []
    older, newer = stopped_in_epoch_3(models, tmp_path / "run", chosen)
    damage(newer / file, how)
    updates = run(models, tmp_path / "run", chosen, log=log.append)
    assert f"{newer}: the resume state is damaged: {newer / file}" in log[0]
    assert log[1] == "resuming after epoch 1"
    pd.testing.assert_frame_equal(
        updates.drop(columns="seconds"), whole.drop(columns="seconds"), check_exact=True
    )
    assert not older.exists()  # a complete run keeps the newest alone
    assert same_tensors(weights(tmp_path / "run", 3), weights(folder, 3))


def test_two_damaged_states_are_named(models, tmp_path):
    chosen = experiment(1, epochs=3, checkpoint_every=1)
    states = stopped_in_epoch_3(models, tmp_path, chosen)
    for state in states:
        damage(state / "state.json", "flipped")
    with pytest.raises(ValueError, match=f"pcpo.cli.aside --put {tmp_path} ") as caught:
        run(models, tmp_path, chosen)
    assert all(str(state / "state.json") in str(caught.value) for state in states)
    log = []
    kept = put(tmp_path)  # what the message says
    assert len(list(kept.glob("resume/epoch_*"))) == 2 and list(kept.glob("checkpoints/epoch_*"))
    run(models, tmp_path, chosen, log=log.append)
    assert log == []


@pytest.mark.parametrize("how", ["truncated", "missing", "flipped"])
def test_a_damaged_checkpoint_is_refused(models, tmp_path, how):
    run(models, tmp_path, experiment(1, epochs=1))
    [folder] = read_manifest(tmp_path / "checkpoints.csv").values()
    verify_checkpoint(folder, epoch=1)
    [file] = folder.glob("*.safetensors")
    damage(file, how)
    with pytest.raises(ValueError, match=f"{file} .*pcpo.cli.aside --put {tmp_path} "):
        verify_checkpoint(folder, epoch=1)


def test_a_state_that_lacks_a_tensor_is_named(models, tmp_path):
    small = experiment(1, epochs=1)
    run(models, tmp_path, small)
    larger = small.model_copy(
        update={"lora": small.lora.model_copy(update={"target_modules": ("to_q", "ff.net.2")})}
    )
    with pytest.raises(ValueError, match="damaged"):
        run(models, tmp_path, larger)


def test_a_stop_between_the_two_renames_loses_nothing(models, tmp_path):
    chosen = experiment(1, epochs=2)

    def crash(row):
        if row["epoch"] == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run(models, tmp_path, chosen, report=crash)
    state = newest_state(tmp_path)
    state.rename(state.with_name(state.name + ".old"))
    log = []
    run(models, tmp_path, chosen, log=log.append)
    assert log == ["resuming after epoch 1"]


def test_a_manifest_that_cannot_be_used_is_named(tmp_path):
    path = tmp_path / "checkpoints.csv"
    with pytest.raises(FileNotFoundError, match=r"checkpoints\.csv: the run is not complete"):
        read_manifest(path)
    for text in ("", "epoch,folder\n", "epoch,folder\n1\n", "epoch,folder\n1x,a\n", "a,b\n1,2\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"checkpoints\.csv: .*manifest.* makes it again"):
            read_manifest(path)
    path.write_text("epoch,folder\n3,checkpoints/epoch_00003\n")
    with pytest.raises(FileNotFoundError, match=r"epoch_00003: the checkpoint of epoch 3 is miss"):
        read_manifest(path)


def test_a_second_writer_waits_for_the_first(tmp_path):
    messages, order = [], []

    def second():
        with RunFolder(tmp_path, "two").lock(messages.append):
            order.append("second")

    with RunFolder(tmp_path, "one").lock():
        thread = threading.Thread(target=second)
        thread.start()
        while not messages:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert f"process {os.getpid()} on " in messages[0]
    assert "trains this run; waiting" in messages[0]


def test_the_history_has_starts_saves_and_the_end(models, tmp_path):
    chosen = experiment(1, epochs=3, checkpoint_every=2)

    def terminate(row):
        if row["epoch"] == 1 and row["update"] == 1:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedError):
        run(models, tmp_path, chosen, report=terminate)
    run(models, tmp_path, chosen)
    events = [(event["event"], event["epoch"]) for event in history.read(tmp_path)]
    assert events == [
        ("started", 0), ("saved", 1), ("stopped", 1),
        ("started", 1), ("saved", 2), ("saved", 3), ("finished", 3),
    ]  # fmt: skip


# --- what stops a run ---------------------------------------------------------------------------


def nan_from(epoch, images_per_epoch):
    seen = [0]

    def reward(images, prompts):
        seen[0] += len(images)
        scores = brightness(images, prompts)
        return scores * (float("nan") if seen[0] > (epoch - 1) * images_per_epoch else 1)

    return reward


def test_a_nan_reward_stops_with_its_epoch_and_keeps_the_checkpoint(models, tmp_path):
    chosen = experiment(1, epochs=2)
    whole = run(models, tmp_path / "whole", chosen)
    path = tmp_path / "run"
    with pytest.raises(TrainingDiverged, match=r"epoch 2: .*NaN"):
        run(models, path, chosen, reward=nan_from(2, 4))
    base = policy(models, chosen)
    base.load_weights(path / "checkpoints" / "epoch_00001")
    assert not (path / "checkpoints.csv").exists()
    rest = run(models, path, chosen)
    columns = ["loss", "reward_mean", "grad_norm"]
    pd.testing.assert_frame_equal(rest[columns], whole[columns], check_exact=True)


def test_more_prompts_asked_for_than_there_are(models, tmp_path):
    batch = {"prompts_per_iteration": 8, "images_per_prompt": 1, "images_per_iteration": 8}
    with pytest.raises(ValueError, match="prompts_per_iteration is 8"):
        run(models, tmp_path, experiment(5, epochs=1, batch=batch))


def test_a_full_disk_leaves_the_last_state(models, tmp_path):
    """A limit on the size of files has the effect of a full disk: a write fails half-way."""
    chosen = experiment(1, epochs=2)

    def fill_the_disk(row):
        if row["epoch"] == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError):  # noqa: PT011  (its errno differs from a real full disk's)
            run(models, tmp_path, chosen, report=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "checkpoints" / "epoch_00002").exists()
    assert not (tmp_path / "checkpoints.csv").exists()
    log = []
    assert len(run(models, tmp_path, chosen, log=log.append)) == 4
    assert log == ["resuming after epoch 1"]


# --- another length, another rhythm, other forwards --------------------------------------------


def manifest(path):
    return list(read_manifest(path / "checkpoints.csv"))


def test_a_longer_run_resumes_and_a_shorter_one_ends_earlier(models, tmp_path):
    def trained(name, epochs, **options):
        chosen = experiment(1, epochs=epochs, checkpoint_every=2, validation=HELD_OUT)
        updates = run(models, tmp_path / name, chosen, **options)
        return updates.drop(columns="seconds")

    def untouched(images, prompts):
        raise AssertionError("nothing is left to sample")

    whole = trained("whole", 5)
    assert manifest(tmp_path / "whole") == [2, 4, 5]
    trained("run", 2)
    log = []
    pd.testing.assert_frame_equal(trained("run", 5, log=log.append), whole, check_exact=True)
    assert "resuming after epoch 2" in log
    assert manifest(tmp_path / "run") == [2, 4, 5]
    assert same_tensors(weights(tmp_path / "run", 5), weights(tmp_path / "whole", 5))

    # It is past epoch 3 and complete there: with what it was up to then, in every log.
    shorter = trained("run", 3, reward=untouched)
    pd.testing.assert_frame_equal(shorter, whole[whole["epoch"] <= 3], check_exact=True)
    assert manifest(tmp_path / "run") == [2]
    validation = frame_file.read(tmp_path / "run/validation.parquet", frames.VALIDATION)
    assert validation["epoch"].tolist() == [0, 1, 2, 3]
    # And nothing that it had done is lost.
    pd.testing.assert_frame_equal(trained("run", 5, reward=untouched), whole, check_exact=True)
    assert manifest(tmp_path / "run") == [2, 4, 5]


def test_a_run_that_was_stopped_at_its_new_last_epoch_leaves_a_checkpoint(models, tmp_path):
    def terminate(row):
        if row["epoch"] == 3 and row["update"] == 1:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedError, match="epoch 3"):
        run(models, tmp_path / "run", experiment(8, epochs=9, checkpoint_every=9), report=terminate)
    run(models, tmp_path / "run", experiment(8, epochs=3, checkpoint_every=3), adapter=9)
    run(models, tmp_path / "whole", experiment(8, epochs=3, checkpoint_every=3))
    assert manifest(tmp_path / "run") == [3]
    assert same_tensors(weights(tmp_path / "run", 3), weights(tmp_path / "whole", 3))


def test_a_run_that_is_past_its_end_without_a_checkpoint_trains_again(models, tmp_path):
    run(models, tmp_path / "run", experiment(1, epochs=4, checkpoint_every=3))
    log = []
    short = experiment(1, epochs=2, checkpoint_every=2)
    updates = run(models, tmp_path / "run", short, log=log.append)
    assert "past epoch 2, which is to be its last, and has no checkpoint up to there" in log[0]
    assert manifest(tmp_path / "run") == [2]
    pd.testing.assert_frame_equal(
        updates.drop(columns="seconds"),
        run(models, tmp_path / "whole", short).drop(columns="seconds"),
        check_exact=True,
    )


def test_another_rhythm_keeps_the_checkpoints_that_are_there(models, tmp_path):
    run(models, tmp_path, experiment(1, epochs=3, checkpoint_every=2))
    run(models, tmp_path, experiment(1, epochs=5, checkpoint_every=1))
    assert manifest(tmp_path) == [2, 3, 4, 5]


def test_smaller_forwards_go_on_with_the_same_numbers_but_for_rounding(models, tmp_path):
    """batch.micro_batch is what our advice lowers where memory is too small."""
    large = experiment(5, epochs=2)
    small = large.model_copy(update={"batch": large.batch.model_copy(update={"micro_batch": 1})})
    whole = run(models, tmp_path / "whole", large)
    run(models, tmp_path / "run", large.model_copy(update={"epochs": 1}))
    pieces = run(models, tmp_path / "run", small)
    # The rewards, of rounded pixels, and the gradient of the first update that is taken so.
    for column, tolerance in {"reward_mean": 1e-3, "grad_norm": 1e-2}.items():
        assert pieces[column].iloc[2] == pytest.approx(whole[column].iloc[2], rel=tolerance)


def test_a_checkpoint_says_whose_it_is_and_others_are_refused(models, tmp_path):
    chosen = experiment(1, epochs=1)
    folder = RunFolder(tmp_path, "same", {"experiment": chosen.name, "arm": "pcpo", "base": "abc"})
    fresh = policy(models, chosen, train=True)
    train(Run(chosen, load_arm("pcpo"), 0, fresh, brightness, PROMPTS), folder, log=lambda m: None)
    checkpoint = folder.checkpoint(1)
    verify_checkpoint(checkpoint, experiment=chosen.name, arm="pcpo", epoch=1, base="abc")
    for key, wanted in {"experiment": "02_ddpo_aesthetic", "base": "abd", "epoch": 2}.items():
        with pytest.raises(ValueError, match=f"{checkpoint}.*{key} is .* '?{wanted}'? is needed"):
            verify_checkpoint(checkpoint, **{key: wanted})
    (checkpoint / "checkpoint.json").unlink()
    with pytest.raises(FileNotFoundError, match="no checkpoint of a run here"):
        verify_checkpoint(checkpoint, epoch=1)


# --- what a run tells of itself ---------------------------------------------------------------


def test_validation_starts_at_the_base_model_and_scores_the_moving_average(models, tmp_path):
    """And each image with its own prompt."""
    chosen = experiment(8, epochs=2, validation=HELD_OUT)

    def mean_reward(of):
        """Without noise and in the validation's own steps, by diffusers' scheduler."""
        texts = [HELD_OUT_PROMPTS[i] for i in evaluation_prompts(HELD_OUT_PROMPTS, 3)]
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(of.scheduler_config)
        scheduler.set_timesteps(HELD_OUT.steps)
        keys = [("validation", text, 0) for text in texts]
        x = gaussian_noise(keys, HELD_OUT.steps + 1, of.latent_shape)[:, 0]
        conditioning = of.encode(texts)
        for t in scheduler.timesteps:
            v = of.predict(x, t.expand(len(x)), conditioning, chosen.sampler.guidance_scale)
            x = scheduler.step(v.detach(), t, x).prev_sample
        return float(brightness_by_prompt(of.decode(x), texts).mean())

    base = mean_reward(policy(models, chosen))
    run(models, tmp_path, chosen, reward=brightness_by_prompt)
    rows = frame_file.read(tmp_path / "validation.parquet", frames.VALIDATION)
    assert rows["epoch"].tolist() == [0, 1, 2]
    assert rows["images"].tolist() == [3, 3, 3]
    assert rows["reward_mean"][0] == pytest.approx(base, abs=1e-4)
    saved = policy(models, chosen)
    saved.load_weights(read_manifest(tmp_path / "checkpoints.csv")[2])
    # A loaded adapter is added in another order of operations: some grey levels may differ.
    assert rows["reward_mean"][2] == pytest.approx(mean_reward(saved), abs=1e-3)
    assert rows["reward_mean"].nunique() == 3


@pytest.mark.parametrize("number", [1, 6])
def test_a_training_is_the_same_with_and_without_validation(models, tmp_path, number):
    """By the native sampler, which draws noise: none of the training's random numbers is taken."""
    native = HELD_OUT.model_copy(update={"sampler": "native"})
    found = []
    for validation in (native, None):
        path = tmp_path / ("without" if validation is None else "with")
        updates = run(models, path, experiment(number, epochs=2, validation=validation))
        assert len(frame_file.read(path / "validation.parquet", frames.VALIDATION)) == (
            0 if validation is None else 3
        )
        found.append((updates.drop(columns="seconds"), weights(path, 2)))
    (watched, trained), (alone, same) = found
    pd.testing.assert_frame_equal(watched, alone, check_exact=True)
    assert same_tensors(trained, same)


def test_validation_without_its_prompts_is_refused(models, tmp_path):
    chosen = experiment(8, validation=HELD_OUT)
    with pytest.raises(ValueError, match=r"08_flowgrpo_ocr: validation.prompts: .* given none"):
        run(models, tmp_path, chosen, held_out=())
