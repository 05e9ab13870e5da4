"""The robustness grid: its design, its cells as experiments, and mistakes in its file."""

import itertools

import numpy as np
import pytest

from pcpo.config import ConfigError, experiments_at, load_experiment
from pcpo.config.grid import coded_levels, load_grid
from pcpo.figures.registry import FIGURES

CELLS = coded_levels()
CODED = np.array([[*levels.values()] for levels in CELLS.values()])


def test_corners_are_a_half_of_all_at_resolution_five():
    centre, corners = CODED[0], CODED[1:]
    assert not centre.any()
    assert len(corners) == len(np.unique(corners, axis=0)) == 2**4
    assert set(np.unique(corners)) == {-1, 1}
    assert (corners.prod(axis=1) == 1).all()  # the defining relation has five letters


def test_all_effects_of_one_and_two_factors_are_orthogonal():
    pairs = [CODED[:, i] * CODED[:, j] for i, j in itertools.combinations(range(5), 2)]
    columns = np.column_stack([np.ones(len(CODED)), CODED, *pairs])
    assert columns.shape == (17, 16)
    np.testing.assert_array_equal(columns.T @ columns, np.diag([17] + 15 * [16]))


def test_a_cell_is_the_studys_configuration_with_its_levels():
    base = load_experiment(1, "study2")
    for name, levels in CELLS.items():
        cell = load_experiment(name, "study2")
        batch, factor = cell.batch, {-1: 0.5, 0: 1, 1: 2}
        assert batch.images_per_iteration == 32 * factor[levels["batch_size"]]
        assert batch.micro_batch * batch.gradient_updates == batch.images_per_iteration
        assert cell.sampler.guidance_scale == 2 + 0.5 * levels["guidance"]
        assert cell.lora.rank == cell.lora.alpha == 8 * factor[levels["lora_rank"]]
        assert cell.sampler.noise_level == 0.75 + 0.25 * levels["noise"]
        assert cell.optimizer.learning_rate == 4e-3 * factor[levels["learning_rate"]]
        assert (cell.arms, cell.compared) == (("baseline", "pcpo"), ())
        assert cell.training_seeds(range(6)) == [0, 1]
        assert cell.epochs == 40
        for field in ("reward", "clip_range", "validation", "advantage", "timesteps"):
            assert getattr(cell, field) == getattr(base, field)


def test_the_figure_is_of_all_cells():
    numbers = tuple(load_experiment(name, "study2").number for name in CELLS)
    assert FIGURES["robustness_grid"].experiments == numbers
    assert set(CELLS) < set(experiments_at("study2"))
    assert not set(CELLS) & set(experiments_at("study"))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("factors", "noise", "low"), {}, "factors.noise: its three levels set the same keys"),
        (("factors", "noise", "loww"), {}, "factors.noise.loww: unknown key"),
        (("all", "sampler"), {"noise_level": 1}, "factors.noise: sampler.noise_level is set by"),
        (("factors", "batch_size", "high", "batch", "images_per_iteration"), 63,
         "grid.yaml (factors.batch_size.high): batch: images_per_iteration (63)"),
        (("of",), "21_none", "of: no file config/experiments/21_none.yaml"),
        (("scales",), ["study3"], "scales: no file config/scale/study3.yaml"),
        (("design",), "third", "design"),
        (("all", "algorithm"), "dancegrpo", "algorithm: a variant has that of 01_"),
        (("first_number",), 1, "first_number"),
    ],
)  # fmt: skip
def test_mistakes_name_the_file_and_the_key(edited, path, value, words):
    edited("grid.yaml", path, value)
    with pytest.raises(ConfigError) as error:
        load_experiment("117_grid_hhhhh", "study2")
    assert "grid.yaml" in str(error.value)
    assert words in str(error.value)


def test_half_of_four_factors_is_refused_and_all_corners_are_taken(edited):
    edited("grid.yaml", ("design",), "full")
    assert len(coded_levels()) == 1 + 2**5
    grid, _ = load_grid()
    empty = {"low": {}, "centre": {}, "high": {}}
    edited("grid.yaml", ("factors",), {name: dict(empty) for name in [*grid.factors][:4]})
    assert len(coded_levels()) == 1 + 2**4
    edited("grid.yaml", ("design",), "half")
    with pytest.raises(ConfigError, match="design: half needs 5 factors or more"):
        coded_levels()
