"""Fabricated frames: small, tidy, with known numbers, for tests of tables and figures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from pcpo.config.grid import coded_levels
from pcpo.records import frames

_FACTS = {
    1: ("01_ddpo_aesthetic_half", "ddpo", "sd15", 16),
    2: ("02_ddpo_aesthetic", "ddpo", "sd15", 32),
    3: ("03_ddpo_bertscore_half", "ddpo", "sd15", 18),
    4: ("04_ddpo_bertscore", "ddpo", "sd15", 36),
    5: ("05_dancegrpo_sd14_hps", "dancegrpo", "sd14", 32),
    6: ("06_dancegrpo_flux_hps", "dancegrpo", "flux", 24),
    7: ("07_dancegrpo_sd15_pickscore", "dancegrpo", "sd15", 32),
}
PAPER = tuple(_FACTS)  # of Table 7
_CELLS = {int(cell.partition("_")[0]): cell for cell in coded_levels()}
_FACTS |= {number: (cell, "ddpo", "sd15", 32) for number, cell in _CELLS.items()}
METRIC_COLUMNS = ("fid", "fd_dinov2", "is_star", "lpips_diversity")
SCORES = ("hpsv2_1", "hpsv2", "aesthetic", "clipscore", "pickscore", "imagereward")
ARMS = ("baseline", "pcpo")
# (arm, checkpoint, epoch, what the arm gains) of the alignment scores
CHECKPOINTS = (
    ("base", "base", 0, 0.0),
    ("baseline", "published", 20, 0.5),
    ("pcpo", "published", 14, 0.8),
    ("baseline", "matched", 18, 0.4),
    ("pcpo", "matched", 12, 0.6),
)


def name(number):
    return _FACTS[number][0]


def experiment(number, **fields):
    """A stand-in for `pcpo.config.Experiment`."""
    stem, algorithm, model, images = _FACTS[number]
    known = {
        "number": number,
        "name": stem,
        "description": f"configuration {number}",
        "algorithm": algorithm,
        "model": model,
        "images_per_iteration": images,
        "gradient_updates": 4 if number == 6 else 2,
        "evaluation": evaluation(),
        "alignment_checkpoint": SimpleNamespace(baseline=20, pcpo=14),
        "scale": "demo",
        "validation": None,
        "gradients": None,
    }
    return SimpleNamespace(**known | fields)


def evaluation(**fields):
    """Of an experiment: its reward levels."""
    known = {"reward_levels": (), "level_fractions": (), "matched_level": None}
    return SimpleNamespace(**known | fields)


def experiments(numbers=PAPER, **fields):
    return [experiment(number, **fields) for number in numbers]


def grid_validation(log_speedup, seeds=(0, 1), epochs=40, rate=0.05):
    """Straight validation curves of every cell of the grid, from a reward of 1 on.

    The baseline rises by `rate` an epoch, PCPO by exp(log_speedup(coded levels, seed)) times that.
    """
    rows = []
    for cell, levels in coded_levels().items():
        for seed in seeds:
            factors = {"baseline": 1.0, "pcpo": np.exp(log_speedup(levels, seed))}
            for arm, factor in factors.items():
                for epoch in range(0, epochs + 1, 5):
                    key = {"experiment": cell, "arm": arm, "seed": seed, "epoch": epoch}
                    reward = 1 + rate * factor * epoch
                    rows.append(key | {"images": 45, "reward_mean": reward, "reward_std": 0.5})
    return pd.DataFrame(rows)


def reward_guidance(number, rewards, strengths, seeds=(0,), beside=(0.0,), prompts=6):
    """Of a configuration: rewards and distance rise with the strengths, each reward with its own.

    A reward of prompt i is 1 + i + its own strength; the distance is the square of both strengths'
    sum. Seed k adds k / 10 to every reward.
    """
    rows = []
    for seed in seeds:
        for point in [(s, b) for s in strengths for b in beside]:
            key = {"experiment": name(number), "arm": "pcpo", "seed": seed}
            key |= {"strength": point[0], "beside_strength": point[1]}
            for reward, own in zip(rewards, point, strict=False):
                row = key | {"measure": reward, "measured": reward, "images": 1}
                values = [1 + i + own + seed / 10 for i in range(prompts)]
                rows += [row | {"prompt_id": i, "value": v} for i, v in enumerate(values)]
            row = key | {"measure": "fid", "measured": "FD", "images": prompts}
            rows.append(row | {"prompt_id": -1, "value": float(sum(point)) ** 2})
    return pd.DataFrame(rows)


def gradients(name, arms, seeds=(0,), epochs=(0, 4, 20), weights=(4.0, 2.0, 1.0)):
    """Of an experiment's runs: the norm of a step is its weight times 1 + epoch, all along one
    direction; signal to noise of a step 2, of all together 8. PCPO's weights are all 1.
    """
    rows = []
    for arm in arms:
        own = [1.0] * len(weights) if arm == "pcpo" else list(weights)
        for seed in seeds:
            for epoch in epochs:
                row = {"experiment": name, "arm": arm, "seed": seed, "epoch": epoch, "groups": 4}
                for step, weight in [*enumerate(own), (frames.WHOLE, np.nan)]:
                    norm = (sum(own) if step == frames.WHOLE else weight) * (1 + epoch)
                    rows.append(
                        row
                        | {
                            "step": step,
                            "timestep": np.nan if step == frames.WHOLE else 1000.0 - 300 * step,
                            "weight": weight,
                            "grad_norm": norm,
                            "gradient_abs_mean": norm / 100,
                            "gradient_abs_var": norm**2 / 1e4,
                            "cosine": 1.0,
                            "signal_to_noise": 8.0 if step == frames.WHOLE else 2.0,
                        }
                    )
    return pd.DataFrame(rows)


def updates(rewards, number=2, seed=0, noise=0.0, images=16):
    """`rewards` maps an arm to its reward per epoch; two updates an epoch."""
    rows = []
    for arm, curve in rewards.items():
        for epoch, reward in enumerate(curve, 1):
            for update in (1, 2):
                clip = 0.0 if arm == "pcpo" and update == 1 else 0.1 * update
                rows.append(
                    {
                        "experiment": name(number),
                        "arm": arm,
                        "seed": seed,
                        "epoch": epoch,
                        "update": update,
                        "loss": 0.1,
                        "reward_mean": float(reward),
                        "reward_std": noise * images**0.5,
                        "images": images,
                        "ratio_from": "matching" if arm in MATCHING else "sampler",
                        "clip_fraction": clip,
                        "gated_fraction": clip / 2,
                        "log_ratio_mean": 0.0,
                        "log_ratio_std": 1e-4 * update,
                        "ratio_mean": 1.0 + 1e-6 * epoch,
                        "ratio_std": 1e-4 * update,
                        **{f"log_ratio_q{q:02d}": (q - 50) * 1e-6 for q in _QUANTILES},
                        "clip_range": 1e-4,
                        "gradient_abs_mean": 1e-3 * epoch,
                        "gradient_abs_var": 1e-6 * epoch,
                        "grad_norm": 1.0,
                        "kl": np.nan,
                        "learning_rate": 1e-4,
                        "seconds": 1.0,
                    }
                )
    return pd.DataFrame(rows)


MATCHING = ("matching", "pcpo", "pcpo_exact", "reweight", "uniform")
_QUANTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


def selection(numbers=PAPER, matched=True):
    rows = []
    for number in numbers:
        for arm in ARMS:
            rows.append(
                {
                    "experiment": name(number),
                    "arm": arm,
                    "seed": 0,
                    "level": 6.0,
                    "level_reached": True,
                    "crossing_epoch": 20,
                    "epoch": 20 if arm == "baseline" else 14,
                    "selection_reward": 6.01,
                    "selection_reward_se": 0.01,
                    "difference": 0.0 if arm == "baseline" else 0.005,
                    "difference_se": 0.004,
                    "tolerance": 0.02,
                    "matched": matched,
                    "bracketed": False,
                    "reason": "" if matched else "no checkpoint near the level",
                }
            )
    return pd.DataFrame(rows)


def metrics(numbers=PAPER, prompts=12, seed=0):
    """(overall, per_prompt): PCPO lowers every distance by 3, the full batch by 5."""
    rng = np.random.default_rng(seed)
    overall, per_prompt = [], []
    shift = rng.normal(0, 8, size=prompts)
    for number in numbers:
        for arm in ARMS:
            for metric in METRIC_COLUMNS:
                mean = 60 - 3 * (arm == "pcpo") - 5 * (number % 2 == 0)
                values = mean + shift + rng.normal(0, 1, size=prompts)
                row = {
                    "experiment": name(number),
                    "arm": arm,
                    "seed": 0,
                    "metric": metric,
                    "measured": f"measured {metric}",
                    "value": values.mean() - 20,
                    "images": 32 * prompts,
                    "reference_images": 32 * prompts,
                    "dimensions": 64,
                }
                if metric != "lpips_diversity":
                    overall.append(row)
                for prompt_id, value in enumerate(values):
                    images = {"images": 32, "reference_images": 32, "prompt_id": prompt_id}
                    text = {"prompt": f"prompt {prompt_id}", "value": value}
                    per_prompt.append(row | images | text)
    return pd.DataFrame(overall), pd.DataFrame(per_prompt)


def alignment(numbers=(5, 6, 7), prompts=10, seed=0):
    """Scores rise by 0.5 from the base to the baseline and by 0.3 more to PCPO."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in numbers:
        for dataset in ("coco", "mjhq", "pick_eval"):
            for score in SCORES:
                prompt_shift = rng.normal(size=prompts)
                for arm, checkpoint, epoch, gain in CHECKPOINTS:
                    for prompt_id in range(prompts):
                        value = 5 + gain + prompt_shift[prompt_id] + rng.normal(0, 0.05)
                        rows.append(
                            {
                                "experiment": name(number),
                                "arm": arm,
                                "seed": 0,
                                "checkpoint": checkpoint,
                                "epoch": epoch,
                                "dataset": dataset,
                                "score": score,
                                "prompt_id": prompt_id,
                                "image": 0,
                                "value": value,
                            }
                        )
    return pd.DataFrame(rows)


def credit(numbers=(2,), steps=10):
    rows = []
    for number in numbers:
        for arm in ARMS:
            for step in range(steps):
                native = 3.0 / (step + 1)
                rows.append(
                    {
                        "experiment": name(number),
                        "arm": arm,
                        "step": step,
                        "timestep": 1000.0 - 90 * step,
                        "interval": 1 / steps,
                        "sigma": 0.1,
                        "native_sigma": 0.1,
                        "native_weight": native,
                        "weight": native if arm == "baseline" else 0.9,
                        "own_weight": native,
                        "sum_weight": float("nan"),
                        "trained": step < steps - 1,
                        "feasible": step < steps - 3,
                    }
                )
    return pd.DataFrame(rows)
