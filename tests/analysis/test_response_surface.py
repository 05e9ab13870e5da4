"""Surfaces with planted coefficients, against the closed forms of an orthogonal design."""

import numpy as np
import pytest
from scipy import stats

from pcpo.analysis.response_surface import MEAN, Undetermined, fit, predicted_by_others, responses
from pcpo.config.grid import coded_levels
from tests import fabricated

CELLS = coded_levels()
FACTORS = [*next(iter(CELLS.values()))]
BATCH, GUIDANCE, RANK = FACTORS[:3]
NOISE = 0.03  # added in seed 1, taken away in seed 0


def planted(levels, seed, curvature=0.0, pair=0.05):
    spread = NOISE if seed else -NOISE
    middle = curvature if not any(levels.values()) else 0.0
    own = 0.5 - 0.2 * levels[BATCH] + pair * levels[GUIDANCE] * levels[RANK]
    return own + middle + spread


def surface_of(**options):
    given = fabricated.grid_validation(lambda levels, seed: planted(levels, seed, **options))
    return fit(responses(given, CELLS), "log_speedup", FACTORS)


def test_a_response_is_of_a_cell_and_a_seed():
    given = fabricated.grid_validation(lambda levels, seed: 0.2 + 0.1 * seed)
    rows = responses(given, CELLS)
    assert len(rows) == 2 * 17
    np.testing.assert_allclose(rows["log_speedup"], 0.2 + 0.1 * rows["seed"])
    assert not rows["cut"].any()
    # Straight lines from the base model over 40 epochs: the mean gain is half of the last.
    np.testing.assert_allclose(rows["area_gain"], 1.0 * (np.exp(rows["log_speedup"]) - 1))
    coded = rows.drop_duplicates("experiment").set_index("experiment")[FACTORS]
    assert coded.to_dict("index") == CELLS


def test_a_run_that_ends_below_the_level_is_counted_and_a_cell_without_one_has_no_response():
    name = next(iter(CELLS))
    given = fabricated.grid_validation(lambda levels, seed: 0.4)
    own = given["experiment"] == name
    flat = given.assign(reward_mean=given["reward_mean"].mask(own & (given["seed"] == 1), 1.0))
    rows = responses(flat, {name: CELLS[name]})
    # The level is 0.75 of the baseline's mean gain, which is half of one run's.
    assert rows["cut"].tolist() == [0, 2]
    np.testing.assert_allclose(rows["log_speedup"], [0.4, 0.0])
    none = responses(given.assign(reward_mean=given["reward_mean"].mask(own, 1.0)), CELLS)
    assert none.loc[none["experiment"] == name, "log_speedup"].isna().all()
    assert none["log_speedup"].notna().sum() == 2 * 16


def test_planted_coefficients_are_found_with_the_intervals_of_an_orthogonal_design():
    found = surface_of()
    expected = dict.fromkeys(found.terms.index, 0.0)
    expected |= {MEAN: 0.5, BATCH: -0.2, f"{GUIDANCE} x {RANK}": 0.05}
    assert len(expected) == 16
    np.testing.assert_allclose(found.terms["coef"], [*expected.values()], atol=1e-12)
    # 34 runs lie NOISE off the surface and 16 terms are fitted; of the runs, 32 have the factors.
    variance = 34 * NOISE**2 / (34 - 16)
    half = stats.t.ppf(0.975, 18) * np.sqrt(variance / 32)
    factors = found.terms.drop(index=MEAN)
    np.testing.assert_allclose(factors["high"] - factors["coef"], half)
    np.testing.assert_allclose(factors["coef"] - factors["low"], half)
    p = 2 * stats.t.sf(0.2 / np.sqrt(variance / 32), 18)
    assert found.terms.loc[BATCH, "p"] == pytest.approx(p)
    assert found.centre[:2] == pytest.approx((0.5, 0.5))
    assert found.centre.high - 0.5 == pytest.approx(half * np.sqrt(32 / 34))


def test_a_centre_off_the_surface_is_lack_of_fit():
    """Montgomery, Design and Analysis of Experiments: the sum of squares of curvature."""
    assert surface_of().lack_of_fit == pytest.approx((0.0, 1, 17, 1.0))
    test = surface_of(curvature=0.1).lack_of_fit
    f = 32 * 2 / (32 + 2) * 0.1**2 / (34 * NOISE**2 / 17)
    assert test == pytest.approx((f, 1, 17, stats.f.sf(f, 1, 17)))


def test_cells_are_predicted_by_the_others():
    def rows(pair):
        given = fabricated.grid_validation(lambda levels, seed: planted(levels, seed, pair=pair))
        return responses(given, CELLS)

    plain = predicted_by_others(rows(0.0), "log_speedup", FACTORS)
    np.testing.assert_allclose(plain["observed"], plain["predicted"])
    name = next(n for n, levels in CELLS.items() if all(level == 1 for level in levels.values()))
    # 16 corners and a centre: leaving the corner out leaves 16 cells, of which 15 are corners.
    found = predicted_by_others(rows(0.05), "log_speedup", FACTORS).loc[name]
    assert found["observed"] == pytest.approx(0.5 - 0.2 + 0.05)
    others = [levels for levels in CELLS.values() if levels != CELLS[name]]
    columns = np.array([[1, *levels.values()] for levels in others])
    values = [planted(levels, 0, pair=0.05) + NOISE for levels in others]
    expected = np.linalg.solve(columns.T @ columns, columns.T @ values).sum()
    assert found["predicted"] == pytest.approx(expected)


def test_too_few_cells_are_refused():
    given = fabricated.grid_validation(planted)
    few = dict([*CELLS.items()][:8])
    with pytest.raises(Undetermined, match="8 cells with 16 runs do not determine its 16 terms"):
        fit(responses(given, few), "log_speedup", FACTORS)
