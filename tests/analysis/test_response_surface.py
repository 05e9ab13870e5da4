"""Surfaces with planted coefficients, against the closed forms of an orthogonal design."""

import numpy as np
import pytest
from scipy import stats

from pcpo.analysis.response_surface import (
    MEAN,
    Undetermined,
    at_point,
    fit,
    predicted_by_others,
    responses,
)
from pcpo.config.grid import coded_levels
from tests import fabricated

CELLS = coded_levels()
FACTORS = [*next(iter(CELLS.values()))]
BATCH, GUIDANCE, RANK = FACTORS[:3]
NOISE = 0.03  # added in seed 1, taken away in seed 0; the other way where BATCH is low
SEED = 0.4  # what seed 1 adds to all cells, and seed 0 takes away


def planted(levels, seed, curvature=0.0, pair=0.05):
    spread = (1 if seed else -1) * (SEED + NOISE * levels[BATCH])
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
    assert not none["cut"].any()


def test_planted_coefficients_are_found_with_the_intervals_of_an_orthogonal_design():
    found = surface_of()
    expected = dict.fromkeys(found.terms.index, 0.0)
    expected |= {MEAN: 0.5, BATCH: -0.2, f"{GUIDANCE} x {RANK}": 0.05}
    assert len(expected) == 16
    np.testing.assert_allclose(found.terms["coef"], [*expected.values()], atol=1e-12)
    # The runs of 16 corners lie NOISE off the surface. 16 terms and a block are fitted; 32 runs
    # have the factors. What a seed adds to all cells is in no interval.
    variance = 32 * NOISE**2 / (34 - 17)
    half = stats.t.ppf(0.975, 17) * np.sqrt(variance / 32)
    factors = found.terms.drop(index=MEAN)
    np.testing.assert_allclose(factors["high"] - factors["coef"], half)
    np.testing.assert_allclose(factors["coef"] - factors["low"], half)
    p = 2 * stats.t.sf(0.2 / np.sqrt(variance / 32), 17)
    assert found.terms.loc[BATCH, "p"] == pytest.approx(p)
    assert found.centre[:2] == pytest.approx((0.5, 0.5))
    assert found.centre.high - 0.5 == pytest.approx(half * np.sqrt(32 / 34))


def test_a_centre_off_the_surface_is_lack_of_fit():
    """Montgomery, Design and Analysis of Experiments: the sum of squares of curvature."""
    assert surface_of().lack_of_fit == pytest.approx((0.0, 1, 16, 1.0), abs=1e-9)
    test = surface_of(curvature=0.1).lack_of_fit
    f = 32 * 2 / (32 + 2) * 0.1**2 / (32 * NOISE**2 / 16)
    assert test == pytest.approx((f, 1, 16, stats.f.sf(f, 1, 16)))


def test_a_point_of_the_surface_has_the_interval_of_a_corner():
    given = fabricated.grid_validation(planted)
    rows = responses(given, CELLS)
    corner = next(
        levels for levels in CELLS.values() if all(value == 1 for value in levels.values())
    )
    found = at_point(rows, "log_speedup", FACTORS, corner)
    assert found.value == pytest.approx(0.5 - 0.2 + 0.05)
    assert found.df == 17
    # Variance of a corner: 1/34 for the mean and 1/32 for each of the 15 other terms.
    half = stats.t.ppf(0.975, 17) * np.sqrt(32 * NOISE**2 / 17 * (1 / 34 + 15 / 32))
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half))


def test_a_seed_that_lacks_cells_moves_no_term():
    rows = responses(fabricated.grid_validation(planted), CELLS)
    lacking = (rows["seed"] == 1) & rows["experiment"].isin([*CELLS][2:7])
    found = fit(rows[~lacking], "log_speedup", FACTORS)
    # The seeds' effect is 0.8, and a plain mean would lie 0.07 lower.
    assert found.terms.loc[MEAN, "coef"] == pytest.approx(0.5, abs=0.02)
    assert found.terms.loc[BATCH, "coef"] == pytest.approx(-0.2, abs=0.02)


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
    values = [np.mean([planted(levels, s, pair=0.05) for s in (0, 1)]) for levels in others]
    expected = np.linalg.solve(columns.T @ columns, columns.T @ values).sum()
    assert found["predicted"] == pytest.approx(expected)


def test_too_few_cells_are_refused():
    given = fabricated.grid_validation(planted)
    few = dict([*CELLS.items()][:8])
    with pytest.raises(Undetermined, match="8 cells with 16 runs do not determine its 16 terms"):
        fit(responses(given, few), "log_speedup", FACTORS)
