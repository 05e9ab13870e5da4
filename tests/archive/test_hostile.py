"""Archives of people who mean harm, drawn from by the workflow itself: nothing of theirs is run.

Each is a whole archive, with right sums, in which one name holds a command that would leave a file.
"""

import json
import zipfile
from pathlib import Path

import pytest
import yaml

from pcpo.archive.bundle import digests, write
from tests.archive.finished import NAMES, P, pack
from tests.system.pipeline import copy_sources, snakemake

MARKER = "marker_of_a_stranger"
COMMAND = f"$(touch {MARKER})"
FIRST = f"config/experiments/{NAMES[0]}.yaml"


@pytest.fixture(scope="module")
def entries(run, tmp_path_factory):
    """Name -> bytes of an archive that is as it should be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run)
        whole = pack(tmp_path_factory.mktemp("packed") / "archive.zip")
    with zipfile.ZipFile(whole) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_sources(tmp_path_factory.mktemp("checkout"))


def edit(entries, name, change):
    data = yaml.safe_load(entries[name])
    change(data)
    entries[name] = yaml.safe_dump(data, sort_keys=False).encode()


def a_file_stem(entries):
    """An experiment's file; archive.json has its number, which is a name."""
    bad = f"07_x{COMMAND}"
    for name in list(entries):
        data = entries.pop(name)
        if name.startswith(("config/scale/", "config/presets/")):
            data = data.replace(NAMES[1].encode(), bad.encode())
        entries[name.replace(NAMES[1], bad)] = data
    about = json.loads(entries["archive.json"]) | {"experiments": [NAMES[0], "7"]}
    entries["archive.json"] = json.dumps(about).encode()
    return bad


def an_arm(entries):
    """A further arm of an experiment, with its frames."""
    bad = f"pcpo{COMMAND}"
    for name in [n for n in entries if n.startswith(f"{P.root}/runs/{NAMES[0]}/pcpo/")]:
        entries[name.replace("/pcpo/", f"/{bad}/")] = entries[name]
    edit(entries, "config/arms.yaml", lambda arms: arms.update({bad: arms["pcpo"]}))
    edit(entries, FIRST, lambda experiment: experiment["arms"].append(bad))
    return bad


def a_prompt_set(entries):
    """The prompts of an experiment: part of the folder of its base model's images."""
    bad = f"activity{COMMAND}"
    for name in [n for n in entries if n.startswith(f"{P.root}/images/base/sd15_activity_")]:
        entries[name.replace("activity", bad, 1)] = entries.pop(name)
    edit(entries, FIRST, lambda experiment: experiment.update(prompts=bad))
    for scale in ("demo", "smoke"):
        path = f"results/{scale}/synthetic/prompts/activity.txt"
        edit(
            entries,
            f"config/scale/{scale}.yaml",
            lambda data, path=path: data.setdefault("prompts", {}).update({bad: path}),
        )
    return bad


def zipped(path, entries):
    files = {name: data for name, data in entries.items() if name != "manifest-sha256.txt"}
    write(path, files, digests(files))
    return path


def draw(checkout, archive, *targets):
    arguments = ("--cores", "1", "--config", f"from_bundle={archive}", "--", *targets)
    return snakemake(checkout, *arguments)


@pytest.mark.parametrize("plant", [a_file_stem, an_arm, a_prompt_set])
def test_a_name_that_holds_a_command_is_refused_by_its_name(entries, checkout, tmp_path, plant):
    changed = dict(entries)
    bad = plant(changed)
    assert changed != entries
    archive = zipped(tmp_path / "archive.zip", changed)
    code, output = draw(checkout, archive, "claims", "report", "samples_bertscore")
    assert not list(checkout.rglob(f"{MARKER}*"))
    assert code == 1
    assert bad in output
    assert "is no name; use letters, digits, _ and -" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": "../../x"}, "archive.json does not say of which run it is: scale: '../../x'"),
        ({"experiments": [f"a{COMMAND}"]}, "which run it is: experiments: 'a$(touch"),
        ({"seeds": [f"0{COMMAND}"]}, "archive.json does not say of which run it is"),
        ({"seeds": [0, 0]}, "archive.json lists an experiment or a seed twice"),
    ],
)
def test_archive_json_names_nothing_else(entries, checkout, tmp_path, change, message):
    about = json.loads(entries["archive.json"]) | change
    changed = entries | {"archive.json": json.dumps(about).encode()}
    code, output = draw(checkout, zipped(tmp_path / "archive.zip", changed), "claims")
    assert code == 1
    assert message in output
    assert "Traceback" not in output
    assert not list(checkout.rglob(f"{MARKER}*"))


def test_the_archive_without_these_names_is_drawn(entries, checkout, tmp_path):
    """Else the refusals above would say nothing."""
    code, output = draw(checkout, zipped(tmp_path / "archive.zip", dict(entries)), "claims")
    assert code == 0, output


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scale=../../x", "scale: '../../x' is no name; use letters"),
        (f"scale=smoke{COMMAND}", "is no name; use letters"),
        (f'experiments=["{NAMES[0]}{COMMAND}"]', "config: experiments: "),
        (f'seeds=["0{COMMAND}"]', "config: seeds: give a list of whole numbers"),
        (f"container=x{COMMAND}", "config: container: give the path or address of an image"),
    ],
)
def test_settings_of_the_command_line_are_names(checkout, setting, message):
    (checkout.parent / "x.yaml").write_text(Path(checkout, "config/scale/smoke.yaml").read_text())
    base = [] if setting.startswith("scale") else ["scale=smoke"]
    code, output = snakemake(checkout, "-n", "--config", *base, setting)
    assert code == 1
    assert message in output
    assert "Traceback" not in output
    assert not list(checkout.rglob(f"{MARKER}*"))
