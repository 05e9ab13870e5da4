import numpy as np
import pandas as pd
import pytest

from pcpo.figures.grid_prompts import GRIDS, Grid
from pcpo.figures.registry import FIGURES, PICTURED
from pcpo.figures.sample_grid import sample_grid


def index(prompts, seeds=3):
    rows = [(i, text, seed) for i, text in enumerate(prompts) for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["prompt_id", "prompt", "image_seed"])


def test_it_takes_both_layouts_and_refuses_others():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    figure = sample_grid({"A": first, "B": first.transpose(0, 2, 3, 1)}, ["one", "two"])
    shown = [axes.images[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(shown[0], shown[2])
    np.testing.assert_array_equal(shown[1], first[1].transpose(1, 2, 0))
    with pytest.raises(ValueError, match="uint8"):
        sample_grid({"A": first.astype(float)}, ["one", "two"])
    with pytest.raises(ValueError, match="2 images for 1 captions"):
        sample_grid({"A": first}, ["one"])


def test_many_columns_are_folded_evenly():
    images = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((8, 3, 2, 2), np.uint8)
    figure = sample_grid({"A": images, "B": images}, ["x", "x", *"abcdef"])
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (4, 4)
    values = [axes.images[0].get_array()[0, 0, 0] for axes in figure.axes]
    assert values == [0, 1, 2, 3] * 2 + [4, 5, 6, 7] * 2
    assert [axes.get_title() for axes in figure.axes[:4]] == ["x", "", "a", "b"]  # x is there once


def test_the_papers_prompts_are_taken_where_all_are_there():
    grid = Grid((("Lion", "bat"),), images=2)
    chosen, published = grid.choose(index(["bat", "cat", "lion"]))
    assert published
    assert chosen["prompt"].tolist() == ["lion", "lion", "bat", "bat"]
    assert chosen["image_seed"].tolist() == [0, 1, 0, 1]


def test_others_are_spread_evenly():
    names = [f"p{i}" for i in range(45)]
    grid = Grid((("lion", "p1"),), spread=12, start=1, step=2)
    chosen, published = grid.choose(index(names))
    assert not published
    assert chosen["prompt_id"].tolist() == [4, 12, 20, 28, 36, 44]
    few, _ = Grid(spread=12, start=3).choose(index(["only", "two"]))
    assert set(few["prompt"]) == {"only", "two"}  # a share of few is not nothing
    with pytest.raises(ValueError, match="empty"):
        grid.choose(index([]))


def test_the_grids_are_those_of_figures_and_have_prompts_for_each_experiment():
    for name, grid in GRIDS.items():
        assert FIGURES[name].kind in PICTURED
        assert len(grid.prompts) in (0, len(FIGURES[name].experiments))
    assert len(GRIDS["figure20"].prompts[0]) == 12
