import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from pcpo.stats.mixed_model import fit_mixed_model
from pcpo.stats.null_rate import null_pairs, null_rate, pair_p


def long(first, second):
    n = len(first)
    return pd.DataFrame(
        {
            "value": [*first, *second],
            "run": ["a"] * n + ["b"] * n,
            "prompt": [str(i) for i in range(n)] * 2,
        }
    )


@pytest.mark.parametrize("sign", [1, -1])  # -1: the prompts' variance is at its boundary
def test_p_is_that_of_the_papers_model(sign):
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 2, 20)
    first, second = (s * shared + rng.normal(m, 1, 20) for s, m in ((1, 0.0), (sign, 0.4)))
    fit = fit_mixed_model(long(first, second), "value ~ run", "prompt").set_index("effect")
    assert ("boundary" in fit["note"].iloc[0]) == (sign == -1)
    assert pair_p(first, second) == pytest.approx(fit.loc["run[T.b]", "p_value"], rel=1e-3)


def per_prompt(run_sd, seeds, experiments=1, prompts=20):
    rng = np.random.default_rng(1)
    rows = [
        {
            "experiment": f"e{e}", "arm": arm, "seed": seed, "metric": "fid",
            "prompt_id": i, "value": effect + rng.normal(),
        }
        for e in range(experiments)
        for arm in ("baseline", "pcpo")
        for seed in range(seeds)
        for effect in [rng.normal(0, run_sd)]
        for i in range(prompts)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_every_pair_of_seeds_of_an_arm_is_tested():
    pairs = null_pairs(per_prompt(0, 4, experiments=3))
    assert len(pairs) == 3 * 2 * 6
    assert (pairs["first"] < pairs["second"]).all()
    found = null_rate(pairs)
    assert (found.pairs, found.disjoint) == (36, 6)
    assert (found.low, found.high) == pytest.approx(
        proportion_confint(found.share * 6, 6, method="wilson")
    )
    nothing = null_rate(null_pairs(per_prompt(0, 1)))
    assert nothing.pairs == 0
    assert np.isnan(nothing.share)


def test_an_experiment_counts_by_its_disjoint_pairs():
    """One pair of 2 seeds, which differ; 15 pairs of 6 seeds, 3 of them disjoint, which do not."""
    rows = [("a", 0, 1, 0.01)] + [("b", i, j, 0.5) for i in range(6) for j in range(i + 1, 6)]
    found = null_rate(pd.DataFrame(rows, columns=["experiment", "first", "second", "p"]))
    assert (found.share, found.pairs, found.disjoint) == (0.25, 16, 4)
    wilson = stats.binomtest(1, 4).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high))


def test_the_share_is_5_percent_without_an_effect_of_the_run_and_large_with_it():
    assert null_rate(null_pairs(per_prompt(0.0, 40))).share == pytest.approx(0.05, abs=0.03)
    assert null_rate(null_pairs(per_prompt(1.0, 40))).share > 0.5


def test_the_interval_is_wide_enough_for_pairs_that_share_runs():
    """Shares of many studies of four seeds: they vary no more than two disjoint pairs would."""
    shares = []
    truth = null_rate(null_pairs(per_prompt(0.5, 60))).share
    rng = np.random.default_rng(2)
    for _ in range(200):
        runs = rng.normal(0, 0.5, (4, 1)) + rng.normal(0, 1, (4, 20))
        p = [pair_p(runs[i], runs[j]) for i in range(4) for j in range(i)]
        shares.append(np.mean(np.array(p) < 0.05))
    assert np.mean(shares) == pytest.approx(truth, abs=0.08)
    assert np.var(shares) < truth * (1 - truth) / 2
