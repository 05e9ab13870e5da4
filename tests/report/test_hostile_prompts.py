"""Prompts of all kinds, from a file through training and images to figure, frames and report."""

import html
import warnings
from pathlib import Path

import numpy as np
import pytest

from pcpo import samplers
from pcpo.cli import figure
from pcpo.config import load_arm
from pcpo.evaluation.generation import generate
from pcpo.evaluation.images import read_index, write_images
from pcpo.figures.grid_prompts import GRIDS, Grid
from pcpo.prompts.file import read_prompts
from pcpo.records import frame_file, frames
from pcpo.report import collect, render
from pcpo.training.loop import train
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from tests import fabricated
from tests.hostile_prompts import HOSTILE, write
from tests.report.test_page import Reader
from tests.small import brightness, experiment, policy

COUNT = len(HOSTILE)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    return read_prompts(write(tmp_path_factory.mktemp("prompts") / "mine.txt"))


def test_training_gives_the_reward_the_text_of_the_file(models, prompts, tmp_path):
    """Each prompt twice, on one step of the sampler."""
    seen = []

    def reward(images, texts):
        seen.extend(texts)
        return brightness(images, texts)

    batch = {"images_per_iteration": 2 * COUNT, "prompts_per_iteration": COUNT}
    chosen = experiment(
        7, epochs=1, sampler={"steps": 3}, timesteps={"fraction": 0.4}, checkpoint_every=1,
        batch=batch | {"gradient_updates": 1, "micro_batch": COUNT},
    )  # fmt: skip
    run = Run(chosen, load_arm("pcpo"), 0, policy(models, chosen, train=True), reward, prompts)
    train(run, RunFolder(tmp_path / "run", {"a": "run"}))
    assert sorted(seen) == sorted(2 * HOSTILE)
    assert (
        frame_file.read(tmp_path / "run/updates.parquet", frames.UPDATES)["images"][0] == 2 * COUNT
    )


@pytest.fixture
def images(models, prompts, tmp_path):
    """A folder of images of the prompts, by a small model."""
    chosen = experiment(7, sampler={"steps": 2})
    base = policy(models, chosen)
    sampler = samplers.build(chosen.sampler, base.scheduler_config)
    made = generate(base, sampler, 1.0, [(prompt, 0) for prompt in prompts], 16)
    rows = [(i, prompt, 0) for i, prompt in enumerate(prompts)]
    write_images(tmp_path / "images", rows, (image.numpy() for image in made))
    return tmp_path / "images"


def test_index_figure_caption_frames_and_report_have_them_unchanged(
    images, results, tmp_path, monkeypatch
):
    assert read_index(images)["prompt"].tolist() == HOSTILE
    monkeypatch.setitem(GRIDS, "figure20", Grid(spread=COUNT, shown=COUNT))
    frame_file.write(
        fabricated.selection((5,)), frames.SELECTION, tmp_path / "selection.csv", "demo"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.main(
            ["sample_grid", "--scale", "demo", "--experiments", "5", f"--row=base={images}",
             "--selection", str(tmp_path / "selection.csv"),
             "--out", str(results.root / "figures/figure20")]
        )  # fmt: skip
    caption = Path(results.root, "figures/figure20.md").read_text(encoding="utf-8")
    assert "<b>" not in caption and "<script" not in caption and "</script" not in caption
    assert "replaces a character that no installed font has: U+" in caption
    page = render(collect(results.root, "demo", results.experiments, [0]))
    text = Reader(page).text
    assert [prompt for prompt in HOSTILE if f"“{prompt}”" not in text] == []
    assert html.escape("<b>") in page and "“<b>”" not in page


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_frame_has_them_unchanged(tmp_path, suffix):
    row = {"experiment": "x", "arm": "base", "seed": 0, "metric": "fid", "measured": "NA"}
    row |= {"value": np.nan, "images": 1, "reference_images": 1, "dimensions": 1}
    rows = [row | {"prompt_id": i, "prompt": prompt} for i, prompt in enumerate(HOSTILE)]
    spec = frames.METRICS_PER_PROMPT
    frame_file.write(frame_file.of_rows(rows, spec), spec, tmp_path / f"f.{suffix}", "smoke")
    read = frame_file.read(tmp_path / f"f.{suffix}", spec)
    assert read["prompt"].tolist() == HOSTILE
    assert set(read["measured"]) == {"NA"}
