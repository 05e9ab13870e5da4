import re

import numpy as np
import pytest
from scipy import stats

from pcpo.stats.design import UnidentifiableError
from pcpo.stats.mixed_model import fit_mixed_model
from pcpo.stats.reml import fit_reml
from tests.stats.simulated import closed_form, factorial


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
def test_no_variance_between_prompts_is_refitted_and_noted(seed):
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


def _cases():
    frame = factorial(0, prompt_sd=30, n=6)
    algorithm, batch = frame["algorithm"], frame["batch"]
    cell = (algorithm == "pcpo") & (batch == "full")
    additive = frame["prompt"] + 2.0 * (algorithm == "pcpo") - 1.0 * (batch == "full")
    full = frame[batch == "full"]
    return {
        "one group only": (frame[frame["prompt"] == 0], "value ~ algorithm"),
        "24 random effects for 24 rows": (frame.assign(prompt=range(24)), "value ~ algorithm"),
        "as many effects and groups as rows": (
            full[full["prompt"] + 6 * (full["algorithm"] == "pcpo") < 7],
            "value ~ algorithm",
        ),
        "the response is constant": (frame.assign(value=1.5), "value ~ algorithm * batch"),
        "no residual variance within": (frame.assign(value=additive), "value ~ algorithm * batch"),
        "explain the response exactly": (
            frame.assign(value=1.0 * cell),
            "value ~ algorithm * batch",
        ),
        "no rows for algorithm = pcpo: ": (frame[algorithm == "baseline"], "value ~ algorithm"),
        "no rows for algorithm = pcpo, batch = full": (frame[~cell], "value ~ algorithm * batch"),
        "the effects algorithm[T.pcpo], arm are collinear": (
            frame.assign(arm=1.0 * (algorithm == "pcpo")),
            "value ~ algorithm + batch + arm",
        ),
        "(prompt) varies only with the fixed effects": (
            frame.assign(prompt=algorithm.astype(str)),
            "value ~ algorithm",
        ),
    }


@pytest.mark.parametrize("reason", _cases())
@pytest.mark.parametrize("fit", [fit_mixed_model, fit_reml])
def test_what_is_not_identified_is_refused_with_the_reason(fit, reason):
    frame, formula = _cases()[reason]
    with pytest.raises(UnidentifiableError, match=re.escape(reason)):
        fit(frame, formula, "prompt")


def test_malformed_input_is_refused():
    frame = factorial(0, prompt_sd=30, n=5)
    with pytest.raises(ValueError, match="no column 'task'"):
        fit_mixed_model(frame, "value ~ algorithm", "task")
    with pytest.raises(ValueError, match="mixed model"):
        fit_mixed_model(frame, "value ~ no_such_factor", "prompt")
    frame.loc[3, "value"] = np.nan
    with pytest.raises(
        ValueError, match=r"NaN or infinite values in \['value'\], 1 rows, first \[3\]"
    ):
        fit_mixed_model(frame, "value ~ algorithm", "prompt")
