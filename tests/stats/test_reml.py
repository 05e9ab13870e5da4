import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from pcpo.stats.design import UnidentifiableError
from pcpo.stats.mixed_model import fit_mixed_model
from pcpo.stats.profiled import ProfiledLikelihood
from pcpo.stats.random_effects import RandomTerm
from pcpo.stats.reml import fit_reml
from tests.stats.simulated import closed_form, factorial, sleepstudy, unbalanced, with_runs

BOTH = "value ~ algorithm * batch"


def dense_reml(frame, formula_columns, groups):
    """REML of random intercepts written out with V itself and minimised without derivatives.

    Returns coefficients, their covariance, and the variances (of each grouping, residual).
    """
    y = frame["value"].to_numpy()
    x = np.column_stack(formula_columns)
    same = [np.equal.outer(g, g).astype(float) for g in (frame[c].to_numpy() for c in groups)]

    def parts(log_sd):
        v = np.exp(2 * log_sd[-1]) * np.eye(len(y))
        v += sum(np.exp(2 * s) * block for s, block in zip(log_sd, same, strict=False))
        inverse = np.linalg.inv(v)
        covariance = np.linalg.inv(x.T @ inverse @ x)
        beta = covariance @ x.T @ inverse @ y
        r = y - x @ beta
        value = np.linalg.slogdet(v)[1] - np.linalg.slogdet(covariance)[1] + r @ inverse @ r
        return value, beta, covariance

    start = np.full(len(groups) + 1, np.log(y.std()))
    options = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000}
    found = optimize.minimize(lambda t: parts(t)[0], start, method="Nelder-Mead", options=options)
    _, beta, covariance = parts(found.x)
    return beta, covariance, np.exp(2 * found.x)


@pytest.mark.parametrize(("seed", "prompt_sd"), [(0, 30), (1, 5), (3, 0), (7, 0)])
@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_balanced_design_and_its_boundary_are_the_closed_form(seed, prompt_sd, scale):
    frame = factorial(seed, prompt_sd)
    frame["value"] *= scale
    fit = fit_reml(frame, BOTH, "prompt")
    coef, errors, group, residual = closed_form(frame)
    assert fit["converged"].all()
    np.testing.assert_allclose(fit["coef"], coef, rtol=1e-10)
    np.testing.assert_allclose(fit["std_error"], errors, rtol=1e-10)
    np.testing.assert_allclose(fit["group_variance"], group, rtol=1e-9)
    np.testing.assert_allclose(fit["residual_variance"], residual, rtol=1e-10)
    df = 3 * 44 if group > 0 else 4 * 45 - 4
    np.testing.assert_allclose(fit["df"][1:], df, rtol=1e-10)
    np.testing.assert_allclose(fit["p_value"], 2 * stats.norm.sf(abs(coef / errors)), rtol=1e-8)
    np.testing.assert_allclose(
        fit["p_satterthwaite"][1:], 2 * stats.t.sf(abs(coef / errors), df)[1:], rtol=1e-8
    )
    assert (fit["note"] == ("" if group else "variance of (prompt) at its boundary 0")).all()


def test_two_arms_are_the_paired_t_test():
    frame = factorial(3, prompt_sd=30)
    frame = frame[frame["batch"] == "full"]
    fit = fit_reml(frame, "value ~ algorithm", "prompt").set_index("effect")
    wide = frame.pivot_table(index="prompt", columns="algorithm", values="value", observed=True)
    paired = stats.ttest_rel(wide["pcpo"], wide["baseline"])
    row = fit.loc["algorithm[T.pcpo]"]
    assert row["z"] == pytest.approx(paired.statistic, rel=1e-9)
    assert row["df"] == pytest.approx(44, rel=1e-9)
    assert row["p_satterthwaite"] == pytest.approx(paired.pvalue, rel=1e-8)


def test_sleepstudy_as_published_for_lme4():
    fit = fit_reml(sleepstudy(), "Reaction ~ Days", "Subject")
    np.testing.assert_allclose(fit["coef"], [251.405105, 10.467286], rtol=1e-8)
    np.testing.assert_allclose(fit["std_error"], [9.746716, 0.804221], rtol=1e-6)
    np.testing.assert_allclose(fit["group_variance"], 1378.1785, rtol=1e-7)
    np.testing.assert_allclose(fit["residual_variance"], 960.4566, rtol=1e-7)
    np.testing.assert_allclose(fit["log_likelihood"], -893.232543, rtol=1e-9)
    np.testing.assert_allclose(fit["df"], [22.8102, 161], rtol=1e-6)  # lmerTest
    # lme4's vignette (Bates et al. 2015, Sec. 1): slopes by subject
    fit = fit_reml(sleepstudy(), "Reaction ~ Days", "Subject", slope="Days")
    np.testing.assert_allclose(fit["std_error"], [6.825, 1.546], atol=6e-4)
    np.testing.assert_allclose(np.sqrt(fit["group_variance"]), 24.741, atol=6e-4)
    np.testing.assert_allclose(fit["slope_sd"], 5.922, atol=6e-4)
    np.testing.assert_allclose(fit["df"], 17, rtol=1e-5)
    np.testing.assert_allclose(-2 * fit["log_likelihood"], 1743.6, atol=0.05)


def test_unbalanced_and_crossed_agree_with_the_likelihood_written_out():
    uneven = unbalanced(factorial(0, prompt_sd=30, n=15), 0)
    runs = with_runs(0, run_sd=15, seeds=2, n=8)
    for frame, crossed in ((uneven, ""), (runs, "run")):
        pcpo = (frame["algorithm"] == "pcpo").to_numpy(float)
        full = (frame["batch"] == "full").to_numpy(float)
        columns = [np.ones(len(frame)), pcpo, full, pcpo * full]
        groups = ["prompt", *([crossed] if crossed else [])]
        beta, covariance, variances = dense_reml(frame, columns, groups)
        fit = fit_reml(frame, BOTH, "prompt", crossed=crossed)
        np.testing.assert_allclose(fit["coef"], beta, rtol=1e-5)
        np.testing.assert_allclose(fit["std_error"], np.sqrt(np.diag(covariance)), rtol=1e-5)
        found = fit.loc[0, ["group_variance", "crossed_variance", "residual_variance"]]
        np.testing.assert_allclose(found.dropna().astype(float), variances, rtol=1e-4)


def test_statsmodels_finds_the_same_optimum():
    frame = factorial(0, prompt_sd=30)
    ours, theirs = (f(frame, BOTH, "prompt") for f in (fit_reml, fit_mixed_model))
    assert list(ours["effect"]) == list(theirs["effect"])
    np.testing.assert_allclose(ours["coef"], theirs["coef"], rtol=1e-8)
    np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=1e-4)


def test_slopes_that_differ_by_prompt_widen_the_interval_of_their_effect_only():
    frame = factorial(0, prompt_sd=30, slope_sd=40)
    intercept, slope = (
        fit_reml(frame, BOTH, "prompt", slope=s).set_index("effect") for s in ("", "algorithm")
    )
    ratio = slope["std_error"] / intercept["std_error"]
    assert ratio["algorithm[T.pcpo]"] > 1.1
    assert ratio["batch[T.full]"] < 1.0
    np.testing.assert_allclose(slope["coef"], intercept["coef"], rtol=1e-8)
    assert slope["slope_sd"].iloc[0] == pytest.approx(40, rel=0.3)


def test_runs_are_the_unit_of_what_varies_between_them():
    """Balanced: PCPO's effect tested by the run means, whatever the number of prompts."""
    frame = with_runs(0, run_sd=30, seeds=4)
    frame = frame[frame["batch"] == "full"]
    fit = fit_reml(frame, "value ~ algorithm", "prompt", crossed="run").set_index("effect")
    means = frame.groupby(["algorithm", "run"], observed=True)["value"].mean()
    welch = stats.ttest_ind(means.loc["pcpo"], means.loc["baseline"])  # pooled variance
    row = fit.loc["algorithm[T.pcpo]"]
    assert row["z"] == pytest.approx(welch.statistic, rel=1e-6)
    assert row["df"] == pytest.approx(2 * 4 - 2, rel=1e-3)


def test_derivatives_of_the_likelihood():
    frame = unbalanced(with_runs(1, run_sd=10, seeds=2, n=6), 1)
    prompts, runs = (pd.factorize(frame[c])[0] for c in ("prompt", "run"))
    pcpo = (frame["algorithm"] == "pcpo").to_numpy(float)
    exog = np.column_stack([np.ones(len(frame)), pcpo])
    terms = [RandomTerm("slope", exog, prompts), RandomTerm("run", exog[:, :1], runs)]
    y = frame["value"].to_numpy()
    likelihood = ProfiledLikelihood((y - y.mean()) / y.std(), exog, terms)
    theta, h = np.array([0.7, -0.3, 0.5, 0.4]), 1e-5
    state = likelihood.at(theta)
    steps = [(likelihood.at(theta + h * e), likelihood.at(theta - h * e)) for e in np.eye(4)]
    slopes = [(up.deviance - down.deviance) / (2 * h) for up, down in steps]
    curves = [(up.gradient - down.gradient) / (2 * h) for up, down in steps]
    np.testing.assert_allclose(state.gradient, slopes, rtol=1e-6)
    np.testing.assert_allclose(state.hessian, curves, rtol=1e-6, atol=1e-6)


def test_what_random_terms_cannot_separate_is_refused():
    frame = factorial(0, prompt_sd=30, n=10)
    pair = frame[frame["batch"] == "full"]
    with pytest.raises(UnidentifiableError, match="20 random effects for 20 rows"):
        fit_reml(pair, "value ~ algorithm", "prompt", slope="algorithm")
    with pytest.raises(UnidentifiableError, match="no residual variance within groups"):
        fit_reml(factorial(0, prompt_sd=1e7), BOTH, "prompt")
    nested = pd.concat([frame, frame.assign(value=-frame["value"] % 7)], ignore_index=True)
    nested["prompt"] = nested["prompt"].astype(str) + nested["algorithm"].astype(str)
    assert fit_reml(nested, BOTH, "prompt")["converged"].all()
    with pytest.raises(UnidentifiableError, match=r"\(algorithm \| prompt\).* cannot be separated"):
        fit_reml(nested, BOTH, "prompt", slope="algorithm")
    twin = frame.assign(twin=frame["prompt"] + 100)
    with pytest.raises(UnidentifiableError, match="cannot be separated"):
        fit_reml(twin, BOTH, "prompt", crossed="twin")
    runs = frame.assign(run=frame["algorithm"].astype(str) + frame["batch"].astype(str))
    with pytest.raises(UnidentifiableError, match=r"\(run\) varies only with the fixed effects"):
        fit_reml(runs, BOTH, "prompt", crossed="run")
    with pytest.raises(ValueError, match="no column 'seed'"):
        fit_reml(frame, BOTH, "prompt", crossed="seed")
