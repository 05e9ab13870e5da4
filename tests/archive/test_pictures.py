"""The images of a sample grid, out of folders that hold many more."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from pcpo.archive.pictures import shown_images
from pcpo.evaluation.images import read_images, read_index, write_images
from pcpo.figures.grid_prompts import GRIDS

FIGURE = "figure17"  # two experiments, each with its own prompts, two images of a prompt
ARMS = ("base", "pcpo")


@pytest.fixture
def rows(tmp_path):
    found = []
    for block in range(2):
        for number, arm in enumerate(ARMS):
            folder = tmp_path / f"{block}" / arm
            dice = np.random.default_rng(10 * block + number)
            keys = [(i, f"prompt {i}", seed) for i in range(9) for seed in range(5)]
            write_images(folder, keys, list(dice.integers(0, 256, (45, 3, 8, 8), np.uint8)))
            found.append((arm, folder))
    return found


def unpacked(tmp_path, found):
    """The folders as an archive gives them back."""
    for path, source in found.items():
        target = tmp_path / "small" / path.relative_to(tmp_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
    return tmp_path / "small"


def test_the_same_images_are_chosen_and_read(rows, tmp_path):
    small = unpacked(tmp_path, shown_images({FIGURE: rows}))
    for place, (_, folder) in enumerate(rows):
        chosen, _ = GRIDS[FIGURE].choose(read_index(folder), place // 2)
        kept = small / folder.relative_to(tmp_path)
        again, _ = GRIDS[FIGURE].choose(read_index(kept), place // 2)
        pd.testing.assert_frame_equal(again, chosen)
        assert np.array_equal(read_images(kept, again), read_images(folder, chosen))


def test_no_others_are_kept(rows):
    found = shown_images({FIGURE: rows})
    shards = {path: data for path, data in found.items() if path.suffix == ".zip"}
    assert len(shards) == 4 * 2  # folders, prompts
    for data in shards.values():
        with zipfile.ZipFile(io.BytesIO(data)) as shard:
            assert shard.namelist() == ["image_seed_0000.png", "image_seed_0001.png"]


def test_figures_of_the_same_folder_share_it(rows):
    both = shown_images({FIGURE: rows, "figure1a": rows[:2]})
    shown = {path for path in both if path.parent == rows[0][1]}
    assert len(shown) > 3
    assert both.keys() == shown_images({"figure1a": rows[:2], FIGURE: rows}).keys()


def test_a_damaged_shard_is_named(rows):
    (rows[0][1] / "prompt_000.zip").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"prompt_000\.zip: the shard is missing or damaged"):
        shown_images({FIGURE: rows})
