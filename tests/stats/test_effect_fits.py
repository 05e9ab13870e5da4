import numpy as np
import pandas as pd
from scipy import stats

from pcpo.stats.effect_fits import COLUMNS, fit_effects, over_runs
from pcpo.stats.mixed_model import fit_mixed_model
from pcpo.stats.reml import fit_reml
from tests.stats.simulated import factorial, with_runs

EFFECTS = ("algorithm[T.pcpo]", "batch[T.full]", "algorithm[T.pcpo]:batch[T.full]")
FORMULA = "value ~ algorithm * batch"


def configured(frame):
    """With `seed` and `run`, of frames with one run a cell or several."""
    if "run" not in frame:
        frame = frame.assign(run=frame["batch"].astype(str) + frame["algorithm"].astype(str))
    cells = frame.groupby(["algorithm", "batch"], observed=True)["run"]
    return frame.assign(seed=cells.transform(lambda run: pd.factorize(run)[0]))


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
    assert fit[["run_coef", "p_run", "p_random_run"]].isna().all(axis=None)
    assert (fit["runs"] == 1).all()


def test_several_runs_a_cell_have_the_papers_answer_and_that_over_runs():
    frame = configured(with_runs(0, run_sd=30))
    fit = fit_effects(frame, FORMULA, EFFECTS, "algorithm")
    keys = ["prompt", "algorithm", "batch"]
    averaged = frame.groupby(keys, observed=True, as_index=False)["value"].mean()
    naive = fit_mixed_model(averaged, FORMULA, "prompt").set_index("effect").loc[[*EFFECTS]]
    np.testing.assert_allclose(fit["std_error"], naive["std_error"], rtol=1e-6)
    np.testing.assert_allclose(fit["run_coef"], fit["coef"], rtol=1e-6)  # balanced
    # It takes the random effects of three runs for one of the algorithm.
    assert (fit["run_std_error"] > 1.5 * fit["std_error"]).all()
    cells = frame.groupby(["seed", "algorithm", "batch"], observed=True)["value"].mean().unstack()
    half, full = (cells[batch].unstack() for batch in ("half", "full"))
    expected = [
        stats.ttest_rel(half["pcpo"], half["baseline"]),
        stats.ttest_rel(full["baseline"], half["baseline"]),
        stats.ttest_rel(full["pcpo"] - full["baseline"], half["pcpo"] - half["baseline"]),
    ]
    np.testing.assert_allclose(fit["p_run"], [test.pvalue for test in expected])
    np.testing.assert_allclose(
        fit["run_coef"] / fit["run_std_error"], [t.statistic for t in expected]
    )
    crossed = fit_reml(frame, FORMULA, "prompt", crossed="run").set_index("effect")
    np.testing.assert_array_equal(fit["p_random_run"], crossed.loc[[*EFFECTS], "p_satterthwaite"])


def test_a_contrast_takes_the_seeds_that_have_all_of_its_cells():
    frame = configured(with_runs(0, run_sd=30))
    lost = frame[~((frame["seed"] == 1) & (frame["algorithm"] == "pcpo"))]
    assert list(over_runs(lost, EFFECTS)["runs"]) == [2, 3, 2]
    one_batch = over_runs(frame[frame["batch"] == "full"], EFFECTS[:1])
    assert one_batch["runs"].item() == 3


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
