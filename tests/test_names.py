"""No name of a configuration is more than a name: it enters paths, commands and wildcards."""

import shutil

import pytest
import yaml

from pcpo.config import ConfigError, arms, experiment_names, files, load_experiment, load_scale
from pcpo.config.preset import load_preset
from pcpo.config.scale import check_modules
from pcpo.config.settings import chosen_container, chosen_experiments, chosen_seeds
from pcpo.figures.registry import FIGURES
from pcpo.names import LARGEST_SEED, LONGEST, checked_name, is_seed
from pcpo.tables import TABLES

HOSTILE = (
    "x; touch marker", "$(touch marker)", "`touch marker`", "a|b", "a&b", "a>b", "a b", "a\nb",
    "'", '"', "\\", "~", "*", "a{b}", "../x", "../../x", "/etc", "a/b", ".", "..", ".hidden", "-x",
    "--out=x", "_private", "", "a\x00", "\x1b[31m", "é", "x" * (LONGEST + 1),
)  # fmt: skip
FIELD = ("; touch marker", "../../x")  # of each kind, where each field is tried


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_name_is_refused_in_one_line_of_plain_text(name):
    with pytest.raises(ValueError, match="is no name; use letters, digits") as refused:
        checked_name(name, "file: key")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("name", [None, 7, True, ["a"], b"a"])
def test_what_is_no_text_is_no_name(name):
    with pytest.raises(ValueError, match="is no name"):
        checked_name(name)


def test_tables_and_figures_have_names():
    assert [checked_name(name) for name in (*TABLES, *FIGURES)] == [*TABLES, *FIGURES]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A copy of config/ that a test may edit."""
    shutil.copytree(files.CONFIG, tmp_path / "config")
    monkeypatch.setattr(files, "CONFIG", tmp_path / "config")
    arms.blocks_of.cache_clear()
    yield tmp_path / "config"
    arms.blocks_of.cache_clear()


SCALE, EXPERIMENT = "scale/smoke.yaml", "experiments/05_dancegrpo_sd14_hps.yaml"
QUALITY = {"features": "quality_network", "output": "pooled", "metric": "frechet", "measured": "x"}


@pytest.mark.parametrize("bad", FIELD)
@pytest.mark.parametrize(
    ("file", "path", "value"),
    [
        ("arms.yaml", ("NAME",), {"description": "x"}),
        (SCALE, ("extends",), "NAME"),
        (SCALE, ("preset",), "NAME"),
        (SCALE, ("models", "NAME"), {"path": "x"}),
        (SCALE, ("prompts", "NAME"), "results/smoke/synthetic/prompts/x.txt"),
        (SCALE, ("rewards", "NAME"), {"path": "x"}),
        (SCALE, ("rewards", "x"), {"path": "x", "implementation": "NAME"}),
        (SCALE, ("features", "NAME"), "x"),
        (SCALE, ("quality", "NAME"), QUALITY),
        (SCALE, ("quality", "x"), QUALITY | {"features": "NAME"}),
        (SCALE, ("quality", "x"), QUALITY | {"output": "NAME"}),
        (SCALE, ("quality", "x"), QUALITY | {"metric": "NAME"}),
        (SCALE, ("alignment", "NAME"), {"clipscore": "clipscore"}),
        (SCALE, ("alignment", "coco"), {"NAME": "clipscore"}),
        (SCALE, ("alignment", "coco"), {"clipscore": "NAME"}),
        (SCALE, ("synthetic", "NAME"), {}),
        (EXPERIMENT, ("model",), "NAME"),
        (EXPERIMENT, ("prompts",), "NAME"),
        (EXPERIMENT, ("reward", "name"), "NAME"),
        (EXPERIMENT, ("alignment",), ["NAME"]),
        (EXPERIMENT, ("arms",), ["baseline", "pcpo", "NAME"]),
        (EXPERIMENT, ("compared",), ["baseline", "pcpo", "NAME"]),
        (SCALE, ("experiments", "05_dancegrpo_sd14_hps", "validation"), {"prompts": "NAME"}),
    ],
)  # fmt: skip
def test_every_field_that_names_something_is_checked(config, file, path, value, bad):
    data = yaml.safe_load((config / file).read_text())
    text = yaml.safe_dump({"value": value, "path": list(path)})
    filled = yaml.safe_load(text.replace("NAME", yaml.safe_dump(bad).strip().splitlines()[0]))
    node = data
    for key in filled["path"][:-1]:
        node = node.setdefault(key, {})
    node[filled["path"][-1]] = filled["value"]
    (config / file).write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as refused:
        load_experiment(5, "smoke")
    assert f"/{file}" in str(refused.value)
    assert bad in str(refused.value)


@pytest.mark.parametrize("stem", ["11_x; touch marker", "11_$(touch marker)", "11_..", "mine"])
def test_a_files_stem_is_a_name_with_a_number(config, stem):
    shutil.copy(config / EXPERIMENT, config / "experiments" / f"{stem}.yaml")
    with pytest.raises(
        ConfigError, match=r"file name: .*(is no name|begins with a number)"
    ) as caught:
        experiment_names()
    assert stem in str(caught.value)
    with pytest.raises(ConfigError):
        load_experiment(5, "smoke")


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "smoke; touch marker", "a/b", ""])
def test_names_of_the_command_line_lead_nowhere(config, name):
    (config.parent / "x.yaml").write_text("note: of a folder above\n")
    for load in (load_scale, load_preset, lambda n: chosen_experiments([n], "demo")):
        with pytest.raises(ConfigError, match="is no name"):
            load(name)
    with pytest.raises(ConfigError, match="unknown experiment"):
        load_experiment(name, "smoke")


@pytest.mark.parametrize(
    "seeds",
    ["0", ["x"], ["0; touch marker"], [-1], [1.5], [True], [], [LARGEST_SEED + 1], ["9" * 5000]],
)
def test_seeds_are_whole_numbers(seeds):
    with pytest.raises(ConfigError, match=r"config: seeds: give a list of whole numbers from 0"):
        chosen_seeds(seeds)


def test_the_largest_seed_and_no_other_kind_of_number():
    assert chosen_seeds(["0", LARGEST_SEED]) == [0, LARGEST_SEED]
    assert not any(map(is_seed, (True, "0", 1.0, None, -1, LARGEST_SEED + 1)))


@pytest.mark.parametrize("image", ["x; touch marker", "$(id)", "a b", "-x", "", None, "x'y"])
def test_a_container_is_an_image(image):
    with pytest.raises(ConfigError, match="config: container: give the path or address"):
        chosen_container(image)


def test_images_by_path_and_address_are_taken():
    for image in ("/scratch/a-b/pcpo.sif", "docker://ghcr.io/me/pcpo:1.0", "./x.sif"):
        assert chosen_container(image) == image


@pytest.mark.parametrize(
    "path",
    ["/home/me/prompts.txt", "data/prompts/x.txt", "results/smoke/synthetic/../../x.txt",
     "results/demo/synthetic/prompts/x.txt"],
)  # fmt: skip
def test_synthetic_prompt_sets_are_made_in_their_own_folder(config, path):
    """They are outputs of a rule, and Snakemake deletes outputs before it makes them."""
    data = yaml.safe_load((config / SCALE).read_text()) | {"prompts": {"animal": path}}
    (config / SCALE).write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=r"smoke\.yaml: prompts\.animal: synthetic prompt sets"):
        load_scale("smoke")


def test_a_module_is_found_by_its_own_name_only(config):
    data = yaml.safe_load((config / SCALE).read_text())
    data["rewards"] = {"x": {"path": "x", "implementation": "os"}}
    (config / SCALE).write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=r"rewards\.x: no 'os' below pcpo/rewards/"):
        check_modules(load_scale("smoke"))


# --- YAML ------------------------------------------------------------------------------------


def bomb(first, line):
    lines = [line.format(i=i, j=i - 1, many=", ".join([f"*a{i - 1}"] * 10)) for i in range(1, 12)]
    return "\n".join([first, *lines])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb("a0: &a0 [x]", "a{i}: &a{i} [{many}]"), "characters with its aliases written out"),
        (bomb("a0: &a0 {k: x}", "a{i}: &a{i} {{<<: [{many}]}}"), "aliases written out"),
        (f"a: &a {'x' * 100_000}\nb: [*a, *a, *a]", "aliases written out"),
        ("a: &a [*a]", "an alias that contains itself"),
        ("a: &a {b: *a}", "an alias that contains itself"),
        ("a: " + "[" * 5000, "deeper than 32 levels"),
        ("a: " + "{b: " * 5000, "deeper than 32 levels"),
        ("#" * 300_000, "has 300,000 bytes; at most 250,000 are read"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: 2026-01-01", "could not determine a constructor"),
        (f"a: {'9' * 5000}", "not valid YAML: Exceeds the limit"),
    ],
)  # fmt: skip
def test_yaml_is_bounded_before_it_is_built(config, text, message):
    (config / "scale" / "big.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"scale/big\.yaml: .*{message}") as refused:
        load_scale("big")
    assert len(str(refused.value)) < 1000


def test_yaml_that_is_not_utf8_names_itself_and_the_byte(config):
    (config / "scale" / "big.yaml").write_bytes(b"note: \xff\n")
    with pytest.raises(ConfigError, match=r"big\.yaml: .*0xff in position 6"):
        load_scale("big")
