"""Rules `figure*`: frames (or images) -> a figure (.pdf, .png, .svg) and caption (.md, .json)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pcpo.analysis.phases import find_phases, instead
from pcpo.cli.console import sampler_option, uses
from pcpo.config.settings import NATIVE
from pcpo.figures import style
from pcpo.figures.captions import caption
from pcpo.figures.grid_prompts import GRIDS, Grid, same_images
from pcpo.figures.kinds import KINDS
from pcpo.figures.lettering import lettering
from pcpo.figures.pictures import Pictures
from pcpo.figures.registry import FIGURES
from pcpo.figures.style import save
from pcpo.markdown import escaped
from pcpo.records import frame_file, frames
from pcpo.records.replace import write_texts
from pcpo.records.values import to_json


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--scale", required=True, help="of config/scale/")
    parser.add_argument("--figure", metavar="NAME", help="its name; by default that of --out")
    parser.add_argument(
        "--experiments", nargs="*", type=int, metavar="NUMBER", help="panels, in this order"
    )
    parser.add_argument(
        "--arms", nargs="*", metavar="ARM", help="arms to draw; default: the kind's"
    )
    named = {spec.name: name for name, spec in frames.BY_NAME.items()}
    drawn = sorted({named[spec.name] for kind in KINDS.values() for spec in kind.frames})
    for frame in drawn:
        parser.add_argument(f"--{frame.replace('_', '-')}", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--selection", nargs="*", default=[], metavar="FILE", help="of the images")
    parser.add_argument(
        "--row", action="append", default=[], metavar="ARM=FOLDER",
        help="row of a sample grid; once per experiment of the figure",
    )  # fmt: skip
    parser.add_argument("--out", required=True, help="path without suffix")
    sampler_option(parser)
    arguments = parser.parse_args(argv)
    read = [file for frame in (*drawn, "selection") for file in getattr(arguments, frame)]
    rows = [_row(row) for row in arguments.row]
    uses(read=[*read, *(folder for _, folder in rows)], wrote=[arguments.out])

    from pcpo.config import load_experiments, load_scale
    from pcpo.config.settings import evaluated_by

    name = arguments.figure or Path(arguments.out).name
    numbered = {e.number: e for e in load_experiments(arguments.scale)}
    unknown = [n for n in arguments.experiments or () if n not in numbered]
    if unknown:
        raise ValueError(f"no experiment has the numbers {unknown}; known: {sorted(numbered)}")
    chosen = [numbered[n] for n in arguments.experiments or ()]
    of = (arguments.scale, [e.name for e in chosen] or None)
    if arguments.kind == "sample_grid":
        seeds: list[int] = []
        selection = frame_file.read(arguments.selection, frames.SELECTION, *of)
        figure, remarks = _sample_grid(rows, GRIDS.get(name, Grid()), chosen, selection)
        if arguments.evaluation_sampler == NATIVE:  # else the scale's note says it
            remarks.append("The sampler is the experiment's native one for every row")
    else:
        kind = KINDS[arguments.kind]
        files = [getattr(arguments, named[spec.name]) for spec in kind.frames]
        for spec, found in zip(kind.frames, files, strict=True):
            if not found:
                option = named[spec.name].replace("_", "-")
                raise ValueError(
                    f"{arguments.kind} is drawn from the frame '{spec.name}': give --{option} FILE"
                )
        given = [frame_file.read(f, spec, *of) for f, spec in zip(files, kind.frames, strict=True)]
        if "experiment" in given[0]:
            there = set(given[0]["experiment"])
            chosen = chosen or [e for e in numbered.values() if e.name in there]
        arms = {"arms": arguments.arms} if arguments.arms else {}
        grid = GRIDS.get(name, Grid())
        shown, of_images = _pictures(rows, grid) if rows else ([], [])
        figure = kind.draw(*given, chosen, **arms, **({"pictures": shown} if rows else {}))
        runs = given[0] if "seed" in given[0] else pd.DataFrame({"seed": []})
        seeds = sorted(runs["seed"].unique().tolist())
        remarks = _missing(given, kind.frames, chosen, arguments.arms or ())
        remarks += _phases(given[0], chosen) if kind.phases else []
        remarks += _fewer_seeds(runs, chosen, seeds) + of_images
    save(figure, arguments.out)
    scale = evaluated_by(load_scale(arguments.scale), arguments.evaluation_sampler)
    below = caption(
        name if name in FIGURES else arguments.kind,
        chosen, seeds, remarks, note=scale.note,
    )  # fmt: skip
    texts = {".md": below.to_markdown(), ".json": to_json(below)}
    write_texts({Path(arguments.out + suffix): text for suffix, text in texts.items()})


def _missing(
    given: Sequence[pd.DataFrame],
    specs: Sequence[frames.FrameSpec],
    experiments: Sequence[Any],
    arms: Sequence[str],
) -> list[str]:
    """What was asked for and is in none of the files, so that a gap is not taken for a result.

    An arm that is drawn for another experiment is no gap where an experiment does not train it.
    """
    remarks = []
    for frame, spec in zip(given, specs, strict=True):
        if not {"experiment", "arm"} <= set(spec.key):  # of no run
            continue
        there = set(zip(frame["experiment"], frame["arm"], strict=True))
        drawn = {arm for e in experiments for arm in arms if (e.name, arm) in there}
        gone = [
            f"{style.LABELS.get(arm, arm)} of configuration {e.number}"
            for e in experiments
            for arm in arms
            if (e.name, arm) not in there and (arm in e.arms or arm not in drawn)
        ]
        if gone:
            remarks.append(f"Not there in the frame '{spec.name}': {', '.join(gone)}")
    return remarks


def _phases(updates: pd.DataFrame, experiments: Sequence[Any]) -> list[str]:
    """Which runs' second phase does not follow a crossing, by configuration."""
    remarks = []
    for e in experiments:
        runs = find_phases(updates[updates["experiment"] == e.name], e.evaluation)
        if exceptions := instead(runs, style.LABELS):
            remarks.append(f"Near convergence in configuration {e.number}: {exceptions}")
    return remarks


def _fewer_seeds(runs: pd.DataFrame, experiments: Sequence[Any], seeds: Sequence[int]) -> list[str]:
    """Which configurations have not all of the figure's training seeds."""
    remarks = []
    for e in experiments if seeds else ():
        own = sorted(runs.loc[runs["experiment"] == e.name, "seed"].unique().tolist())
        if own and own != list(seeds):
            remarks.append(f"Configuration {e.number}: training seeds {', '.join(map(str, own))}")
    return remarks


def _row(word: str) -> tuple[str, Path]:
    arm, separator, folder = word.partition("=")
    if not separator:
        raise ValueError(f"--row {word}: expected ARM=FOLDER")
    return arm, Path(folder)


def _sample_grid(
    rows: Sequence[tuple[str, Path]],
    grid: Grid,
    experiments: Sequence[Any],
    selection: pd.DataFrame,
) -> tuple[Any, list[str]]:
    """The figure, and what its caption says of prompts and checkpoints."""
    blocks, remarks = _pictures(rows, grid)
    captions = [caption for block in blocks for caption in block.captions]
    arms = list(blocks[0].images)
    images = {arm: [image for block in blocks for image in block.images[arm]] for arm in arms}
    labels = _labels(arms, selection)
    figure = KINDS["sample_grid"].draw({labels[arm]: images[arm] for arm in arms}, captions)
    return figure, [*remarks, *_checkpoints(selection)]


def _pictures(rows: Sequence[tuple[str, Path]], grid: Grid) -> tuple[list[Pictures], list[str]]:
    """The images of each experiment of the figure, and what its caption says of their prompts."""
    from pcpo.evaluation.images import read_images, read_index

    folders: dict[str, list[Path]] = {}
    for arm, folder in rows:
        folders.setdefault(arm, []).append(folder)
    blocks = max((len(each) for each in folders.values()), default=0)
    if not blocks or any(len(each) != blocks for each in folders.values()):
        raise ValueError("--row ARM=FOLDER: give every arm once for each experiment of the figure")
    found, remarks = [], []
    for block in range(blocks):
        shown = None
        images: dict[str, list[np.ndarray]] = {}
        for arm, each in folders.items():
            index = read_index(each[block])
            if shown is None:
                shown, published = grid.choose(index, block)
            images[arm] = list(read_images(each[block], same_images(shown, index, each[block])))
        assert shown is not None
        found.append(Pictures(images, shown["prompt"].tolist()))
        remarks.append(_prompts(shown, grid, published))
    captions = [caption for pictures in found for caption in pictures.captions]
    return found, [*dict.fromkeys(remarks), lettering(captions).remark()]


def _prompts(shown: pd.DataFrame, grid: Grid, published: bool) -> str:
    texts = "; ".join(f"“{escaped(text)}”" for text in shown["prompt"].drop_duplicates())
    seeds = ", ".join(map(str, sorted(shown["image_seed"].unique())))
    why = "the paper's are not among them" if grid.prompts else "the paper names none"
    source = "of Appendix G" if published else f"spread evenly over the evaluation prompts ({why})"
    return f"Prompts {source}, image seeds {seeds}: {texts}"


def _labels(arms: Sequence[str], selection: pd.DataFrame) -> dict[str, str]:
    """E.g. PCPO, epoch 9: the epoch where all images of a row are of one experiment."""
    labels = {arm: style.LABELS.get(arm, arm) for arm in arms}
    if len(selection) and selection["experiment"].nunique() == 1:
        epochs = dict(zip(selection["arm"], selection["epoch"].astype(int), strict=True))
        return {a: f"{t}\nepoch {epochs[a]}" if a in epochs else t for a, t in labels.items()}
    return labels


def _checkpoints(selection: pd.DataFrame) -> list[str]:
    """Which checkpoints, their selection reward, and whether it is matched."""
    remarks = []
    for name, rows in selection.groupby("experiment", sort=False):
        each = "; ".join(
            f"{style.LABELS.get(arm, arm)} epoch {epoch} (selection reward {reward:.4g}, "
            f"{'matched' if matched else 'NOT matched'})"
            for arm, epoch, reward, matched in zip(
                rows["arm"], rows["epoch"], rows["selection_reward"], rows["matched"], strict=True
            )
        )
        remarks.append(f"Checkpoints of {name}: {each}")
    return remarks


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
