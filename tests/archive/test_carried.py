"""Which files of an unfinished run go to another machine."""

import pytest

from pcpo.archive.carried import RECORDS, carried
from pcpo.config import load_experiment
from pcpo.config.gradients import Gradients
from tests.archive.finished import P, text

ONE = load_experiment(1, "smoke")
STATE, WEIGHTS = "resume/epoch_00002/state.safetensors", "checkpoints/epoch_00002/adapter.bin"


def train(arm, seed, complete=True):
    """The files of a run, as its training leaves them."""
    run = P.run.format(experiment=ONE.name, arm=arm, seed=seed)
    ends = ("updates.parquet", "timesteps.parquet", "validation.parquet", "checkpoints.csv")
    for name in (*(ends if complete else ()), "history.jsonl", STATE, WEIGHTS, "lock"):
        text(f"{run}/{name}", name)
    return run


def measure(seed):
    """What selection, sampling and measuring leave; returns the folder of an arm's images."""
    of = {"experiment": ONE.name, "seed": seed}
    for place in (P.selection, P.overall, P.per_prompt):
        text(place.format(**of), "measured")
    images = P.images.format(arm="pcpo", **of)
    for name in ("index.csv", "prompt_000.zip", "features/inception.npy"):
        text(f"{images}/{name}", name)
    return images


def test_of_what_is_done_the_results_go_and_of_the_rest_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "log_hinge" in ONE.arms and "log_hinge" not in ONE.measured
    measured = [train("pcpo", seed) for seed in (0, 1)]
    shown, others = (measure(seed) for seed in (0, 1))
    trained, of_no_use = train("pcpo", 2), train("log_hinge", 2)
    stopped = train("baseline", 2, complete=False)
    text(f"{P.root}/runs/{ONE.name}/pcpo/set_aside/seed0/updates.parquet", "older")
    for name in ("embeddings/x/prompt.bin", "archive.zip", ".synthetic.clip.lock", "x.h-1.part"):
        text(f"{P.root}/{name}", "only for speed, or of a process")
    text(P.synthetic("sd14/weights.bin"), "weights")
    text(f"{RECORDS}/cmVzdWx0cw==", "Snakemake's")

    found = {file.as_posix() for file in carried(P, [ONE], first_seed=0)}
    runs = [*measured, trained, of_no_use]
    frames = {f"{r}/{f}.parquet" for r in runs for f in ("updates", "timesteps", "validation")}
    expected = frames | {f"{run}/checkpoints.csv" for run in runs}
    expected |= {f"{run}/history.jsonl" for run in [*runs, stopped]}
    expected |= {f"{trained}/{WEIGHTS}", f"{stopped}/{WEIGHTS}", f"{stopped}/{STATE}"}
    expected |= {f"{shown}/index.csv", f"{shown}/prompt_000.zip", f"{others}/index.csv"}
    expected |= {
        place.format(experiment=ONE.name, seed=seed)
        for place in (P.selection, P.overall, P.per_prompt)
        for seed in (0, 1)
    }
    assert found == expected | {P.synthetic("sd14/weights.bin"), f"{RECORDS}/cmVzdWx0cw=="}


def test_checkpoints_go_until_all_samples_of_them_are_measured(tmp_path, monkeypatch):
    """Configuration 2 is mixed with 4: 4's checkpoints too are needed for that."""
    monkeypatch.chdir(tmp_path)
    both = [load_experiment(number, "smoke") for number in (2, 4)]
    weights = []
    for experiment in both:
        run = P.run.format(experiment=experiment.name, arm="pcpo", seed=0)
        for name in ("updates.parquet", "checkpoints.csv", WEIGHTS):
            text(f"{run}/{name}", name)
        for place in (P.selection, P.overall, P.per_prompt):
            text(place.format(experiment=experiment.name, seed=0), "measured")
        weights.append(f"{run}/{WEIGHTS}")

    def sent():
        return {file.as_posix() for file in carried(P, both, first_seed=0)}

    assert {*weights} <= sent()
    text(P.reward_guidance.format(experiment=both[0].name, seed=0), "measured")
    assert not {*weights} & sent()


def test_checkpoints_of_any_arm_go_until_their_gradients_are_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arms = ("pcpo", "log_hinge", "matching")
    one = ONE.model_copy(update={"gradients": Gradients(at=(0, 1), arms=arms[:2])})
    weights = {arm: f"{train(arm, 0)}/{WEIGHTS}" for arm in arms}
    measure(0)

    def sent():
        files = {file.as_posix() for file in carried(P, [one], first_seed=0)}
        return [arm for arm in arms if weights[arm] in files]

    assert sent() == ["pcpo", "log_hinge"]
    text(P.gradients.format(experiment=ONE.name, arm="log_hinge", seed=0), "measured")
    assert sent() == ["pcpo"]


def test_without_a_run_there_is_nothing_to_carry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="results/smoke: there is no such run"):
        carried(P, [ONE], first_seed=0)
