"""Rule `figure`: tidy frames (or images) -> one of the paper's figures as .pdf and .png."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcpo import frames
from pcpo.figures import save
from pcpo.figures.ablation import ablation
from pcpo.figures.credit_weights import credit_weights
from pcpo.figures.ratio_distribution import ratio_distribution
from pcpo.figures.sample_grid import sample_grid
from pcpo.figures.training_curves import training_curves

# kind -> (function of a frame and experiments, the frame's spec)
FIGURES = {
    "training_curves": (training_curves, frames.UPDATES),
    "ablation": (ablation, frames.UPDATES),
    "ratio_distribution": (ratio_distribution, frames.UPDATES),
    "credit_weights": (credit_weights, frames.CREDIT),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pcpo.cli.figure", description=__doc__)
    parser.add_argument("kind", choices=[*FIGURES, "sample_grid"])
    parser.add_argument("--scale", required=True)
    parser.add_argument(
        "--experiments", nargs="*", type=int, metavar="NUMBER", help="panels, in this order"
    )
    parser.add_argument("--updates", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--credit", nargs="*", default=[], metavar="FILE")
    parser.add_argument(
        "--row", action="append", default=[], metavar="LABEL=FOLDER", help="row of a sample grid"
    )
    parser.add_argument("--columns", type=int, default=10, help="columns of a sample grid")
    parser.add_argument("--title", default="")
    parser.add_argument("--out", required=True, help="path without suffix")
    arguments = parser.parse_args(argv)

    if arguments.kind == "sample_grid":
        rows, captions = _images(arguments.row, arguments.columns)
        figure = sample_grid(rows, captions, arguments.title)
    else:
        from pcpo.config import load_experiments

        numbered = {e.number: e for e in load_experiments(arguments.scale)}
        unknown = [n for n in arguments.experiments or () if n not in numbered]
        if unknown:
            raise ValueError(f"no experiment has the numbers {unknown}; known: {sorted(numbered)}")
        draw, spec = FIGURES[arguments.kind]
        frame = frames.read(getattr(arguments, spec.name), spec)
        present = set(frame["experiment"])
        chosen = arguments.experiments or [n for n, e in numbered.items() if e.name in present]
        figure = draw(frame, [numbered[n] for n in chosen])
    save(figure, arguments.out)


def _images(rows: Sequence[str], columns: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """The first image of evenly spread prompts from each `LABEL=FOLDER`, and their captions."""
    from pcpo.shards import read_images, read_index

    images: dict[str, np.ndarray] = {}
    captions: list[str] = []
    for row in rows:
        label, separator, folder = row.partition("=")
        if not separator:
            raise ValueError(f"--row {row}: expected LABEL=FOLDER")
        index = read_index(Path(folder)).drop_duplicates("prompt_id")
        spread = np.linspace(0, len(index) - 1, min(columns, len(index))).round().astype(int)
        chosen = index.iloc[spread]
        images[label] = read_images(Path(folder), chosen)
        captions = chosen["prompt"].tolist()
    return images, captions


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main)
