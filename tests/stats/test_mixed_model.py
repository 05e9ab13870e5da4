import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pcpo.stats.mixed_model import fit_mixed_model


def factorial(seed, prompt_sd, n=45, residual_sd=18.0):
    """One value per prompt, algorithm and batch size: the design of Table 3."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt, shift in enumerate(prompt_sd * rng.standard_normal(n)):
        for algorithm in ("baseline", "pcpo"):
            for batch in ("half", "full"):
                mean = 100 + shift - 8 * (algorithm == "pcpo") - 13 * (batch == "full")
                rows.append((prompt, algorithm, batch, mean + residual_sd * rng.standard_normal()))
    frame = pd.DataFrame(rows, columns=["prompt", "algorithm", "batch", "value"])
    frame["algorithm"] = pd.Categorical(frame["algorithm"], ["baseline", "pcpo"])
    frame["batch"] = pd.Categorical(frame["batch"], ["half", "full"])
    return frame


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


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
def test_balanced_design_agrees_with_the_closed_form(scale):
    frame = factorial(0, prompt_sd=30)
    frame["value"] *= scale
    fit = fit_mixed_model(frame, "value ~ algorithm * batch", "prompt")
    coef, errors, group, residual = closed_form(frame)
    assert fit["converged"].all()
    assert (fit["note"] == "").all()
    assert list(fit["effect"])[1:] == [
        "algorithm[T.pcpo]",
        "batch[T.full]",
        "algorithm[T.pcpo]:batch[T.full]",
    ]
    np.testing.assert_allclose(fit["coef"], coef, rtol=1e-8)
    np.testing.assert_allclose(fit["std_error"], errors, rtol=1e-4)
    np.testing.assert_allclose(fit["p_value"], 2 * stats.norm.sf(abs(coef / errors)), rtol=1e-3)
    assert fit["group_variance"][0] == pytest.approx(group, rel=1e-3)
    assert fit["residual_variance"][0] == pytest.approx(residual, rel=1e-3)
    assert (fit["n_obs"] == 180).all()
    assert (fit["n_groups"] == 45).all()


@pytest.mark.parametrize("seed", [3, 7])
def test_no_variance_between_prompts_is_refitted_and_said(seed):
    frame = factorial(seed, prompt_sd=0)
    fit = fit_mixed_model(frame, "value ~ algorithm * batch", "prompt")
    coef, errors, group, residual = closed_form(frame)
    assert group == 0.0, "the seed must give a boundary case"
    assert fit["converged"].all()
    assert (fit["optimizer"] == "powell").all()
    assert fit["note"].str.contains("bfgs did not converge").all()
    assert fit["note"].str.contains("boundary").all()
    np.testing.assert_allclose(fit["coef"], coef, rtol=1e-8)
    np.testing.assert_allclose(fit["std_error"], errors, rtol=1e-6)
    assert fit["group_variance"][0] == pytest.approx(0.0, abs=1e-4 * residual)


def test_two_arms_are_a_paired_comparison():
    frame = factorial(3, prompt_sd=30)
    frame = frame[frame["batch"] == "full"]
    fit = fit_mixed_model(frame, "value ~ algorithm", "prompt").set_index("effect")
    wide = frame.pivot_table(index="prompt", columns="algorithm", values="value", observed=True)
    paired = stats.ttest_rel(wide["pcpo"], wide["baseline"])
    assert fit.loc["algorithm[T.pcpo]", "z"] == pytest.approx(paired.statistic, rel=1e-4)


def test_what_cannot_be_estimated_is_said_and_not_invented():
    frame = factorial(0, prompt_sd=30, n=6)
    flat = frame.assign(value=1.5)
    fits = {
        "no residual variance": fit_mixed_model(flat, "value ~ algorithm * batch", "prompt"),
        "fewer than two groups": fit_mixed_model(
            frame[frame["prompt"] == 0], "value ~ algorithm", "prompt"
        ),
        "a cell has no rows": fit_mixed_model(
            frame[frame["algorithm"] == "baseline"], "value ~ algorithm", "prompt"
        ),
    }
    for reason, fit in fits.items():
        assert fit["p_value"].isna().all()
        assert not fit["converged"].any()
        assert fit["note"].str.contains(reason).all()


def test_malformed_input_is_refused():
    frame = factorial(0, prompt_sd=30, n=5)
    with pytest.raises(ValueError, match="no column 'task'"):
        fit_mixed_model(frame, "value ~ algorithm", "task")
    with pytest.raises(ValueError, match="mixed model"):
        fit_mixed_model(frame, "value ~ no_such_factor", "prompt")
    frame.loc[3, "value"] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fit_mixed_model(frame, "value ~ algorithm", "prompt")
