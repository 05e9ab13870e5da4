"""Rule `gradients`: the gradient of each timestep at checkpoints of a run.

    python -m pcpo.cli.gradients 08 pcpo --scale demo \\
        --run results/demo/runs/08_flowgrpo_ocr/pcpo/seed0 --epochs 0 12 24 --out gradients.parquet

Epoch 0 is the base model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses
from pcpo.config import load_arm, load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("arm", help="a key of config/arms.yaml")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--epochs", type=int, nargs="+", required=True, help="of checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="a Parquet or CSV file")
    args = parser.parse_args()
    uses(read=[args.run], wrote=[args.out])
    experiment, arm = load_experiment(args.experiment, args.scale), load_arm(args.arm)
    # A compiled backward frees what it has saved, and a gradient with another scale of the loss
    # goes through the same graph again.
    eager = experiment.execution.model_copy(update={"compile": False})
    experiment = experiment.model_copy(update={"execution": eager})
    scale = load_scale(args.scale)
    resolved(experiment=experiment, arm=arm, scale=scale, seed=args.seed)

    import torch

    from pcpo import policies
    from pcpo.cli.evaluation import checkpoint_folder, device_of, embeddings, load_reward
    from pcpo.policies import weights
    from pcpo.prompts.draws import derive_seed
    from pcpo.prompts.file import read_prompts
    from pcpo.prompts.needs import needs_of
    from pcpo.records import frame_file, frames
    from pcpo.training.run import Run
    from pcpo.training.step_gradients import step_gradients

    setup()
    log = Log(args.log)
    epochs = sorted(set(args.epochs))
    folders = {
        epoch: checkpoint_folder(experiment, scale, arm.name, args.run, epoch)
        for epoch in epochs
        if epoch != 0
    }
    device = device_of(args, scale)
    torch.manual_seed(derive_seed("adapter", args.seed))  # as the run: its adapter at epoch 0
    policy = policies.load(
        experiment,
        scale.models[experiment.model],
        train=True,
        device=device,
        embeddings=embeddings(scale),
    )
    reward = load_reward(scale, experiment.reward.name, device, **experiment.reward.options)
    file = scale.prompts[experiment.prompts]
    prompts = read_prompts(file, needs_of(scale, experiment.reward.name))
    whole = Run(
        experiment.model_copy(update={"validation": None}), arm, args.seed, policy, reward, prompts
    )
    rows = []
    for epoch in epochs:
        if epoch != 0:
            weights.restore(policy, folders[epoch])
        rows += [whole.columns | row for row in step_gradients(whole, epoch)]
        log(f"{experiment.name} {arm.name}: gradients at epoch {epoch}")
    frame = frame_file.of_rows(rows, frames.GRADIENTS)
    frame_file.write(frame, frames.GRADIENTS, args.out, scale.name, **whole.columns)


if __name__ == "__main__":
    run(main, alone="--out")
