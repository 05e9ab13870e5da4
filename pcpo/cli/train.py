"""Train one run: `python -m pcpo.cli.train 01 pcpo --scale demo --out results/demo/runs/...`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses

if TYPE_CHECKING:
    from pcpo.config import Arm, Experiment


class Progress:
    """A bar on a terminal, a line per epoch in the log."""

    def __init__(self, epochs: int, title: str, log: Log) -> None:
        from tqdm import tqdm

        self.log, self.started, self.images, self.epoch = log, time.monotonic(), 0, 0
        self.bar = tqdm(total=epochs, desc=title, unit="epoch", disable=not sys.stderr.isatty())

    def __call__(self, row: dict[str, Any]) -> None:
        if row["update"] == 1:
            self.images += row["images"]
            self.bar.update(row["epoch"] - self.bar.n)
            self.on_policy = row["clip_fraction"]
        rate = self.images / (time.monotonic() - self.started)
        self.bar.set_postfix_str(
            f"reward {row['reward_mean']:.4g} clip {row['clip_fraction']:.3f} {rate:.1f} img/s"
        )
        self.log(
            f"epoch {row['epoch']} update {row['update']} reward {row['reward_mean']:.5g} "
            f"+- {row['reward_std']:.3g} loss {row['loss']:.3e} "
            f"clip {row['clip_fraction']:.4f} (on-policy {self.on_policy:.4f}) "
            f"ratio {row['ratio_mean']:.7f} sd {row['ratio_std']:.2e} "
            f"grad {row['grad_norm']:.3g} kl {row['kl']:.3g} {rate:.1f} img/s"
        )


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("arm", help="a key of config/arms.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    args = parser.parse_args()
    uses(wrote=[args.out])

    from pcpo.config import load_arm, load_experiment, load_scale

    experiment, arm = load_experiment(args.experiment, args.scale), load_arm(args.arm)
    scale = load_scale(args.scale)
    resolved(experiment=experiment, arm=arm, scale=scale, seed=args.seed)
    if not arm.applies_to(experiment.sampler.kind):
        raise ValueError(f"arm '{arm.name}' makes no sense with sampler {experiment.sampler.kind}")

    import torch

    from pcpo import policies
    from pcpo.cli.evaluation import cut_prompts, embeddings, load_reward
    from pcpo.prompts.draws import derive_seed
    from pcpo.prompts.file import read_prompts
    from pcpo.prompts.needs import needs_of
    from pcpo.records import provenance
    from pcpo.training import tracker
    from pcpo.training.identity import identity
    from pcpo.training.loop import train
    from pcpo.training.model_card import card, published
    from pcpo.training.observer import Observer
    from pcpo.training.previews import previews
    from pcpo.training.processes import Processes
    from pcpo.training.run import Run
    from pcpo.training.run_folder import RunFolder
    from pcpo.training.trained_code import code_digests

    setup()
    tracker.check(scale.tracker)
    processes = Processes.start(args.device or scale.device)
    log = Log(args.log if processes.is_main else Path(os.devnull))
    needs, validation = needs_of(scale, experiment.reward.name), experiment.validation
    prompts = read_prompts(scale.prompts[experiment.prompts], needs)
    held_out = read_prompts(scale.prompts[validation.prompts], needs) if validation else ()
    source = scale.models[experiment.model]
    about = {"experiment": experiment.name, "arm": arm.name, "seed": args.seed}
    about["scale"] = scale.name
    base = policies.digest(source.path)
    about |= {"model": experiment.model, "base": base}
    weights = scale.rewards[experiment.reward.name]
    module = weights.implementation or experiment.reward.name
    origin = provenance.origin() | {"code": code_digests(module)}
    origin["gpus"] = processes.size if processes.device.startswith("cuda") else 0
    origin["sizes"] = experiment.sizes
    same = identity(experiment, arm, args.seed, base, prompts, weights)
    text = card(experiment, arm, args.seed, published(source))
    folder = RunFolder(args.out, same, about, origin, text)
    meet = processes.meeting()
    with folder.lock(log) if processes.is_main else nullcontext(), out_of_memory(experiment, arm):
        meet()  # the others wait for the lock as well
        torch.manual_seed(derive_seed("adapter", args.seed))  # LoRA's random initialisation
        policy = policies.load(
            experiment,
            source,
            train=True,
            device=processes.device,
            embeddings=embeddings(scale),
        )
        reward = load_reward(
            scale, experiment.reward.name, processes.device, **experiment.reward.options
        )
        log(f"{experiment.name} ({experiment.description}), arm {arm.name}: {arm.description}")
        for part in ("captioner_name", "engine"):  # what the reward runs, where it varies
            if hasattr(reward, part):
                log(f"reward {experiment.reward.name}: {part} = {getattr(reward, part)}")
        file = scale.prompts[experiment.prompts]
        if cut := cut_prompts(source.path, experiment.prompts, file, prompts):
            log(cut)
        progress = Progress(experiment.epochs, f"{experiment.name} {arm.name}", log)
        whole = Run(experiment, arm, args.seed, policy, reward, prompts, held_out, processes)
        with tracker.tracked(scale.tracker, whole, folder.path) as tracked:
            observers = [Observer(update=progress)]
            if tracked is not None:
                observers.append(tracked.observer)
            if scale.previews is not None:
                show = tracked.images if tracked is not None else None
                observers.append(previews(whole, folder.path, scale.previews, show))
            train(whole, folder, observers, log)
        log("done")
    processes.leave()


@contextmanager
def out_of_memory(experiment: Experiment, arm: Arm) -> Iterator[None]:
    """Turn CUDA's own errors into what to change, or how to resume."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        from pcpo.cost.plan import suggest_micro_batch

        gigabytes = torch.cuda.get_device_properties(0).total_memory / 1e9
        size = experiment.batch.micro_batch
        fits = suggest_micro_batch(experiment, gigabytes, arm)
        advice = (
            f"the plan suggests {fits}" if 0 < fits < size else "the plan knows no size that fits"
        )
        larger = experiment.larger_rollout(arm)
        rollout = f"execution.rollout_batch, now {larger}, or " if larger else ""
        raise ValueError(
            f"the GPU's {gigabytes:.0f} GB are not enough for {experiment.name}: lower {rollout}"
            f"batch.micro_batch, now {size} ({advice}), or set execution.activation_checkpointing "
            f"or more execution.gpus in config/scale/{experiment.scale}.yaml, and start again: the "
            f"run resumes from its last saved state ({error})"
        ) from error
    except torch.AcceleratorError as error:
        raise ValueError(
            f"the GPU failed ({error}); start again: the run resumes from its last saved state"
        ) from error


if __name__ == "__main__":
    run(main)
