"""The ten configurations against Table 7, and what a wrong configuration is told."""

import subprocess
import sys

import pandas as pd
import pytest
import yaml

from pcpo.config import (
    ConfigError,
    arms,
    files,
    load_arm,
    load_experiment,
    load_experiments,
    load_scale,
)

TABLE7 = pd.read_csv("config/paper/table7_wide.csv", dtype=str).fillna("").set_index("parameter")
ALGORITHM = {"ddpo": "DDPO", "dancegrpo": "DanceGRPO", "flow_grpo": "Flow-GRPO"}
MODEL = {"sd14": "SD1.4", "sd15": "SD1.5", "sd35m": "SD3.5-M", "flux": "FLUX.1-dev"}
PROMPTS = {"animal": "animal", "activity": "activity", "hpd": "HPD", "pick": "Pick"}
PROMPTS |= {"pick_sfw": "Pick-SFW", "ocr": "OCR"}
REWARD = {"aesthetic": "Aes", "bertscore": "BERT", "hps": "HPS", "pickscore": "Pick", "ocr": "OCR"}


def _blank(value):
    return "" if value is None else value


# Row of Table 7 -> what a resolved experiment says of it. The two rows whose cells were lost in
# the paper's text (noise level, timestep subsampling) are compared with the baselines' code below.
ROWS = {
    "Baseline algorithm": lambda e: ALGORITHM[e.algorithm],
    "Diffusion/Flow": lambda e: "D" if e.sampler.kind == "ddim" else "F",
    "Base model": lambda e: MODEL[e.model],
    "Prompts": lambda e: PROMPTS[e.prompts],
    "Reward": lambda e: REWARD[e.reward.name],
    "Sampling steps": lambda e: e.sampler.steps,
    "Guidance scale (label stripped in text)": lambda e: e.sampler.guidance_scale,
    "KL coefficient beta (label stripped in text)": lambda e: _blank(e.kl_beta),
    "Learning rate": lambda e: e.optimizer.learning_rate,
    "Max grad norm": lambda e: e.optimizer.max_grad_norm,
    "Prompts per iteration": lambda e: _blank(e.batch.prompts_per_iteration),
    "Images per prompt": lambda e: _blank(e.batch.images_per_prompt),
    "Images per iteration": lambda e: e.batch.images_per_iteration,
    "Gradient updates": lambda e: e.batch.gradient_updates,
    "Clip range (epsilon)": lambda e: e.clip_range,
    "LoRA (rank, alpha)": lambda e: f"({e.lora.rank},{e.lora.alpha})" if e.lora else "",
    "Checkpoint freq.": lambda e: e.checkpoint_every,
}
LOST_IN_TEXT = {"Noise level (SDE)", "Timestep subsampling"}


def test_every_row_of_table7_is_compared():
    assert set(ROWS) | LOST_IN_TEXT == set(TABLE7.index)


@pytest.mark.parametrize("number", range(1, 11))
@pytest.mark.parametrize("row", ROWS)
def test_paper_scale_is_table7_cell_by_cell(number, row):
    published = TABLE7.loc[row, f"config_{number}"]
    ours = ROWS[row](load_experiment(number, "paper"))
    if isinstance(ours, int | float):
        assert ours == pytest.approx(float(published))
    else:
        assert ours == published


def test_noise_levels_and_trained_steps_are_the_codebases():
    experiments = {e.number: e for e in load_experiments("paper")}
    noise = {n: e.sampler.noise_level for n, e in experiments.items()}
    assert noise == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 0.3, 7: 1, 8: 0.7, 9: 0.7, 10: 0.3}
    trained = {
        n: int((e.sampler.steps - e.timesteps.skip_last) * e.timesteps.fraction + 1e-9)
        for n, e in experiments.items()
    }  # facts of the public code: 50 of 50, 49 of 50, 6 of 12, 9 of 16, 9 of 10
    assert trained == {1: 50, 2: 50, 3: 50, 4: 50, 5: 49, 6: 6, 7: 49, 8: 9, 9: 9, 10: 9}


def test_a_scale_leaves_the_method_alone():
    for paper, demo in zip(load_experiments("paper"), load_experiments("demo"), strict=True):
        for field in ("algorithm", "model", "prompts", "reward", "timesteps", "kl_beta", "arms"):
            assert getattr(paper, field) == getattr(demo, field)
        assert paper.sampler.kind == demo.sampler.kind
        assert paper.sampler.noise_level == demo.sampler.noise_level
        assert (paper.lora is None) == (demo.lora is None)


def test_demo_clip_range_follows_the_latent_dimensions():
    """1e-4 sqrt(D / 512): log-ratios are means over D latent dimensions."""
    dims = {"sd14": 4 * 64 * 64, "sd15": 4 * 64 * 64, "sd35m": 16 * 64 * 64, "flux": 45 * 45 * 64}
    for experiment in load_experiments("demo"):
        expected = 1e-4 * (dims[experiment.model] / 512) ** 0.5
        assert experiment.clip_range == pytest.approx(expected, rel=0.05)


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """A copy of config/ that a test may edit: `edited(file, key path, value)`."""
    import shutil

    folder = tmp_path / "config"
    shutil.copytree("config", folder)
    monkeypatch.setattr(files, "CONFIG", folder)
    arms.arms_file.cache_clear()

    def edit(file, path, value):
        data = yaml.safe_load((folder / file).read_text())
        node = data
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = value
        (folder / file).write_text(yaml.safe_dump(data))

    yield edit
    arms.arms_file.cache_clear()


EXPERIMENT = "experiments/08_flowgrpo_ocr.yaml"


@pytest.mark.parametrize(
    ("file", "path", "value", "words"),
    [
        (EXPERIMENT, ("learning_rat",), 1, ["08_flowgrpo_ocr.yaml", "learning_rat", "unknown key"]),
        (EXPERIMENT, ("sampler", "steps"), "ten", ["08_flowgrpo_ocr.yaml", "sampler.steps", "ten"]),
        (EXPERIMENT, ("reward", "name"), "beauty", ["08_flowgrpo_ocr.yaml", "beauty", "rewards"]),
        (EXPERIMENT, ("arms",), ["pcp"], ["08_flowgrpo_ocr.yaml", "unknown arm 'pcp'", "baseline"]),
        (EXPERIMENT, ("arms",), ["reweight"], ["08_flowgrpo_ocr.yaml", "reweight", "no sense"]),
        (EXPERIMENT, ("algorithm",), "ppo", ["08_flowgrpo_ocr.yaml", "algorithm", "ddpo"]),
        (EXPERIMENT, ("batch", "images_per_prompt"), 7, ["batch", "8 prompts x 7 images are 56"]),
        (EXPERIMENT, ("batch", "gradient_updates"), 3, ["batch", "does not divide"]),
        (EXPERIMENT, ("batch", "micro_batch"), 5, ["batch", "micro-batches of 5"]),
        ("scale/demo.yaml", ("experiments", "08_flowgrpo_ocr", "kl_beta"), 0.1,
         ["demo.yaml", "kl_beta", "not the method"]),
        ("scale/demo.yaml", ("all", "sampler", "kind"), "ddim",
         ["demo.yaml", "all.sampler.kind", "not the method"]),
        ("scale/demo.yaml", ("experiments", "11_new"), {}, ["demo.yaml", "11_new", "no such"]),
        ("scale/demo.yaml", ("modles",), {}, ["demo.yaml", "modles", "unknown key"]),
    ],
)  # fmt: skip
def test_mistakes_name_file_and_key(edited, file, path, value, words):
    edited(file, path, value)
    with pytest.raises(ConfigError) as error:
        load_experiment(8, "demo" if file.startswith("scale") else "paper")
    for word in words:
        assert word in str(error.value)


def test_numbers_written_as_text_are_numbers(edited):
    edited(EXPERIMENT, ("optimizer", "learning_rate"), "1e-4")
    assert load_experiment(8, "paper").optimizer.learning_rate == 1e-4


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ConfigError, match=r"known: .*demo"):
        load_scale("dmeo")
    with pytest.raises(ConfigError, match="known: 01_ddpo"):
        load_experiment(11, "demo")
    with pytest.raises(ConfigError, match="known: baseline"):
        load_arm("pcp")


def test_parsing_imports_nothing_heavy():
    code = (
        "import sys; import pcpo.config, pcpo.paths;"
        "assert not {'torch', 'pandas', 'numpy', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
