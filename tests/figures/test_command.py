"""`python -m pcpo.cli.figure`: files in, a figure and its caption out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcpo.cli import figure
from pcpo.config import load_experiment
from pcpo.evaluation.images import write_images
from pcpo.records import frame_file, frames
from pcpo.records.caption import Caption
from pcpo.records.values import read_json
from tests import fabricated

PROMPTS = ["cat", "bear", "butterfly", "chicken", "bee", "camel", "dog"]


@pytest.fixture
def files(given, tmp_path):
    paths = {}
    for spec in (frames.UPDATES, frames.TIMESTEPS, frames.CREDIT):
        paths[spec.name] = str(tmp_path / f"{spec.name}.parquet")
        frame_file.write(given[spec.name], spec, paths[spec.name], "demo")
    return paths


def images(folder, prompts=PROMPTS, seeds=2):
    rows = [(i, text, seed) for i, text in enumerate(prompts) for seed in range(seeds)]
    rng = np.random.default_rng(0)
    write_images(folder, rows, rng.integers(0, 256, (len(rows), 3, 8, 8), dtype=np.uint8))
    return str(folder)


@pytest.fixture
def grid(tmp_path):
    """Arguments of a grid of configuration 2, whose PCPO is not matched."""
    selection = fabricated.selection((2,), matched=False)
    frame_file.write(selection, frames.SELECTION, tmp_path / "selection.csv", "demo")
    rows = [f"--row={arm}={images(tmp_path / arm)}" for arm in ("base", "baseline", "pcpo")]
    return [
        "sample_grid", "--scale", "demo", "--experiments", "2", *rows,
        "--selection", str(tmp_path / "selection.csv"),
    ]  # fmt: skip


def written(out):
    return sorted(path.suffix for path in Path(out).parent.glob(f"{Path(out).name}.*"))


def test_a_figure_of_one_frame_with_its_caption(files, tmp_path):
    out = tmp_path / "figure9"
    arms = ["--arms", "baseline", "pcpo", "lambda"]
    figure.main(
        ["training_curves", "--scale", "demo", "--experiments", "1", "6", *arms,
         "--updates", files["updates"], "--out", str(out)]
    )  # fmt: skip
    assert written(out) == [".json", ".md", ".pdf", ".png", ".svg"]
    text = out.with_suffix(".md").read_text()
    assert read_json(out.with_suffix(".json"), Caption).to_markdown() == text
    assert text.startswith("**Figure 9, ours: ")
    assert "training seeds 0, 1, 2" in text
    assert "Not there in the frame 'updates': PCPO, scaled prediction of configuration 1" in text
    assert "not comparable with the paper's" in text  # the note of the scale


def test_an_arm_that_another_experiment_trains_is_no_gap():
    one, other = (load_experiment(number, "demo") for number in (1, 6))
    assert "log_hinge" in one.arms and "log_hinge" not in other.arms
    rows = [(one.name, "baseline"), (one.name, "log_hinge"), (other.name, "baseline")]
    frame = pd.DataFrame(rows, columns=["experiment", "arm"])

    def missing(frame, arms):
        found = figure._missing([frame], [frames.VALIDATION], [one, other], ["baseline", *arms])
        return [line.removeprefix("Not there in the frame 'validation': ") for line in found]

    assert missing(frame, ["log_hinge"]) == []
    assert missing(frame, ["pcpo"]) == ["PCPO of configuration 1, PCPO of configuration 6"]
    gap = "+ log-hinge of configuration 1, + log-hinge of configuration 6"
    assert missing(frame.iloc[[0, 2]], ["log_hinge"]) == [gap]


def test_a_figure_of_two_frames(files, tmp_path):
    out = tmp_path / "mine"
    figure.main(
        ["timestep_credit", "--scale", "demo", "--figure", "figure12", "--out", str(out),
         "--timesteps", files["timesteps"], "--credit", files["credit"]]
    )  # fmt: skip
    assert out.with_suffix(".md").read_text().startswith("**Figure 12, ours: ")


def test_a_frame_of_another_kind_is_refused(files, tmp_path):
    out = ["--out", str(tmp_path / "x")]
    with pytest.raises(ValueError, match=r"credit\.parquet: the frame 'updates' lacks"):
        figure.main(["ablation", "--scale", "demo", "--updates", files["credit"], *out])
    assert not list(tmp_path.glob("x*"))


def test_a_figure_without_its_frame_is_refused(tmp_path):
    with pytest.raises(ValueError, match="from the frame 'updates': give --updates FILE"):
        figure.main(["ablation", "--scale", "demo", "--out", str(tmp_path / "figure4")])


def test_a_grid_names_its_prompts_and_checkpoints(grid, tmp_path):
    figure.main([*grid, "--out", str(tmp_path / "figure1a")])
    text = (tmp_path / "figure1a.md").read_text()
    listed = "“cat”; “bear”; “butterfly”; “chicken”; “bee”; “camel”"
    assert f"Prompts of Appendix G, image seeds 0: {listed}. " in text
    assert "PCPO epoch 14 (selection reward 6.01, NOT matched)" in text
    assert "One training run per arm" not in text
    figure.main([*grid, "--out", str(tmp_path / "figure15")])
    text = (tmp_path / "figure15.md").read_text()
    assert "Prompts spread evenly over the evaluation prompts (the paper names none)" in text


def test_a_grid_names_the_sampler_of_its_images(grid, tmp_path):
    texts = {}
    for sampler in ("native", "own"):
        out = tmp_path / sampler
        figure.main([*grid, "--figure", "figure15", "--evaluation-sampler", sampler,
                     "--out", str(out)])  # fmt: skip
        texts[sampler] = out.with_suffix(".md").read_text()
    assert "experiment's native one for every row" in texts["native"]
    assert "by each arm's own sampler" not in texts["native"]
    assert "native one for every row" not in texts["own"]
    assert "evaluation images by each arm's own sampler" in texts["own"]


def test_rows_of_other_images_are_refused(grid, tmp_path):
    fewer = images(tmp_path / "fewer", PROMPTS[:3])
    with pytest.raises(
        ValueError, match=r"fewer/index\.csv: prompt 3 \('chicken'\), image seed 0 is mi"
    ):
        figure.main([*grid, f"--row=uniform={fewer}", "--out", str(tmp_path / "figure1a")])
    with pytest.raises(ValueError, match="give every arm once for each experiment"):
        figure.main([*grid, f"--row=base={fewer}", "--out", str(tmp_path / "figure1a")])
    assert not list(tmp_path.glob("figure1a*"))
