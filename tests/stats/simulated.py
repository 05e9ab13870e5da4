"""Data sets for the tests of mixed models."""

from pathlib import Path

import numpy as np
import pandas as pd


def factorial(seed, prompt_sd, n=45, residual_sd=18.0, slope_sd=0.0):
    """One value per prompt, algorithm and batch size: the design of Table 3.

    `slope_sd` is the spread over prompts of the algorithm's effect.
    """
    rng = np.random.default_rng(seed)
    shifts = prompt_sd * rng.standard_normal(n)
    noise = residual_sd * rng.standard_normal((n, 4))
    slopes = slope_sd * rng.standard_normal(n)
    rows = []
    for prompt in range(n):
        for cell, (algorithm, batch) in enumerate(CELLS):
            mean = 100 + shifts[prompt] - 13 * (batch == "full")
            mean += (slopes[prompt] - 8) * (algorithm == "pcpo")
            rows.append((prompt, algorithm, batch, mean + noise[prompt, cell]))
    return _categorical(pd.DataFrame(rows, columns=["prompt", "algorithm", "batch", "value"]))


CELLS = [(a, b) for a in ("baseline", "pcpo") for b in ("half", "full")]


def with_runs(seed, run_sd, seeds=3, n=20):
    """`factorial` with `seeds` training runs a cell; the values of a run share its shift."""
    rng = np.random.default_rng(1000 + seed)
    parts = []
    for k in range(seeds):
        part = factorial(seed, prompt_sd=30, n=n).assign(seed=k)
        part["run"] = part["algorithm"].astype(str) + part["batch"].astype(str) + str(k)
        shift = dict(zip(part["run"].unique(), run_sd * rng.standard_normal(4), strict=True))
        part["value"] += part["run"].map(shift) + 18 * rng.standard_normal(len(part))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def unbalanced(frame, seed, share=0.25):
    """Without a share of the rows, the first ones kept so that the levels keep their order."""
    kept = np.random.default_rng(seed).random(len(frame)) >= share
    kept[:4] = True
    return frame[kept]


def closed_form(frame):
    """REML of the balanced random-intercept model: cell means and mean squares."""
    cells = frame.pivot_table(
        index="prompt", columns=["algorithm", "batch"], values="value", observed=True
    )
    y, n = cells.to_numpy(), len(cells)
    base_half, base_full, pcpo_half, pcpo_full = y.mean(axis=0)
    coef = np.array(
        [
            base_half,
            pcpo_half - base_half,
            base_full - base_half,
            pcpo_full - pcpo_half - base_full + base_half,
        ]
    )
    within = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    residual = (within**2).sum() / (3 * (n - 1))
    between = 4 * ((y.mean(axis=1) - y.mean()) ** 2).sum() / (n - 1)
    if between < residual:  # the boundary: ordinary least squares
        residual = ((y - y.mean(axis=0)) ** 2).sum() / (4 * n - 4)
        between = residual
    group = (between - residual) / 4
    errors = np.sqrt([(group + residual) / n, 2 * residual / n, 2 * residual / n, 4 * residual / n])
    return coef, errors, group, residual


def sleepstudy():
    """Reaction, Days and Subject of lme4's example data (180 rows)."""
    return pd.read_csv(Path(__file__).with_name("sleepstudy.csv"), comment="#")


def _categorical(frame):
    frame["algorithm"] = pd.Categorical(frame["algorithm"], ["baseline", "pcpo"])
    frame["batch"] = pd.Categorical(frame["batch"], ["half", "full"])
    return frame
