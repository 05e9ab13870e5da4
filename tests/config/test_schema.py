"""Schemas for editors are those of the records; every file of config/ is valid by its own."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from pcpo.cli.schema import texts
from pcpo.config import files

CONFIG = Path(__file__).parents[2] / "config"
FILES = {
    **dict.fromkeys(sorted((CONFIG / "experiments").glob("*.yaml")), "experiment"),
    **dict.fromkeys(sorted((CONFIG / "variants").glob("*.yaml")), "variant"),
    **dict.fromkeys(sorted((CONFIG / "presets").glob("*.yaml")), "preset"),
    **dict.fromkeys(sorted((CONFIG / "scale").glob("*.yaml")), "scale"),
    **{CONFIG / f"{kind}.yaml": kind for kind in ("arms", "claims", "defaults", "grid")},
    **{CONFIG / f"{name}.yaml": "claims" for name in ("questions", "questions2")},
}


class AsEditors(files._Plain):
    """YAML 1.2, by which editors read: there 1e-4 is a number, which PyYAML takes for a text."""

    def __init__(self, text):
        super().__init__(text, "")


AsEditors.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read(path):
    return yaml.load(path.read_text(encoding="utf-8"), AsEditors)


def mistakes(kind, data):
    schema = json.loads((CONFIG / "schema" / f"{kind}.json").read_text())
    return [e.message for e in jsonschema.Draft202012Validator(schema).iter_errors(data)]


def test_the_schemas_are_of_the_records():
    written = {path.stem: path.read_text() for path in (CONFIG / "schema").glob("*.json")}
    assert written == texts(), "run: python -m pcpo schema"
    for text in written.values():
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_valid_by_the_schema_that_it_names(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert (path.parent / named[1]).resolve() == CONFIG / "schema" / f"{FILES[path]}.json"
    assert mistakes(FILES[path], read(path)) == []


VARIANT = {"of": "01_x", "scales": ["demo"], "description": "", "arms": ["baseline", "pcpo"]}
ARM = {"description": "", "objective": "log_hinge", "log_ratio": "matching", "storage": "original"}


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("experiment", {"algorithm": "ddpo", "learning_rat": 1}, "'learning_rat' was unexpected"),
        ("experiment", {"model": "sd15"}, "'algorithm' is a required property"),
        ("experiment", {"algorithm": "ddpo", "name": "mine"}, "'name' was unexpected"),
        ("experiment", {"algorithm": "ddpo", "sampler": {"steps": 1}}, "less than or equal to"),
        ("experiment", {"algorithm": "ppo"}, "'ppo' is not one of"),
        ("variant", VARIANT | {"algorithm": "ddpo"}, "'algorithm' was unexpected"),
        ("variant", {"of": "01_x", "scales": []}, "'arms' is a required property"),
        ("variant", VARIANT | {"scales": []}, "should be non-empty"),
        ("variant", VARIANT | {"sampler": {"step": 4}}, "'step' was unexpected"),
        ("grid", {"factors": {"f": {"low": {}, "high": {}}}}, "'centre' is a required property"),
        ("grid", {"all": {"lora": {"ranks": 4}}}, "is not valid under any of the given schemas"),
        ("preset", {"all": {}}, "'description' is a required property"),
        ("preset", {"description": "", "experiments": {"1 x": {}}}, "does not match"),
        ("scale", {"note": "", "extends": "demo", "all": {"kl_beta": 1}}, "'kl_beta' was unexp"),
        ("scale", {"note": "", "extends": "demo", "all": {"lora": None}}, "not of type 'object'"),
        ("scale", {"extends": "demo"}, "'note' is a required property"),
        ("scale", {"note": "", "device": "cpu"}, "is not valid under any of the given schemas"),
        ("arms", {"mine": ARM | {"credit": "best"}}, "'best' is not one of"),
        ("arms", {"mine": ARM}, "'credit' is a required property"),
        ("claims", {"mine": {"test": "guess"}}, "'guess' is not one of"),
        ("defaults", {"ppo": {}}, "'ppo' was unexpected"),
    ],
)
def test_a_mistake_is_marked(kind, data, message):
    assert any(message in found for found in mistakes(kind, data))


def test_what_a_scale_may_change_is_offered_and_valid():
    sizes = {"sampler": {"steps": 4}, "batch": {"micro_batch": 1}, "execution": {"gpus": 2}}
    block = sizes | {"lora": {"rank": 2}, "ema": {"images_per_call": None}, "arms": ["baseline"]}
    assert mistakes("scale", {"note": "", "extends": "demo", "all": block}) == []
    assert mistakes("scale", {"note": "", "extends": "demo", "all": {"sampler": {"kind": ""}}})
