"""The ten configurations against Table 7, and the errors of a wrong configuration."""

import importlib
import inspect
import subprocess
import sys

import pandas as pd
import pytest

from pcpo.config import (
    SCALE_MAY_CHANGE,
    Batch,
    ConfigError,
    load_arm,
    load_experiment,
    load_experiments,
    load_scale,
)
from pcpo.config.preset import load_preset
from pcpo.config.scale import check_modules
from pcpo.figures.registry import FIGURES, OF_SECOND_STUDY
from pcpo.tables.published import read_published

TABLE7 = pd.read_csv("config/paper/table7_wide.csv", dtype=str).fillna("").set_index("parameter")
ALGORITHM = {"ddpo": "DDPO", "dancegrpo": "DanceGRPO", "flow_grpo": "Flow-GRPO"}
MODEL = {"sd14": "SD1.4", "sd15": "SD1.5", "sd35m": "SD3.5-M", "flux": "FLUX.1-dev"}
PROMPTS = {
    "animal": "animal",
    "activity": "activity",
    "hpd": "HPD",
    "hpd_flux": "HPD",
    "pick": "Pick",
}
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


def published(scale):
    """The paper's ten configurations; a user's own come after them."""
    return [experiment for experiment in load_experiments(scale) if experiment.number <= 10]


def test_every_row_of_table7_is_compared():
    assert set(ROWS) | LOST_IN_TEXT == set(TABLE7.index)


@pytest.mark.parametrize("number", range(1, 11))
@pytest.mark.parametrize("row", ROWS)
def test_paper_scale_is_table7_cell_by_cell(number, row):
    published = TABLE7.loc[row, f"configuration_{number}"]
    ours = ROWS[row](load_experiment(number, "paper"))
    if isinstance(ours, int | float):
        assert ours == pytest.approx(float(published))
    else:
        assert ours == published


def test_noise_levels_and_trained_steps_are_the_codebases():
    experiments = {e.number: e for e in published("paper")}
    noise = {n: e.sampler.noise_level for n, e in experiments.items()}
    assert noise == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 0.3, 7: 1, 8: 0.7, 9: 0.7, 10: 0.3}
    trained = {
        n: int((e.sampler.steps - e.timesteps.skip_last) * e.timesteps.fraction + 1e-9)
        for n, e in experiments.items()
    }  # facts of the public code: 50 of 50, 49 of 50, 6 of 12, 9 of 16, 9 of 10
    assert trained == {1: 50, 2: 50, 3: 50, 4: 50, 5: 49, 6: 6, 7: 49, 8: 9, 9: 9, 10: 9}


@pytest.mark.parametrize("scale", ["paper", "original", "pilot", "demo", "smoke"])
def test_flow_grpo_alone_shuffles_the_images_of_an_iteration(scale):
    """flow train_sd3.py:829; with DDPO each image has its own random prompt."""
    assert {e.number for e in load_experiments(scale) if e.batch.shuffle} <= {8, 9}
    assert {n for n in (8, 9) if load_experiment(n, scale).batch.shuffle} == {8, 9}
    ddpo = load_experiment(1, scale).batch.model_dump()
    with pytest.raises(ValueError, match="shuffle needs prompts_per_iteration"):
        Batch(**ddpo | {"shuffle": True})


def test_validation_is_sampled_as_flow_grpos():
    """train_sd3.py:253-258: noise_level 0, eval_num_steps 40; a small scale takes fewer steps."""
    for scale, steps in (("paper", 40), ("original", 40), ("pilot", 40), ("demo", 8), ("smoke", 4)):
        for number in (8, 9):
            validation = load_experiment(number, scale).validation
            assert (validation.sampler, validation.steps) == ("deterministic", steps)


def test_a_scale_leaves_the_method_alone():
    for paper, demo in zip(published("paper"), published("demo"), strict=True):
        for field in ("algorithm", "model", "prompts", "reward", "timesteps", "kl_beta"):
            assert getattr(paper, field) == getattr(demo, field)
        assert set(demo.arms) <= set(paper.arms)
        assert paper.sampler.kind == demo.sampler.kind
        assert paper.sampler.noise_level == demo.sampler.noise_level
        assert (paper.lora is None) == (demo.lora is None)


def test_demo_clip_range_follows_the_latent_dimensions():
    """1e-4 sqrt(D / 512): log-ratios are means over D latent dimensions."""
    dims = {"sd14": 4 * 64 * 64, "sd15": 4 * 64 * 64, "sd35m": 16 * 64 * 64, "flux": 45 * 45 * 64}
    for experiment in published("demo"):
        expected = 1e-4 * (dims[experiment.model] / 512) ** 0.5
        assert experiment.clip_range == pytest.approx(expected, rel=0.05)


EXPERIMENT = "experiments/08_flowgrpo_ocr.yaml"
PRESET = "presets/original.yaml"
FIRST = ("experiments", "01_ddpo_aesthetic_half")
OCR = ("experiments", "08_flowgrpo_ocr")


@pytest.mark.parametrize(
    ("file", "path", "value", "words"),
    [
        (EXPERIMENT, ("learning_rat",), 1, ["08_flowgrpo_ocr.yaml", "learning_rat", "unknown key"]),
        (EXPERIMENT, ("sampler", "steps"), "ten", ["08_flowgrpo_ocr.yaml", "sampler.steps", "ten"]),
        (EXPERIMENT, ("reward", "name"), "beauty", ["08_flowgrpo_ocr.yaml", "beauty", "rewards"]),
        (EXPERIMENT, ("arms",), ["pcp"], ["08_flowgrpo_ocr.yaml", "unknown arm 'pcp'", "baseline"]),
        (EXPERIMENT, ("arms",), ["pcpo_exact"], ["08_flowgrpo_ocr.yaml", "pcpo_exact", "no sense"]),
        (EXPERIMENT, ("sampler", "kind"), "ddim", ["08_flowgrpo_ocr.yaml", "kl_beta", "ddim"]),
        (EXPERIMENT, ("sampler",),
         {"kind": "flow_cps", "steps": 10, "noise_level": 1.2, "guidance_scale": 1},
         ["08_flowgrpo_ocr.yaml", "sampler: noise_level: for flow_cps at most 1"]),
        (EXPERIMENT, ("sampler", "initial_noise_groups"), 8,
         ["08_flowgrpo_ocr.yaml: sampler.initial_noise_groups: needs batch.shuffle: false"]),
        (EXPERIMENT, ("algorithm",), "ppo", ["08_flowgrpo_ocr.yaml", "algorithm", "ddpo"]),
        (EXPERIMENT, ("batch", "images_per_prompt"), 7, ["batch", "8 prompts x 7 images are 56"]),
        (EXPERIMENT, ("batch", "gradient_updates"), 3, ["batch", "does not divide"]),
        (EXPERIMENT, ("batch", "micro_batch"), 5, ["batch", "micro-batches of 5"]),
        (EXPERIMENT, ("execution",), {"rollout_batch": 12},
         ["execution.rollout_batch: 12 is no multiple of batch.micro_batch (8)"]),
        ("scale/demo.yaml", ("experiments", "08_flowgrpo_ocr", "kl_beta"), 0.1,
         ["demo.yaml", "kl_beta", "not the method"]),
        ("scale/demo.yaml", ("experiments", "08_flowgrpo_ocr", "batch", "shuffle"), False,
         ["demo.yaml", "batch.shuffle", "not the method"]),
        ("scale/demo.yaml", ("all", "sampler", "kind"), "ddim",
         ["demo.yaml", "all.sampler.kind", "not the method"]),
        ("scale/demo.yaml", ("experiments", "11_new"), {}, ["demo.yaml", "11_new", "no such"]),
        ("scale/demo.yaml", ("modles",), {}, ["demo.yaml", "modles", "unknown key"]),
        ("scale/demo.yaml", ("name",), "d", ["demo.yaml", "name", "unknown key"]),
        ("scale/demo.yaml", ("note",), None, ["demo.yaml", "note", "valid string"]),
        ("scale/demo.yaml", (*OCR, "arms"), ["baseline", "pcpo", "lambda"],
         ["demo.yaml (experiments.08_flowgrpo_ocr)", "arms", "lambda", "no sense"]),
        ("scale/original.yaml", ("preset",), "orignal", ["unknown preset 'orignal'", "one_gpu"]),
        ("scale/original.yaml", ("extends",), "papre", ["unknown scale 'papre'", "known: demo"]),
        ("scale/original.yaml", ("all", "kl_beta"), 1,
         ["scale/original.yaml", "all.kl_beta", "not the method"]),
        (EXPERIMENT, ("arms",), ["baseline"], ["08_flowgrpo_ocr.yaml", "arms: baseline and pcpo"]),
        (EXPERIMENT, ("compared",), ["baseline", "pcpo", "reweigth"], ["unknown arm 'reweigth'"]),
        (EXPERIMENT, ("alignment",), ["hpd"], ["'hpd' is unknown", "alignment.hpd", "known: coco"]),
        ("scale/demo.yaml", ("alignment", "coco", "clipscore"), "clipscor",
         ["demo.yaml", "alignment.coco.clipscore: no 'clipscor' below rewards:", "known: aes"]),
        ("scale/demo.yaml", ("quality", "fid", "features"), "qualty",
         ["demo.yaml", "quality.fid.features: no 'qualty' below", "known: quality_network"]),
        (PRESET, (*OCR, "learning_rat"), 1, [PRESET, "08_", "learning_rat", "unknown key"]),
        (PRESET, (*OCR, "sampler", "steps"), "ten", [PRESET, "sampler.steps", "ten"]),
        (PRESET, ("all", "clip_rnage"), 1, [f"{PRESET} (all)", "clip_rnage", "unknown key"]),
        (PRESET, ("experiments", "11_new"), {}, [PRESET, "11_new", "no such experiment"]),
        (PRESET, ("note",), "x", [PRESET, "note", "unknown key"]),
        (PRESET, ("name",), "x", [PRESET, "name", "unknown key"]),
    ],
)  # fmt: skip
def test_mistakes_name_file_and_key(edited, file, path, value, words):
    edited(file, path, value)
    with pytest.raises(ConfigError) as error:
        load_experiment(8, {"scale/demo.yaml": "demo", EXPERIMENT: "paper"}.get(file, "original"))
    for word in words:
        assert word in str(error.value)


def test_a_mistake_of_several_keys_names_the_file_of_the_one_to_change(edited):
    edited(EXPERIMENT, ("execution", "sharding"), "fsdp")
    edited("scale/demo.yaml", (*OCR, "execution"), {"compile": False})
    with pytest.raises(ConfigError, match=r"08_flowgrpo_ocr\.yaml: execution: sharding: fsdp"):
        load_experiment(8, "demo")
    edited("scale/demo.yaml", (*OCR, "execution"), {"sharding": "fsdp"})
    with pytest.raises(ConfigError, match=r"demo\.yaml .*: execution: sharding: fsdp needs"):
        load_experiment(8, "demo")


@pytest.mark.parametrize(
    ("path", "wrong", "message"),
    [
        (
            ("quality", "fid", "metric"),
            "frechett",
            "quality.fid.metric: no 'frechett' below pcpo/",
        ),
        (("rewards", "hps_v20", "implementation"), "hpz", "rewards.hps_v20: no 'hpz' below pcpo/"),
        (
            ("features", "qualty"),
            "somewhere",
            "features.qualty: no 'qualty' below pcpo/features/",
        ),
    ],
)
def test_what_no_module_does_is_named_before_anything_runs(edited, path, wrong, message):
    check_modules(load_scale("demo"))
    edited("scale/demo.yaml", path, wrong)
    with pytest.raises(ConfigError, match=f"demo.yaml .*: {message}"):
        check_modules(load_scale("demo"))


def test_the_original_preset_is_the_official_codes_settings():
    ours = {e.number: e for e in published("original")}
    jpeg = {n: e.reward.options.get("jpeg_quality") for n, e in ours.items()}
    assert jpeg == {**dict.fromkeys(ours), 3: 80, 4: 80, 5: 75}
    images = {n: (e.batch.images_per_iteration, e.gradient_updates) for n, e in ours.items()}
    assert {n: images[n] for n in (6, 9, 10)} == {6: (192, 2), 9: (256, 2), 10: (192, 2)}
    assert {ours[n].optimizer.learning_rate for n in (1, 2, 3, 4)} == {3e-4}
    assert ours[9].reward.options == {"scale": "logit/26"}  # a preset adds to options
    assert load_scale("original").models == load_scale("paper").models


@pytest.mark.parametrize("scale", ["paper", "original", "demo"])
def test_reward_options_are_those_of_the_reward(scale):
    sources = load_scale(scale).rewards
    for experiment in load_experiments(scale):
        reward = experiment.reward
        module = importlib.import_module(f"pcpo.rewards.{reward.name}")
        known = set(inspect.signature(module.Reward.__init__).parameters)
        assert set(reward.options | sources[reward.name].options) <= known, experiment.name


def test_a_preset_lies_between_the_experiment_and_the_scale(edited):
    edited(EXPERIMENT, ("epochs",), 100)
    edited(PRESET, (*OCR, "kl_beta"), 0.5)  # method, which a scale may not touch
    assert load_experiment(8, "original").epochs == 100
    edited(PRESET, ("all", "epochs"), 90)
    assert load_experiment(8, "original").epochs == 90
    edited(PRESET, (*OCR, "epochs"), 80)
    assert load_experiment(8, "original").epochs == 80
    edited("scale/original.yaml", ("all", "epochs"), 70)
    resolved = load_experiment(8, "original")
    assert (resolved.epochs, resolved.kl_beta) == (70, 0.5)
    assert load_experiment(8, "paper").kl_beta == 0.04


def test_a_preset_decides_whether_there_is_an_adapter(edited):
    edited("scale/pilot.yaml", ("all", "lora", "rank"), 16)
    ranks = {e.number: e.lora and e.lora.rank for e in published("pilot")}
    assert ranks == {**dict.fromkeys(range(1, 11), 16), 5: None, 7: None}  # full fine-tuning stays


def test_scales_extend_scales(edited):
    edited("scale/night.yaml", ("extends",), "pilot")
    with pytest.raises(ConfigError, match=r"night.yaml: note: this key is missing"):
        load_scale("night")
    edited("scale/night.yaml", ("note",), "a night")
    edited("scale/night.yaml", ("all", "epochs"), 40)
    night, pilot, paper = (load_scale(name) for name in ("night", "pilot", "paper"))
    assert (night.name, night.note, night.preset) == ("night", "a night", "one_gpu")
    assert night.rewards == pilot.rewards == paper.rewards
    # What extends wins over what is extended, even over what that says of one experiment.
    assert {e.epochs for e in load_experiments("night")} == {40}
    assert load_experiment(1, "night").images_per_iteration == 32
    assert load_scale("smoke").models["flux"].path == "results/smoke/synthetic/flux"
    more = ("baseline", "pcpo", "reweight")  # the last one is not among the pilot's
    edited("scale/night.yaml", (*FIRST, "arms"), list(more))
    assert load_experiment(1, "night").arms == more
    edited("scale/pilot.yaml", (*FIRST, "epochs"), "few")
    edited("scale/night.yaml", ("all",), {})
    with pytest.raises(ConfigError, match=r"pilot.yaml \(experiments.01_.*\): epochs: .*few"):
        load_experiment(1, "night")
    edited("scale/night.yaml", (*FIRST, "kl_beta"), 1)
    with pytest.raises(ConfigError, match=r"night.yaml: .*kl_beta: a scale may change sizes"):
        load_scale("night")
    edited("scale/paper.yaml", ("extends",), "night")
    with pytest.raises(ConfigError, match="circle: pilot -> paper -> night -> pilot"):
        load_scale("pilot")


def _leaves(data, prefix=""):
    if not isinstance(data, dict):
        return {prefix[:-1]: data}
    found = {}
    for key, value in data.items():
        found |= _leaves(value, f"{prefix}{key}.")
    return found


@pytest.mark.parametrize(
    ("scale", "preset", "changed_by_it"),
    [
        ("pilot", "one_gpu", "10_dancegrpo_flux_uniform"),
        ("true_size", "two_cores", "07_dancegrpo_sd15_pickscore"),
    ],
)
def test_a_small_real_scale_changes_sizes_and_what_its_preset_says(scale, preset, changed_by_it):
    methods = load_preset(preset).experiments
    papers = {e.name: e for e in published("paper")}
    for ours in published(scale):
        paper = papers[ours.name]
        before, after = (_leaves(e.model_dump(exclude={"name", "scale"})) for e in (paper, ours))
        changed = {k for k in before | after if before.get(k) != after.get(k)}
        method = methods.get(paper.name, {})
        for key in changed:
            sized = any(
                key == may or (may.endswith("*") and key.startswith(may[:-1]))
                for may in SCALE_MAY_CHANGE
            )
            assert sized or key.split(".")[0] in method, (paper.name, key)
        assert {"epochs", "evaluation.images_per_prompt"} <= changed
    assert list(methods) == [changed_by_it]


def test_true_size_keeps_resolution_rewards_and_adapters():
    """Only counts are cut; the variant trains all weights of the same network."""
    paper = {e.number: e for e in published("paper")}
    for ours in published("true_size"):
        theirs = paper[ours.number]
        assert ours.sampler.resolution == 512
        assert (ours.reward, ours.alignment) == (theirs.reward, theirs.alignment)
        assert ours.lora == (paper[1].lora if ours.number == 7 else theirs.lora)
        assert (ours.precision, ours.sampler.steps) == ("bf16", 2)
    assert load_scale("true_size").models == load_scale("paper").models
    full = load_experiment(14, "true_size")
    assert (full.lora, full.model, full.measured) == (None, "sd15", ())


def test_the_pilot_trains_what_tables_and_figures_show():
    pilot = {e.number: e for e in published("pilot")}
    for experiment in pilot.values():
        assert {"baseline", "pcpo"} <= set(experiment.arms)
        assert experiment.epochs // experiment.checkpoint_every >= 4  # checkpoints to choose from
    for figure in (f for name, f in FIGURES.items() if name not in OF_SECOND_STUDY):
        for number in {*figure.experiments} & {*pilot}:
            assert set(figure.arms) <= set(pilot[number].arms)
    for half, full in ((1, 2), (3, 4)):  # the factor of Table 3
        assert 2 * pilot[half].images_per_iteration == pilot[full].images_per_iteration


@pytest.mark.parametrize("scale", ["paper", "original", "pilot", "demo"])
def test_dancegrpo_keeps_a_prompts_images_together(scale):
    """One initial noise for all images of a prompt, and updates of whole groups, as in its code."""
    for experiment in load_experiments(scale):
        if experiment.algorithm == "dancegrpo":
            prompts = experiment.batch.prompts_per_iteration
            assert prompts % experiment.sampler.initial_noise_groups == 0, experiment.name
            assert prompts % experiment.gradient_updates == 0, experiment.name


def test_base_images_are_shared_by_experiments_that_sample_alike_and_by_no_others(edited):
    first, second = (load_experiment(n, "paper").base_images for n in (1, 2))
    assert first == second
    edited("experiments/02_ddpo_aesthetic.yaml", ("sampler", "noise_level"), 0.3)
    assert load_experiment(2, "paper").base_images != first


def test_a_training_takes_as_many_gpus_as_divide_its_micro_batches():
    for experiment in load_experiments("paper"):
        taken = {gpus: experiment.processes_on(gpus) for gpus in range(1, 17)}
        assert taken[16] == experiment.execution.gpus
        for gpus, number in taken.items():
            assert 1 <= number <= gpus
            assert experiment.micro_batches % number == 0
    assert {n: load_experiment(5, "paper").processes_on(n) for n in (3, 6, 8)} == {3: 2, 6: 4, 8: 8}


def test_numbers_written_as_text_are_numbers(edited):
    edited(EXPERIMENT, ("optimizer", "learning_rate"), "1e-4")
    assert load_experiment(8, "paper").optimizer.learning_rate == 1e-4


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ConfigError, match=r"known: .*demo"):
        load_scale("dmeo")
    with pytest.raises(ConfigError, match="known: 01_ddpo"):
        load_experiment(99, "demo")
    with pytest.raises(ConfigError, match="known: baseline"):
        load_arm("pcp")


def test_parsing_imports_nothing_heavy():
    code = (
        "import sys; import pcpo.config, pcpo.paths;"
        "assert not {'torch', 'pandas', 'numpy', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_pilot_scores_few_prompts_of_the_alignment_sets():
    pilot, paper = (load_experiment(5, scale).evaluation for scale in ("pilot", "paper"))
    assert (pilot.alignment_prompts, paper.alignment_prompts) == (64, None)


def test_published_epochs_are_those_of_tables_5_and_9():
    """For every arm its own; the matched pair is scored beside them."""
    for name in ("table5a", "table5b"):
        paper = read_published("config/paper", name)
        for number, model in ((5, "SD1.4"), (6, "FLUX")):
            epochs = load_experiment(number, "paper").alignment_checkpoint
            assert epochs.baseline == paper.loc[f"{model} baseline", "epoch"]
            assert epochs.pcpo == paper.loc[f"{model} pcpo", "epoch"]
    label = read_published("config/paper", "table9").loc["PCPO final", "method_label"]
    assert label == f"PCPO (E{load_experiment(7, 'paper').alignment_checkpoint.pcpo})"
