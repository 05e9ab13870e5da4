"""Write the JSON schemas by which editors complete and check the files of config/."""

from __future__ import annotations

import argparse
import json

from pcpo.cli.console import run
from pcpo.config import files
from pcpo.config.schema import Schema, named_blocks, of_record, schemas
from pcpo.records.replace import write_texts


def texts() -> dict[str, str]:
    """Kind of file -> the text of its schema."""
    found = schemas() | {"claims": _claims()}
    return {kind: json.dumps(schema, indent=1) + "\n" for kind, schema in found.items()}


def _claims() -> Schema:
    from pcpo.claims.claim import Claim
    from pcpo.claims.estimate import PROCEDURES

    claim = of_record(Claim, leave_out=("id",))
    claim["properties"]["test"]["enum"] = sorted(PROCEDURES)
    return named_blocks(claim)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    folder = files.CONFIG / "schema"
    folder.mkdir(exist_ok=True)
    write_texts({folder / f"{kind}.json": text for kind, text in texts().items()})
    print(f"{folder}: {', '.join(sorted(texts()))}")


if __name__ == "__main__":
    run(main)
