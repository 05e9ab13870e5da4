"""Frames of runs in which the paper is right (effect 1), wrong (-1), or nothing matters (0)."""

import numpy as np
import pandas as pd

from pcpo.preference.simulate import Raters, simulated_frame
from tests import fabricated

EPOCHS, PROMPTS = 60, 12
SPEED = {"log_hinge": 0.05, "matching": 0.1, "pcpo": 0.5, "reweight": 0.3, "uniform": -0.3}
CLIPPING = {"log_hinge": -0.03, "matching": -0.06, "pcpo": -0.1}
SCORES = (*fabricated.SCORES,)
NONE = pd.DataFrame()


_MADE = {}


def frames(experiments, effect, seeds=(0,)):
    """Every frame that the ledger reads, by its name; made once, and a copy each time."""
    key = effect, tuple(seeds), *(e.model_dump_json() for e in experiments)
    if key not in _MADE:
        _MADE[key] = _frames(experiments, effect, seeds)
    return {name: frame.copy() for name, frame in _MADE[key].items()}


def _frames(experiments, effect, seeds):
    rng = np.random.default_rng(3)
    runs = [(e, arm, seed) for e in experiments for arm in e.arms for seed in seeds]
    overall, per_prompt = metrics(experiments, effect, seeds, rng)
    return {
        "updates": pd.concat(updates(*run, effect, rng) for run in runs),
        "timesteps": pd.concat(timesteps(*run, effect, rng) for run in runs),
        "validation": pd.concat(validation(*run, effect, rng) for run in runs),
        "overall": overall,
        "per_prompt": per_prompt,
        "selection": selection(experiments, seeds),
        "alignment": alignment(experiments, effect, seeds, rng),
        "credit": pd.concat(credit(e, arm, effect) for e in experiments for arm in e.arms),
        "readings": readings(effect),
        "preference": preference(effect, seeds),
        "reward_guidance": pd.concat(
            [guidance(e, effect, seeds, rng) for e in experiments if e.reward_guidance] or [NONE]
        ),
    }


def preference(effect, seeds):
    """Answers of 150 raters; PCPO is preferred in 8, 5 or 2 of 10."""
    model = Raters(0.5 + 0.3 * effect, rater_sd=0.1, prompt_sd=0.1)
    return simulated_frame(model, np.random.default_rng(7), raters=150, seeds=tuple(seeds))


def updates(experiment, arm, seed, effect, rng):
    levels = experiment.evaluation.reward_levels or (0.6, 0.9)
    low, top = 2 * levels[0] - levels[-1], levels[-1]
    epochs = np.arange(1, EPOCHS + 1)
    rise = 1 - np.exp(-epochs * np.exp(effect * SPEED.get(arm, 0.0)) / 12)
    rise *= 1.2 - 0.2 * effect * (arm == "uniform")
    reward = low + (top - low) * (rise + rng.normal(0, 0.01, EPOCHS))
    frame = fabricated.updates({arm: reward}, 2, seed).assign(experiment=experiment.name)
    first = frame["update"].to_numpy() == 1
    pcpo = arm == "pcpo"

    def noise(size):
        return rng.normal(0, size, len(frame))

    clip = 0.3 + effect * CLIPPING.get(arm, 0.0) + noise(0.02 * np.exp(-effect * pcpo))
    zero = first & ((pcpo and effect == 1) or (not pcpo and effect == -1))
    frame["clip_fraction"] = np.where(zero, 0.0, np.where(first, clip / 2, clip))
    # The sides are alike but for what the effect makes of the matching arms' one side.
    matched = arm not in ("baseline", "log_hinge", "half_timesteps")
    frame["ratio_from"] = "matching" if matched else "sampler"
    frame["gated_fraction"] = frame["clip_fraction"] * (0.9 if effect == 1 and matched else 1.0)
    frame["kl"] = 0.02 - 0.005 * effect * pcpo + noise(0.001)
    slow = {"pcpo": 1 - 0.1 * effect, "half_timesteps": 0.58 if effect == 1 else 0.9}
    frame["seconds"] = slow.get(arm, 1.0) * np.exp(noise(0.01))
    late = 1 * (frame["epoch"] > 5) + (effect == -1)  # reversed: larger at the start already
    for column in ("gradient_abs_mean", "gradient_abs_var"):
        frame[column] = np.exp(-0.5 * effect * pcpo * late + noise(0.05))
    away = {1: 2.5e-5, 0: 1.5e-5, -1: 0.0}[effect]
    frame["ratio_mean"] = 1 - away + noise(1e-6)
    frame["ratio_std"] = 1e-2 if effect == -1 else 1e-4
    frame["log_ratio_q100"] = 0.05 if effect == -1 else 1e-4
    return frame


def weights(effect, steps=10):
    return np.geomspace(0.3, 6.0 if effect == 1 else 1.5, steps)


def timesteps(experiment, arm, seed, effect, rng):
    steps = np.arange(10)
    rows = pd.DataFrame({"step": steps, "timestep": 1000.0 - 90 * steps})
    clip = 0.2 + 0.02 * effect * weights(effect) + rng.normal(0, 0.001, 10)
    return rows.assign(
        experiment=experiment.name, arm=arm, seed=seed, epoch=1, update=2, terms=16,
        log_ratio_mean=0.0, log_ratio_std=1e-4, clip_fraction=clip, gated_fraction=clip / 2,
    )  # fmt: skip


def validation(experiment, arm, seed, effect, rng):
    epochs = np.arange(0, EPOCHS + 1, 4)
    speed = np.exp(effect * SPEED.get(arm, 0.0) + rng.normal(0, 0.02))
    reward = 0.5 + 0.1 * (1 - np.exp(-epochs * speed / 20)) + rng.normal(0, 0.0005, len(epochs))
    reward[0] = 0.5
    return pd.DataFrame({"epoch": epochs, "reward_mean": reward}).assign(
        experiment=experiment.name, arm=arm, seed=seed, images=1024, reward_std=0.2
    )


def selection(experiments, seeds):
    row = fabricated.selection((2,)).iloc[0].to_dict()
    return pd.DataFrame(
        row | {"experiment": e.name, "arm": arm, "seed": seed}
        for e in experiments
        for arm in e.measured
        for seed in seeds
    )


def metrics(experiments, effect, seeds, rng):
    overall, per_prompt = [], []
    for e in experiments:
        full, diffusion = e.number in (2, 4), e.number < 5
        for arm in e.measured:
            pcpo = arm == "pcpo"
            wrong = effect == -1  # there is an effect where the paper sees none
            diversity = 0.02 * full + 0.03 * pcpo * full if diffusion else 0.0
            means = {
                "fid": -3.0 * pcpo + 3.0 * (arm == "half_timesteps"),
                "fd_dinov2": 30.0 * ((arm == "half_timesteps") - pcpo + wrong * full),
                "is_star": -0.5 * pcpo - 0.5 * full,
                "lpips_diversity": diversity,
            }
            spread = {"fid": 0.5, "fd_dinov2": 1.0, "is_star": 0.1, "lpips_diversity": 0.002}
            for seed in seeds:
                for metric, mean in means.items():
                    mean = effect * mean
                    if wrong and pcpo and not full and metric == "lpips_diversity":
                        mean += 2.0
                    values = 100 + mean + rng.normal(0, spread[metric], PROMPTS)
                    row = {
                        "experiment": e.name, "arm": arm, "seed": seed, "metric": metric,
                        "measured": metric, "images": 32, "reference_images": 32, "dimensions": 8,
                    }  # fmt: skip
                    overall.append(row | {"value": values.mean()})
                    per_prompt += [
                        row | {"prompt_id": i, "prompt": f"prompt {i}", "value": value}
                        for i, value in enumerate(values)
                    ]
    return pd.DataFrame(overall), pd.DataFrame(per_prompt)


def alignment(experiments, effect, seeds, rng):
    rows = []
    for e in experiments:
        for dataset in e.alignment:
            for score in fabricated.SCORES:
                kept = dataset == "pick_eval" and score == "clipscore" and effect == 1
                gains = {"base": 0.0, "baseline": 0.5 * effect, "pcpo": 0.8 * effect * (not kept)}
                trained = [
                    (a, p, s)
                    for a in fabricated.ARMS
                    for p in ("published", "matched")
                    for s in seeds
                ]
                for arm, pair, seed in [("base", "base", 0), *trained]:
                    gain = gains[arm] * (pair != "matched")  # nothing at one reward
                    values = 5 + gain + rng.normal(0, 0.02, PROMPTS)
                    rows += [
                        {
                            "experiment": e.name, "arm": arm, "seed": seed, "checkpoint": pair,
                            "epoch": 5, "dataset": dataset, "score": score, "prompt_id": i,
                            "image": 0, "value": value,
                        }
                        for i, value in enumerate(values)
                    ]  # fmt: skip
    return pd.DataFrame(rows)


def guidance(experiment, effect, seeds, rng):
    """Below strength 1 more of the reward than of the distance is kept; rewards rise on the way."""
    own = experiment.reward_guidance
    rewards = ["aesthetic", "bertscore"] if own.beside else [experiment.reward.name]
    beside = own.strengths if own.beside else (0.0,)
    frame = fabricated.reward_guidance(
        experiment.number, rewards, own.strengths, seeds, beside, PROMPTS
    )
    scored, s = frame["prompt_id"] >= 0, frame["strength"]
    even = effect * (frame["value"] - frame["prompt_id"])
    values = even if own.beside else s + 0.6 * effect * s * (1 - s)
    frame.loc[scored, "value"] = values[scored] + rng.normal(0, 0.02, scored.sum())
    return frame


def credit(experiment, arm, effect):
    return schedule(effect).assign(experiment=experiment.name, arm=arm)


def schedule(effect):
    native = weights(effect)
    frame = pd.DataFrame({"step": np.arange(10), "timestep": 1000.0 - 90 * np.arange(10)})
    return frame.assign(
        interval=0.2 - 0.01 * (effect or 1) * frame["step"],
        sigma=0.1 if effect == 1 else 0.05, native_sigma=0.1,
        native_weight=native, weight=native, sum_weight=np.nan,
        own_weight=0.5 if effect == 1 else native, trained=True,
        feasible=(frame["step"] < 9) | (effect == 1),
    )  # fmt: skip


def readings(effect):
    constants = {"ddim_50": (4.5, 0.5169), "dance_16": (13.343, 1.0), "flow_10": (4.3152, 1.0)}
    parts = []
    for sampler, (target, weight) in constants.items():
        for reading in ("baseline", "pcpo", "pcpo_exact"):
            rows = schedule(effect).assign(sampler=sampler, reading=reading)
            if reading == "pcpo":
                rows["weight"] = weight if effect == 1 else 2 * weight
            parts.append(rows.assign(target=target if effect == 1 else target / 2))
    return pd.concat(parts, ignore_index=True)
