"""Rule `claims`: tidy frames and config/claims.yaml -> the ledger of the paper's claims."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pcpo.cli.console import sampler_option, uses
from pcpo.config import files
from pcpo.records import frame_file, frames
from pcpo.records.replace import write_texts


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", required=True, help="of config/scale/")
    parser.add_argument("--claims", default=files.CONFIG / "claims.yaml", metavar="FILE")
    for frame in frames.BY_NAME:
        parser.add_argument(f"--{frame.replace('_', '-')}", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--out", required=True, help="path without suffix")
    sampler_option(parser)
    arguments = parser.parse_args(argv)
    read = [file for frame in frames.BY_NAME for file in getattr(arguments, frame)]
    uses(read=[arguments.claims, *read], wrote=[arguments.out])

    from pcpo.claims.claim import read_claims
    from pcpo.claims.evidence import Evidence
    from pcpo.claims.ledger import counted, evaluate
    from pcpo.claims.markdown import to_markdown
    from pcpo.claims.words import LEDGER_VERDICTS
    from pcpo.config import load_experiments, load_scale
    from pcpo.config.settings import evaluated_by

    claims = read_claims(arguments.claims)
    scale = evaluated_by(load_scale(arguments.scale), arguments.evaluation_sampler)
    experiments = load_experiments(arguments.scale)
    known = [experiment.name for experiment in experiments]
    given = {
        name: frame_file.read(getattr(arguments, name), spec, scale.name, known)
        for name, spec in frames.BY_NAME.items()
        if getattr(arguments, name)
    }
    ledger = evaluate(claims, Evidence(experiments, given))
    texts = {
        ".csv": ledger.to_csv(index=False),
        ".md": to_markdown(ledger, arguments.scale, scale.note),
    }
    prefix = Path(arguments.out)
    write_texts({prefix.with_name(prefix.name + suffix): text for suffix, text in texts.items()})
    found = counted(ledger)["claim_verdict"].value_counts()
    print(
        f"{found.sum()} empirical claims: "
        + ", ".join(f"{found.get(v, 0)} {v}" for v in LEDGER_VERDICTS)
    )


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
