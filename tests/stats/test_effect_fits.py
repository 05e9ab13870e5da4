import numpy as np
import pandas as pd
import pytest

from pcpo.stats.effect_fits import COLUMNS, SEVERAL_RUNS, fit_effects
from pcpo.stats.mixed_model import fit_mixed_model
from pcpo.stats.reml import fit_reml
from tests.stats.simulated import factorial, with_runs

EFFECTS = ("algorithm[T.pcpo]", "batch[T.full]", "algorithm[T.pcpo]:batch[T.full]")
FORMULA = "value ~ algorithm * batch"


def configured(frame):
    frame = frame.assign(number=np.where(frame["batch"] == "half", 1, 2))
    if "run" not in frame:
        frame["run"] = frame["number"].astype(str) + frame["algorithm"].astype(str)
    return frame


def test_one_run_a_cell_is_the_papers_model_with_the_exact_one_beside_it():
    frame = configured(factorial(0, prompt_sd=30, slope_sd=20))
    fit = fit_effects(frame, FORMULA, EFFECTS, "algorithm")
    assert list(fit.index) == list(EFFECTS)
    assert list(fit.columns) == COLUMNS
    paper, exact, sloped = (
        f.set_index("effect").loc[list(EFFECTS)]
        for f in (
            fit_mixed_model(frame, FORMULA, "prompt"),
            fit_reml(frame, FORMULA, "prompt"),
            fit_reml(frame, FORMULA, "prompt", slope="algorithm"),
        )
    )
    for column in ("coef", "std_error", "p_value", "optimizer"):
        pd.testing.assert_series_equal(fit[column], paper[column])
    for column, source in (("p_satterthwaite", exact), ("df", exact)):
        pd.testing.assert_series_equal(fit[column], source[column])
    np.testing.assert_array_equal(fit["reml_std_error"], exact["std_error"])
    np.testing.assert_array_equal(fit["p_random_slope"], sloped["p_satterthwaite"])
    assert fit["run_variance"].isna().all()


def test_several_runs_a_cell_get_an_intercept_each():
    frame = configured(with_runs(0, run_sd=30))
    fit = fit_effects(frame, FORMULA, EFFECTS, "algorithm")
    means = frame.groupby([*frame.columns.intersection(["algorithm", "batch"])], observed=True)
    means = means["value"].mean()
    expected = means["pcpo", "half"] - means["baseline", "half"]
    assert fit.loc[EFFECTS[0], "coef"] == pytest.approx(expected)
    assert (fit["optimizer"] == SEVERAL_RUNS).all()
    assert (fit["run_variance"] > 100).all()
    assert (fit["df"] < 12).all()  # of 12 runs, not of 20 prompts
    # Averaging the runs first would take the chance of three runs for an effect.
    averaged = frame.groupby(["prompt", "algorithm", "batch"], observed=True, as_index=False)
    naive = fit_mixed_model(averaged["value"].mean(), FORMULA, "prompt").set_index("effect")
    assert (fit["std_error"] > 1.5 * naive.loc[list(EFFECTS), "std_error"]).all()


def test_what_is_not_identified_is_nan_with_its_reason():
    frame = configured(factorial(0, prompt_sd=30, n=6))
    flat = fit_effects(frame.assign(value=1.5), FORMULA, EFFECTS, "algorithm")
    assert flat["p_value"].isna().all()
    assert flat["p_satterthwaite"].isna().all()
    assert not flat["converged"].any()
    assert flat["note"].str.contains("the response is constant").all()
    pair = fit_effects(
        frame[frame["batch"] == "full"], "value ~ algorithm", EFFECTS[:1], "algorithm"
    )
    assert pair["p_value"].notna().all()
    assert pair["p_random_slope"].isna().all()
    assert pair["slope_note"].str.contains("12 random effects for 12 rows").all()
