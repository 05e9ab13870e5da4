"""Compare what samplers make of a base model: distances to the native sampler's images.

    python -m pcpo.cli.samplers_compared 08 --scale demo --arm solved_sampler --kind flow_cps \\
        --images 16 --out samplers.csv

Each sampler is one of a kind (`sampler.kind` of a configuration, with the configuration's steps and
noise level) with the sigmas of an arm's credit schedule. The row `native` is of the native sampler
again, with other noise: as far as chance alone goes. The row `deterministic` is of the native
sampler without noise in its steps. All rows have the same prompts and the same noise, which
`--seed` changes; the images that they are compared with have noise of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses
from pcpo.config import Experiment, load_arm, load_experiment, load_scale
from pcpo.config.experiment import Sampler as SamplerConfig

if TYPE_CHECKING:
    from pcpo.policies.base import Policy
    from pcpo.samplers import Sampler

KINDS = get_args(SamplerConfig.model_fields["kind"].annotation)
NATIVE = "native"


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--arm", action="append", default=[], help="whose sigmas are compared")
    parser.add_argument(
        "--kind", action="append", default=[], choices=KINDS, help="of samplers, beside the own"
    )
    parser.add_argument("--images", type=int, help="of each prompt; the configuration's without it")
    parser.add_argument("--out", type=Path, required=True, help="a Parquet or CSV file")
    args = parser.parse_args()
    uses(wrote=[args.out])
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale, seed=args.seed)

    from pcpo.cli.evaluation import device_of, load_policy
    from pcpo.cli.images_to_measure import images_to_measure
    from pcpo.evaluation.quality import measure
    from pcpo.records import frame_file, frames

    setup()
    log = Log(args.log)
    device = device_of(args, scale)
    policy, native = load_policy(experiment, scale, device)
    count = args.images or experiment.evaluation.images_per_prompt
    compared = samplers_of(experiment, policy, args.kind, args.arm)
    with images_to_measure(experiment, scale, policy, count, args.out) as made:
        reference, sets = made("reference", native), {}
        for name, sampler in compared.items():
            sets[name] = made(name, sampler, f"compared {args.seed}")
            log(f"{name}: images are made")
        overall, _ = measure(sets, reference, scale.quality, experiment.name, args.seed)
    overall = overall.rename(columns={"arm": "sampler"}).drop(columns="seed")
    frame_file.write(overall, frames.SAMPLERS, args.out, scale.name)
    table = overall.pivot(index="sampler", columns="measured", values="value")
    log(table.loc[list(sets), [source.measured for source in scale.quality.values()]].to_string())


def samplers_of(
    experiment: Experiment, policy: Policy, kinds: list[str], arms: list[str]
) -> dict[str, Sampler]:
    """Name -> sampler: each kind, the experiment's own first, natively and with each arm's sigmas;
    then the native one without noise.

    Raises ValueError for a kind that the model does not allow, and for an arm that the kind does
    not.
    """
    from pcpo.credit import arm_sampler

    found = {}
    own = experiment.sampler.kind
    for kind in dict.fromkeys([own, *kinds]):
        if (kind == "ddim") != (own == "ddim"):
            raise ValueError(f"--kind {kind}: {experiment.model} is sampled by {own}")
        sampler = experiment.sampler.model_copy(update={"kind": kind})
        other = experiment.model_copy(update={"sampler": sampler})
        for name in dict.fromkeys(["baseline", *arms]):
            if not load_arm(name).applies_to(kind):
                raise ValueError(f"--arm {name}: it makes no sense with sampler {kind}")
            made, schedule = arm_sampler(other, load_arm(name), policy.scheduler_config)
            if schedule.moves_prediction:
                raise ValueError(f"--arm {name}: its steps also need a reference model")
            words = [kind] * (kind != own) + [name] * (name != "baseline")
            found[" ".join(words) or NATIVE] = made.to(policy.device)
    return found | {"deterministic": found[NATIVE].deterministic()}


if __name__ == "__main__":
    run(main)
