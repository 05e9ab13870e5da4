"""Variants of experiments: what they inherit, where they exist, and mistakes in their files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pcpo.config import ConfigError, experiment_names, experiments_at, load_experiment
from pcpo.config.at_scale import files_of
from pcpo.config.origins import settings
from pcpo.config.resolve import resolve_experiment
from pcpo.config.scale_differences import scale_differences
from pcpo.config.settings import chosen_experiments

NAME = "31_small_batch"
FILE = f"variants/{NAME}.yaml"
BASE = "05_dancegrpo_sd14_hps"
GIVEN = {
    "of": BASE,
    "scales": ["smoke", "pilot"],
    "description": "a small batch",
    "arms": ["baseline", "pcpo"],
    "batch": {
        **{"prompts_per_iteration": 2, "images_per_prompt": 4, "images_per_iteration": 8},
        "micro_batch": 4,
    },
    "sampler": {"noise_level": 0.5},  # method, which a scale may not change
}


@pytest.fixture
def variant(edited):
    """Set keys of the variant's file."""

    def edit(**keys):
        for key, value in keys.items():
            edited(FILE, (key,), value)

    edit(**GIVEN)
    return edit


def test_a_variant_has_the_sizes_of_its_experiment_below_its_own_keys(variant):
    base, own = (load_experiment(name, "smoke") for name in (BASE, 31))
    assert (own.name, own.number, own.description) == (NAME, 31, "a small batch")
    changed = {"name", "number", "description", "batch", "sampler", "arms"}
    different = {f for f in type(own).model_fields if getattr(own, f) != getattr(base, f)}
    assert different <= changed
    assert own.batch.gradient_updates == base.batch.gradient_updates == 2
    assert (own.batch.images_per_iteration, own.sampler.noise_level) == (8, 0.5)
    assert own.sampler.steps == base.sampler.steps != load_experiment(5, "paper").sampler.steps


def test_a_variant_is_at_its_own_scales_alone(variant):
    names = [*experiment_names(), NAME]
    assert experiments_at("smoke") == chosen_experiments("all", "smoke") == names
    assert NAME not in experiments_at("demo")
    for given in (31, NAME):
        with pytest.raises(ConfigError, match=rf"{NAME}.yaml\) exists at scale smoke, pilot only"):
            load_experiment(given, "demo")


def test_each_value_names_its_line(variant):
    found = {s.key: s for s in settings(*resolve_experiment(NAME, "smoke"))}
    noise, steps = found["sampler.noise_level"], found["sampler.steps"]
    assert [Path(o.file).name for o in (noise.origin, *noise.replaced)] == [
        f"{NAME}.yaml", f"{BASE}.yaml",
    ]  # fmt: skip
    assert Path(steps.origin.file).name == "smoke.yaml"
    assert Path(found["name"].origin.file).name == f"{NAME}.yaml"
    assert [file.name for file in files_of(NAME)] == [f"{BASE}.yaml", f"{NAME}.yaml"]


def test_differences_are_from_the_papers_experiment(variant):
    pilot = scale_differences(31, "pilot")
    assert "sampler.noise_level 1 -> 0.5" in pilot
    assert not [text for text in pilot if text.startswith(("name", "number", "description"))]
    inherited = [text for text in scale_differences(BASE, "pilot") if text.startswith("evaluation")]
    assert inherited and set(inherited) <= set(pilot)
    variant(scales=["pilot", "paper"], batch={})
    assert not [text for text in scale_differences(31, "pilot") if "noise_level" in text]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"of": "05_dance"}, f"{FILE}: of: no file config/experiments/05_dance.yaml"),
        ({"of": NAME}, "of: no file"),
        ({"scales": ["smok"]}, f"{FILE}: scales: no file config/scale/smok.yaml"),
        ({"scales": []}, f"{FILE}: scales: "),
        ({"smapler": {}}, f"{FILE}: smapler: unknown key"),
        ({"sampler": {"noise_level": -1}}, f"{FILE}: sampler.noise_level: "),
        ({"algorithm": "ddpo"}, f"{FILE}: algorithm: a variant has that of {BASE}"),
        ({"number": 3}, f"{FILE}: number: unknown key"),
        ({"reward": {"name": "beauty"}}, "beauty"),
        ({"compared": []}, f"{FILE}: compared: [] makes no images: set reward_guidance to null"),
    ],
)
def test_mistakes_name_the_file_and_the_key(variant, keys, words):
    variant(**keys)
    with pytest.raises(ConfigError) as error:
        load_experiment(31, "smoke")
    assert words in str(error.value)
    assert f"{NAME}.yaml" in str(error.value)


def test_a_variant_has_its_own_arms_and_a_number_of_its_own(variant, edited):
    (edited.folder / "variants" / "05_mine.yaml").write_text(
        f"of: {BASE}\nscales: [smoke]\ndescription: mine\n"
    )
    with pytest.raises(ConfigError, match=r"05_mine.yaml: arms: this key is missing"):
        load_experiment(1, "smoke")
    edited("variants/05_mine.yaml", ("arms",), ["baseline", "pcpo"])
    with pytest.raises(ConfigError, match="05_dancegrpo_sd14_hps and 05_mine have one number"):
        load_experiment(1, "smoke")
    assert load_experiment(5, "pilot").name == BASE  # where the other one is not


def test_curves_alone_need_no_images(variant):
    variant(compared=[], reward_guidance=None)
    own = load_experiment(31, "smoke")
    assert own.measured == ()
    assert not [frame for frame in ("overall", "selection", "alignment") if own.has(frame)]


def test_a_scale_may_have_some_of_the_experiments(edited):
    edited("scale/smoke.yaml", ("only_experiments",), [BASE, "08_flowgrpo_ocr"])
    assert experiments_at("smoke") == [BASE, "08_flowgrpo_ocr"]
    with pytest.raises(ConfigError, match="01_ddpo_aesthetic_half is not at scale smoke, whose"):
        load_experiment(1, "smoke")
    edited("scale/smoke.yaml", ("only_experiments",), ["5"])
    with pytest.raises(ConfigError, match=r"smoke.yaml: only_experiments: .* no experiment 5"):
        experiments_at("smoke")


def test_the_command_prints_a_cell_of_the_grid():
    whole = [sys.executable, "-m", "pcpo", "config", "102", "--scale", "study2", "--json"]
    printed = subprocess.run(whole, capture_output=True, text=True, check=True).stdout
    found = {value["key"]: value for value in json.loads(printed)}
    rate = found["optimizer.learning_rate"]
    lines = Path(rate["file"]).read_text().splitlines()
    assert rate["file"] == "config/grid.yaml"
    assert "high: {optimizer: {learning_rate: 8e-3}}" in lines[rate["line"] - 1]
    assert rate["was"][0]["file"] == "config/scale/demo.yaml"
