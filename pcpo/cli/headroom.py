"""Measure how far each experiment's reward can be pushed beyond its base model's images.

    python -m pcpo.cli.headroom --scale demo --out results/demo/synthetic/headroom.csv \\
        --base 01_ddpo_aesthetic_half results/demo/images/base/... --base ...

Only for scales whose reward models are trained here, on drawings: `pcpo.synthetic.headroom`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import run, setup, uses
from pcpo.config import load_experiment, load_scale

COLUMNS = ("configuration", "reward", "model", "images")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", required=True, help="of config/scale/")
    parser.add_argument(
        "--base", nargs=2, action="append", metavar=("EXPERIMENT", "FOLDER"), required=True
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    uses(read=[Path(folder) for _, folder in args.base], wrote=[args.out])

    import pandas as pd
    import torch

    from pcpo.cli.evaluation import load_reward
    from pcpo.evaluation.images import read_images, read_index
    from pcpo.records.replace import write_text
    from pcpo.synthetic.headroom import measure

    setup()
    scale = load_scale(args.scale)
    rows = []
    for name, folder in args.base:
        experiment, index = load_experiment(name, args.scale), read_index(Path(folder))
        prompts = index.drop_duplicates("prompt_id")["prompt"].tolist()
        images = torch.from_numpy(read_images(Path(folder), index)).unflatten(0, (len(prompts), -1))
        reward = load_reward(scale, experiment.reward.name, "cpu", **experiment.reward.options)
        found = measure(reward, experiment.reward.name, images, prompts)
        about = (experiment.number, experiment.reward.name, experiment.model, len(index))
        rows.append(dict(zip(COLUMNS, about, strict=True)) | found._asdict())
    table = pd.DataFrame(rows)
    write_text(args.out, table.to_csv(index=False, float_format="%.4f"))
    print(table.to_string(index=False), flush=True)


if __name__ == "__main__":
    run(main, printing=True)
