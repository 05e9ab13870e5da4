"""Make the synthetic data: the prompts, the quality network and three small pipelines.

    python -m pcpo.cli.synthetic prompts quality_network flux --sizes config/scale/demo.yaml \
        --out results/demo/synthetic
    python -m pcpo.cli.synthetic sd --sizes ... --out ...          # writes sd14/ and sd15/
    python -m pcpo.cli.synthetic sd35m --sizes ... --out ...
    python -m pcpo.cli.synthetic accuracy --sizes ... --out ...    # needs all of the above

Stages of one call share a process and run in the order given. The keys of `synthetic.<stage>` in
the scale file are the arguments of the function that trains it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pcpo.cli import console
from pcpo.cli.stages import run_stages
from pcpo.records.replace import write_text


def prompts(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/prompts/*.txt."""
    from pcpo.synthetic.prompts import write_prompts

    write_prompts(out / "prompts")


def quality_network(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/quality_network: the network that measures quality."""
    from pcpo.synthetic.quality_network import train_quality_network

    _call(train_quality_network, "quality_network", sizes, out / "quality_network", seed=seed)


def sd(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/sd14 and <out>/sd15: two checkpoints of one run."""
    from pcpo.synthetic.stable_diffusion import pretrain

    _call(pretrain, "sd", sizes, out / "sd14", out / "sd15", seed=seed)


def sd35m(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/sd35m: shapes and words."""
    from pcpo.synthetic.stable_diffusion_3 import pretrain

    _call(pretrain, "sd35m", sizes, out / "sd35m", seed=seed)


def flux(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/flux: guidance-distilled."""
    from pcpo.synthetic.flux import pretrain

    _call(pretrain, "flux", sizes, out / "flux", seed=seed)


def accuracy(sizes: Mapping[str, Any], out: Path, seed: int) -> None:
    """<out>/accuracy.csv and <out>/samples_<model>.png."""
    from pcpo.synthetic.accuracy import measure

    table = _call(measure, "accuracy", sizes, out, seed=seed)
    write_text(out / "accuracy.csv", table.to_csv(index=False, float_format="%.4f"))
    print(table.to_string(index=False), flush=True)


STAGES = {stage.__name__: stage for stage in (prompts, quality_network, sd, sd35m, flux, accuracy)}


def _call(
    function: Callable[..., Any], stage: str, sizes: Mapping[str, Any], *places: Path, seed: int
) -> Any:
    """`function(*places, seed=seed, **sizes[stage])`; ValueError for a wrong key."""
    values = dict(sizes.get(stage) or {})
    where = getattr(sizes.get(stage), "where", f"synthetic.{stage}")
    try:
        inspect.signature(function).bind(*places, seed=seed, **values)
    except TypeError as error:
        known = ", ".join(list(inspect.signature(function).parameters)[len(places) :])
        raise ValueError(f"{where}: {error}; keys are {known}.") from None
    console.setup()  # after the stage's imports
    return function(*places, seed=seed, **values)


def main() -> None:
    run_stages(__doc__, STAGES)


if __name__ == "__main__":
    console.run(main, printing=True)
