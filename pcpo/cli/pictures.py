"""Training in pictures: the previews of an experiment's runs as a figure (.png) and its caption."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from pcpo.cli.console import uses
from pcpo.config import Experiment, load_experiment, load_scale
from pcpo.markdown import escaped, without_html
from pcpo.records.caption import Caption
from pcpo.records.replace import write_texts
from pcpo.records.strips import Strip
from pcpo.records.values import to_json


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", help="number or name of config/experiments/")
    parser.add_argument("--scale", default="demo", help="of config/scale/; demo without it")
    parser.add_argument("--seed", type=int, default=0, help="of the training runs; 0 without it")
    parser.add_argument("--arm", nargs=2, action="append", metavar=("ARM", "RUN"), default=[])
    parser.add_argument("--out", required=True, help="path without suffix")
    args = parser.parse_args(argv)
    uses(read=[folder for _, folder in args.arm], wrote=[args.out])

    from pcpo.figures.style import save
    from pcpo.figures.training_in_pictures import training_in_pictures
    from pcpo.records import strips
    from pcpo.records.strip_files import shown_strips

    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    shown = shown_strips(Path(folder) for _, folder in args.arm)
    arms = [arm for arm, _ in args.arm]
    runs = {arm: strips.read_files(files) for arm, files in zip(arms, shown, strict=True)}
    save(training_in_pictures(runs), args.out, ["png"])  # of pixels alone
    below = caption(experiment, args.seed, runs, scale.note)
    texts = {".md": below.to_markdown(), ".json": to_json(below)}
    write_texts({Path(args.out + suffix): text for suffix, text in texts.items()})


def caption(
    experiment: Experiment, seed: int, runs: Mapping[str, Mapping[int, Strip]], note: str
) -> Caption:
    """The text below the figure."""
    from pcpo.figures import style
    from pcpo.figures.training_in_pictures import prompts_of

    epochs = {epoch for found in runs.values() for epoch in found}
    lacking = [style.LABELS.get(arm, arm) for arm, found in runs.items() if {*found} < epochs]
    texts = "; ".join(f"{n} “{escaped(text)}”" for n, text in enumerate(prompts_of(runs), 1))
    parts = [
        f"Configuration {experiment.number}, {escaped(experiment.description)}, training seed "
        f"{seed}.",
        "All images of a prompt have the same noise, by the experiment's native sampler. Epoch 0 "
        "is the base model.",
        f"Prompts: {texts}.",
    ]
    if not epochs:
        parts[1:] = [
            "Its runs have no previews: they are drawn while a run trains, and these were trained "
            "before `previews` of the scale was set."
        ]
    elif lacking:
        parts.append(f"Previews are missing of {', '.join(lacking)}.")
    parts.append(f"{without_html(note).rstrip('.')}.")
    return Caption("", "Training in pictures.", " ".join(parts))


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
