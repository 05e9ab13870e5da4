"""The metadata against what the profiles demand (their MUSTs), in our own words."""

import json
import zipfile

import pytest

from pcpo.archive.crate import crate
from pcpo.config.files import Path
from tests.archive.finished import NAMES, P, pack


@pytest.fixture(scope="module")
def packed(run, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run)
        with zipfile.ZipFile(pack(tmp_path_factory.mktemp("crate") / "archive.zip")) as archive:
            return archive.read("ro-crate-metadata.json"), set(archive.namelist())


@pytest.fixture(scope="module")
def entities(packed):
    graph = json.loads(packed[0])["@graph"]
    assert len({e["@id"] for e in graph}) == len(graph)
    return {e["@id"]: e for e in graph}


def of_type(entities, name):
    return [e for e in entities.values() if name == e["@type"] or name in list(e["@type"])]


def targets(value):
    """Identifiers of a property, which is one reference or a list of them."""
    return [r["@id"] for r in (value if isinstance(value, list) else [value])]


def references(value):
    """Every {"@id": ...} below a value."""
    if isinstance(value, list):
        return [r for item in value for r in references(item)]
    if isinstance(value, dict):
        return [value["@id"]] if set(value) == {"@id"} else references(list(value.values()))
    return []


def test_descriptor_and_root(entities):
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    assert descriptor["about"] == {"@id": "./"}
    assert {"@id": "https://w3id.org/ro/crate/1.1"} in descriptor["conformsTo"]
    assert root["@type"] == "Dataset"
    assert root["datePublished"] == "2026-01-31"  # of the last step, not of today
    assert root["name"] and root["description"] and root["license"]
    profiles = [entities[target] for target in targets(root["conformsTo"])]
    assert {p["@id"].rsplit("/", 2)[1] for p in profiles} == {
        "process", "workflow", "provenance", "workflow-ro-crate",
    }  # fmt: skip
    assert all(p["@type"] == "CreativeWork" and p["name"] and p["version"] for p in profiles)


def test_every_reference_leads_somewhere(entities):
    for entity in entities.values():
        for target in references({k: v for k, v in entity.items() if k not in ("@id", "url")}):
            known = target in entities or target.startswith(("http://schema.org/", "https://doi."))
            assert known or target == "https://w3id.org/ro/crate/1.1", (entity["@id"], target)


def test_every_file_is_described(packed, entities):
    listed = {e["@id"] for e in of_type(entities, "File")}
    assert listed == packed[1] - {"ro-crate-metadata.json", "manifest-sha256.txt"}
    assert set(targets(entities["./"]["hasPart"])) == listed


def test_the_workflow_has_a_language_tools_and_steps(entities):
    workflow = entities[entities["./"]["mainEntity"]["@id"]]
    assert workflow["@id"] == "Snakefile"
    assert set(workflow["@type"]) == {
        "File",
        "SoftwareSourceCode",
        "ComputationalWorkflow",
        "HowTo",
    }
    language = entities[workflow["programmingLanguage"]["@id"]]
    assert language["@type"] == "ComputerLanguage" and language["name"] == "Snakemake"
    assert workflow["version"] == "c0ffee"
    steps = [entities[target] for target in targets(workflow["step"])]
    assert [s["name"] for s in steps] == ["train", "table"]  # as they started
    tools = set(targets(workflow["hasPart"]))
    assert {s["workExample"]["@id"] for s in steps} == tools
    assert {a["instrument"]["@id"] for a in of_type(entities, "CreateAction")} == {
        "Snakefile", *tools,
    }  # fmt: skip


def test_a_job_says_what_it_made_and_when(entities):
    job = entities["#job/train/04_ddpo_bertscore_pcpo_0"]
    assert job["startTime"] == "2026-01-31T01:00:00+00:00"
    assert job["endTime"] == "2026-01-31T01:30:00+00:00"
    run = P.run.format(experiment=NAMES[0], arm="pcpo", seed=0)
    assert f"{run}/updates.parquet" in targets(job["result"])
    table = entities["#job/table/table9"]
    assert table["object"] == {"@id": P.alignment.format(experiment=NAMES[1], seed=0)}
    assert len(table["result"]) == 4
    controls = {e["object"]["@id"]: e for e in of_type(entities, "ControlAction")}
    assert entities[controls[job["@id"]]["instrument"]["@id"]]["@type"] == "HowToStep"
    engine = of_type(entities, "OrganizeAction")[0]
    assert set(targets(engine["object"])) == {e["@id"] for e in controls.values()}
    assert entities[engine["result"]["@id"]]["instrument"] == {"@id": "Snakefile"}


def test_without_records_no_run_is_claimed():
    graph = json.loads(crate("x", {"Snakefile": "0"}, {"Snakefile": 1}, [], "2026-01-31"))["@graph"]
    kinds = [entity["@type"] for entity in graph]
    assert "CreateAction" not in kinds
    assert "/workflow-ro-crate/" in graph[1]["conformsTo"]["@id"]
    assert Path(graph[1]["mainEntity"]["@id"]) == Path("Snakefile")
