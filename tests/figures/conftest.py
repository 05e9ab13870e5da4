"""Frames for the figures, with known numbers and several training seeds."""

import numpy as np
import pandas as pd
import pytest

from pcpo.analysis.readings import readings
from pcpo.preference.simulate import Raters, simulated_frame
from tests import fabricated

ARMS = ("baseline", "log_hinge", "matching", "pcpo", "half_timesteps", "uniform")
ARMS += ("pcpo_exact", "reweight")
EPOCHS = 24


@pytest.fixture(scope="session")
def updates():
    """Configurations 1 and 6, eight arms, seeds 0 to 2."""
    rng = np.random.default_rng(0)
    parts = []
    for number in (1, 6):
        for seed in (0, 1, 2):
            curves = {arm: np.cumsum(rng.normal(0.1, 0.1, EPOCHS)) for arm in ARMS}
            parts.append(fabricated.updates(curves, number, seed, noise=0.05))
    frame = pd.concat(parts, ignore_index=True)
    frame["clip_fraction"] += 0.01 * frame["seed"] * (frame["update"] > 1)
    frame["gradient_abs_mean"] = 1e-3 * (1 + frame["epoch"] / 10)
    frame["gradient_abs_var"] = 1e-6 * frame["epoch"]
    frame["kl"] = 0.1 * frame["epoch"] + 0.05 * (frame["update"] - 1)
    frame["seconds"] = 30.0 + frame["seed"]
    return frame


@pytest.fixture(scope="session")
def timesteps():
    """Configuration 2, both arms, seeds 0 and 1: PCPO's on-policy update is exactly zero."""
    rows = []
    for arm in fabricated.ARMS:
        for seed in (0, 1):
            for epoch in (1, 2):
                for update in (1, 2):
                    for step in range(9):
                        zero = arm == "pcpo" and update == 1
                        rows.append(
                            {
                                "experiment": fabricated.name(2),
                                "arm": arm,
                                "seed": seed,
                                "epoch": epoch,
                                "update": update,
                                "step": step,
                                "timestep": 1000.0 - 90 * step,
                                "terms": 10 * epoch,
                                "log_ratio_mean": 0.0 if zero else 1e-5 * epoch * update,
                                "log_ratio_std": 0.0 if zero else 1e-4 / (step + 1),
                                "clip_fraction": 0.0 if zero else 0.01 * epoch,
                                "gated_fraction": 0.0 if zero else 0.004 * epoch,
                            }
                        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def validation():
    """Configurations 1 and 6 (in the place of 8 and 9), both arms, seeds 0 to 2, every 8 epochs;
    the grid.

    In the grid, PCPO is faster with a small batch, and by another 0.02 in seed 1.
    """
    rows = [
        {
            "experiment": fabricated.name(number),
            "arm": arm,
            "seed": seed,
            "epoch": epoch,
            "images": 100,
            "reward_mean": 0.2 + 0.01 * epoch * (2 if arm == "pcpo" else 1) + 0.001 * seed,
            "reward_std": 0.5,
        }
        for number in (1, 6)
        for arm in fabricated.ARMS
        for seed in (0, 1, 2)
        for epoch in (0, 8, 16, 24)
    ]
    grid = fabricated.grid_validation(
        lambda levels, seed: 0.5 - 0.2 * levels["batch_size"] + 0.02 * seed
    )
    return pd.concat([pd.DataFrame(rows), grid], ignore_index=True)


@pytest.fixture(scope="session")
def credit():
    return fabricated.credit((2, 6, 7))


def gradients():
    """Configuration 6, three arms, seeds 0 and 1, of which the second has a hundredth more."""
    arms = ("baseline", "matching", "pcpo")
    frame = fabricated.gradients(fabricated.name(6), arms, (0, 1))
    frame["grad_norm"] *= 1 + 0.01 * frame["seed"]
    return frame


def guidance():
    """Configurations 2 (with 4), 5 and 6, seeds 0 and 1."""
    strengths = (0.0, 0.5, 1.0, 1.5)
    rewards = ("aesthetic", "bertscore")
    grid = fabricated.reward_guidance(2, rewards, strengths, (0, 1), beside=strengths)
    alone = [fabricated.reward_guidance(n, ["hps"], strengths, (0, 1)) for n in (5, 6)]
    return pd.concat([grid, *alone], ignore_index=True)


def seeds_per_prompt():
    """Configurations 1, 2, 5 and 6, seeds 0 to 2."""
    parts = [fabricated.metrics((1, 2, 5, 6), seed=s)[1].assign(seed=s) for s in (0, 1, 2)]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def given(updates, timesteps, validation, credit):
    """The frames by name, as `Kind.frames` asks for them."""
    return {
        "updates": updates,
        "timesteps": timesteps,
        "gradients": gradients(),
        "validation": validation,
        "credit": credit,
        "readings": readings(),
        "metrics_per_prompt": seeds_per_prompt(),
        "preference": simulated_frame(Raters(0.65), np.random.default_rng(0), raters=20),
        "reward_guidance": guidance(),
    }
