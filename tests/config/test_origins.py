"""Every resolved value is where `pcpo config` says that it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pcpo.config import arm_names, experiments_at
from pcpo.config.arms import resolve_arm
from pcpo.config.files import Keys, merge
from pcpo.config.origins import settings
from pcpo.config.resolve import resolve_experiment
from pcpo.config.scale import resolve_scale

ROOT = Path(__file__).parents[2]
OWN = ("name", "number", "scale")  # of the file's name and the command


def of(experiment, scale):
    return {s.key: s for s in settings(*resolve_experiment(experiment, scale))}


def places(setting):
    origins = (setting.origin, *setting.replaced)
    return [(str(o.value), f"{Path(o.file).name}:{o.line}") for o in origins]


def line_of(file, text):
    """The number of the one line with a text."""
    lines = (ROOT / file).read_text().splitlines()
    (found,) = [n for n, line in enumerate(lines, 1) if text in line]
    return found


def written(setting):
    """The line that holds a value by its origin."""
    return Path(setting.origin.file).read_text().splitlines()[setting.origin.line - 1]


@pytest.mark.parametrize("scale", ["paper", "original", "pilot", "demo", "smoke", "study2"])
def test_the_named_line_has_the_key_and_the_value(scale):
    names = experiments_at(scale)
    found = [s for name in names for s in of(name, scale).values() if s.key not in OWN]
    found += [s for s in settings(*resolve_scale(scale), leave_out=("sizes",)) if s.key != "name"]
    assert len(found) > 500
    for setting in found:
        assert f"{setting.key.rpartition('.')[2]}:" in written(setting), setting
        read = setting.origin.value
        if isinstance(setting.value, float):
            assert float(read) == setting.value, setting
        elif isinstance(setting.value, tuple):
            assert tuple(read) == setting.value, setting
        elif isinstance(read, str):
            assert read.replace("{scale}", scale) == setting.value
        else:
            assert read == setting.value, setting


def test_a_value_names_what_it_replaced_the_last_first():
    experiment = "experiments/07_dancegrpo_sd15_pickscore.yaml"
    rate = of(7, "pilot")["optimizer.learning_rate"]
    assert rate.value == 3e-5
    assert places(rate) == [
        ("3e-5", f"pilot.yaml:{line_of('config/scale/pilot.yaml', 'learning_rate: 3e-5')}"),
        ("1e-5", f"{Path(experiment).name}:{line_of(f'config/{experiment}', 'learning_rate')}"),
    ]
    assert [value for value, _ in places(of(7, "pilot")["evaluation.images_per_prompt"])] == [
        *("2", "10", "112", "1112"),
    ]


def test_a_mapping_in_place_of_null_and_null_in_place_of_a_mapping():
    rank = of(10, "pilot")["lora.rank"]
    assert [(v, place.partition(":")[0]) for v, place in places(rank)] == [
        ("128", "one_gpu.yaml"), ("None", "10_dancegrpo_flux_uniform.yaml"),
    ]  # fmt: skip
    base, over = Keys(lora=Keys(rank=4)), Keys(lora=None)
    assert merge(base, over) == {"lora": None}
    assert base == {"lora": {"rank": 4}}  # it is left as it was


def test_an_arm_and_a_default():
    for arm in arm_names():
        found = {s.key: s for s in settings(*resolve_arm(arm))}
        assert written(found["name"]) == f"{arm}:"
        assert "credit:" in written(found["credit"])
    assert Path(found["over"].origin.file).name == "arms.py"
    assert written(found["over"]).strip().startswith("over:")


def command(*arguments):
    whole = [sys.executable, "-m", "pcpo", *arguments]
    return subprocess.run(whole, capture_output=True, text=True, cwd=ROOT)


def test_the_command_prints_one_line_a_value():
    text = command("config", "7", "--scale", "pilot", "--arm", "pcpo").stdout
    (line,) = [t for t in text.splitlines() if t.startswith("optimizer.learning_rate")]
    place = line_of("config/scale/pilot.yaml", "learning_rate: 3e-5")
    assert line.split()[:3] == [
        "optimizer.learning_rate",
        "3e-05",
        f"config/scale/pilot.yaml:{place}",
    ]
    assert "(was 1e-5 in config/experiments/07_dancegrpo_sd15_pickscore.yaml:" in line
    assert "\narm.credit " in text
    record = json.loads(command("config", "--scale", "smoke", "--json").stdout)
    assert {"key": "device", "value": "cpu", "file": "config/scale/demo.yaml",
            "line": line_of("config/scale/demo.yaml", "device:"), "was": []} in record  # fmt: skip


def test_a_wrong_name_is_one_line_and_not_0():
    wrong = command("config", "7", "--arm", "pcp")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines() == [
        "error: 07_dancegrpo_sd15_pickscore: arm 'pcp' is not trained at scale paper; its arms: "
        "baseline, pcpo"
    ]
    wrong = command("confg")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1] == "error: unknown command 'confg'"


def test_without_a_command_there_is_a_list_of_all():
    listed = {line.split()[0] for line in command().stdout.splitlines() if line.startswith("  ")}
    files = {p.stem for p in (ROOT / "pcpo/cli").glob("*.py") if "\n    run" in p.read_text()}
    assert listed == files
    assert {"config", "plan", "train"} <= listed
