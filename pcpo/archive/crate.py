"""ro-crate-metadata.json: the archive as a Provenance Run Crate, readable by other tools.

RO-Crate 1.1 with the profiles Workflow RO-Crate 1.0 and Workflow Run RO-Crate 0.5 (process,
workflow and provenance): https://www.researchobject.org/workflow-run-crate/profiles/. It names the
steps with recorded provenance, and the files in the archive.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pcpo.archive.steps import Step, files_of

METADATA = "ro-crate-metadata.json"
WORKFLOW = "Snakefile"
_CRATE = "https://w3id.org/ro/crate/1.1"
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_RUN = "https://w3id.org/ro/wfrun"
_VERSION = "0.5"
_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
_LICENSE = "https://spdx.org/licenses/MIT"
_FORMATS = {
    ".parquet": "application/vnd.apache.parquet",
    ".smk": "text/x-python",
    ".yaml": "application/yaml",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".lock": "text/plain",
    ".log": "text/plain",
    ".cff": "application/yaml",
    ".jsonl": "application/jsonl",
}

Entity = dict[str, Any]


def crate(
    name: str, sums: Mapping[str, str], sizes: Mapping[str, int], steps: Sequence[Step], date: str
) -> bytes:
    """The metadata of an archive called `name`, with a day as `date`.

    `sums` and `sizes` are of all its other files.
    """
    runs = [_RUN + f"/{profile}/{_VERSION}" for profile in ("process", "workflow", "provenance")]
    profiles = [*(runs if steps else []), _WORKFLOW_CRATE]
    actions = _actions(steps, sums) if steps else []
    mentioned = [e for e in actions if e["@type"] in ("CreateAction", "OrganizeAction")]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": name,
        "description": "Tables, figures and claims of a run of pcpo, the frames that they are made "
        "from, its configuration, code, logs and provenance. Without weights and training states.",
        "datePublished": date,
        "license": _ref(_LICENSE),
        "conformsTo": _refs(profiles),
        "mainEntity": _ref(WORKFLOW),
        "hasPart": _refs(sorted(sums)),
        **({"mentions": _refs(e["@id"] for e in mentioned)} if mentioned else {}),
    }
    descriptor = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": _ref("./"),
        "conformsTo": [_ref(_CRATE), _ref(_WORKFLOW_CRATE)],
    }
    graph = [descriptor, root, *(_file(f, sums[f], sizes[f], steps) for f in sorted(sums))]
    graph += [_profile(profile) for profile in profiles]
    graph += [_license(), _language(), *_tools(steps), *actions]
    context = [f"{_CRATE}/context", "https://w3id.org/ro/terms/workflow-run/context"]
    return json.dumps({"@context": context, "@graph": graph}, indent=1).encode()


def _file(file: str, digest: str, size: int, steps: Sequence[Step]) -> Entity:
    suffix = Path(file).suffix
    kind = _FORMATS.get(suffix) or mimetypes.guess_type(file)[0] or "application/octet-stream"
    entity: Entity = {"@id": file, "@type": "File", "name": file, "sha256": digest}
    entity |= {"contentSize": str(size), "encodingFormat": kind}
    if file != WORKFLOW:
        return entity
    rules = _rules(steps)
    commits = ", ".join(sorted({step.commit for step in steps if step.commit}))
    tools = _refs(f"#tool/{rule}" for rule in rules)
    parts = {"hasPart": tools, "step": _refs(f"#step/{rule}" for rule in rules)} if rules else {}
    return entity | {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "pcpo: from base models to the paper's tables",
        "programmingLanguage": _ref(_LANGUAGE),
        "license": _ref(_LICENSE),
        **({"version": commits} if commits else {}),
        **parts,
    }


def _tools(steps: Sequence[Step]) -> list[Entity]:
    """A rule is a step of the workflow, and its command is the step's tool."""
    found: list[Entity] = []
    modules = {step.rule: step.module for step in steps}
    for position, rule in enumerate(_rules(steps), 1):
        tool = {"@id": f"#tool/{rule}", "@type": "SoftwareApplication", "name": modules[rule]}
        step = {"@id": f"#step/{rule}", "@type": "HowToStep", "name": rule}
        found += [tool, step | {"position": str(position), "workExample": _ref(f"#tool/{rule}")}]
    return found


def _actions(steps: Sequence[Step], sums: Mapping[str, str]) -> list[Entity]:
    """The jobs, the engine that started them, and the workflow's run as a whole."""
    found: list[Entity] = []
    for step in steps:
        given, made = files_of(step, sums)
        action = {
            "@id": f"#job/{step.rule}/{step.name}",
            "@type": "CreateAction",
            "name": f"{step.rule} {step.name}",
            "instrument": _ref(f"#tool/{step.rule}"),
            "description": step.line,
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "subjectOf": _ref(step.record),
            **_times(step.start, step.end),
            "object": _refs(given),
            "result": _refs(made),
        }
        control = {
            "@id": f"#control/{step.rule}/{step.name}",
            "@type": "ControlAction",
            "name": f"start of {step.rule} {step.name}",
            "instrument": _ref(f"#step/{step.rule}"),
            "object": _ref(action["@id"]),
        }
        found += [action, control]
    times = _times(min(s.start for s in steps), max(s.end for s in steps))
    drawn = ("/tables/", "/figures/", "/pictures/")
    shown = [f for f in sums if f.count("/") == 2 or any(folder in f for folder in drawn)]
    whole = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "The run of the workflow, as far as its steps were recorded",
        "instrument": _ref(WORKFLOW),
        **times,
        "description": "From configuration to tables, figures and report.",
        "object": _refs(file for file in sorted(sums) if file.startswith("config/")),
        "result": _refs(file for file in sorted(shown) if file.startswith("results/")),
    }
    engine = {
        "@id": "#engine",
        "@type": "OrganizeAction",
        "name": "Snakemake",
        "instrument": _ref("#snakemake"),
        **times,
        "object": _refs(e["@id"] for e in found if e["@type"] == "ControlAction"),
        "result": _ref("#run"),
    }
    snakemake = {
        "@id": "#snakemake",
        "@type": "SoftwareApplication",
        "name": "Snakemake",
        "url": "https://snakemake.github.io",
    }
    return [snakemake, engine, whole, *found]


def _times(start: str, end: str) -> Entity:
    return {"startTime": start, "endTime": end}


def _rules(steps: Sequence[Step]) -> list[str]:
    """Rules in the order in which they first started."""
    return list(dict.fromkeys(step.rule for step in sorted(steps, key=lambda s: (s.start, s.rule))))


def _profile(address: str) -> Entity:
    *_, profile, version = address.split("/")
    named = f"{profile.replace('-', ' ').capitalize()} {version}"
    return {"@id": address, "@type": "CreativeWork", "name": named, "version": version}


def _license() -> Entity:
    scope = (
        "Of the code. Published prompts, and images made with published weights, have their own."
    )
    return {"@id": _LICENSE, "@type": "CreativeWork", "name": "MIT License", "description": scope}


def _language() -> Entity:
    return {
        "@id": _LANGUAGE,
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "identifier": _ref("https://doi.org/10.1093/bioinformatics/bts480"),
        "url": _ref("https://snakemake.github.io"),
    }


def _ref(identifier: str) -> Entity:
    return {"@id": identifier}


def _refs(identifiers: Iterable[str]) -> Entity | list[Entity]:
    """A single reference is a value, not a list of one, as RO-Crate recommends."""
    found = [_ref(identifier) for identifier in identifiers]
    return found[0] if len(found) == 1 else found
