"""Which rules an edit of a file redoes, as a dry run of everything lists their inputs."""

import re
from collections import defaultdict

import pytest

from pcpo.config import load_experiment, load_experiments, load_scale
from pcpo.config.reward_guidance import guided
from pcpo.paths import PACKAGE
from pcpo.records.sources import PLUMBING, sources_of
from pcpo.training.trained_code import training_sources
from pcpo.workflow import inputs
from tests.system.pipeline import copy_sources, snakemake

HPS = load_experiment("05_dancegrpo_sd14_hps", "smoke")


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """File of the package -> the rules that an edit of it redoes."""
    copy = copy_sources(tmp_path_factory.mktemp("dry"))
    targets = ("all", "plan", "archive")
    code, output = snakemake(copy, "-n", "--config", "scale=smoke", "--", *targets)
    assert code == 0, output
    found = defaultdict(set)
    for rule, files in re.findall(r"^(?:local)?rule (\w+):\n +input: (.*)$", output, re.M):
        for file in files.split(", "):
            found[file].add(rule)
    return {file.removeprefix("pcpo/"): of for file, of in found.items() if file[:5] == "pcpo/"}


GRIDS = {"figure7b", *(f"figure{n}" for n in ("1a", "1b", 15, 16, 17, 18, 19, 20))}
GRIDS |= {"samples_bertscore", "samples_ocr"}
GUIDED = {f"reward_guidance_{name}" for name in guided(load_experiments("smoke"))}


@pytest.mark.parametrize(
    ("edited", "redone"),
    [
        ("figures/ablation.py", {"figure6", "ablation_of_credit"}),
        ("figures/sample_grid.py", GRIDS),
        ("stats/holm.py", {"table", "compare_tables", "claims", "questions", "report", "archive"}),
        ("claims/exact.py", {"claims", "questions", "archive"}),
        ("report/page.py", {"report"}),
        ("report/templates/page.html", {"report"}),
        ("archive/crate.py", {"archive"}),
        ("cost/speed.py", {"plan"}),
        ("config/scale_differences.py", {"table", "report"}),
        ("evaluation/selection.py", {"select"}),
        ("evaluation/generation.py", {"generate_base", "generate", "align", *GUIDED}),
        ("evaluation/score_cache.py", {"select"}),
        ("metrics/frechet.py", {"evaluate", *GUIDED}),
        ("features/quality_network.py", {"evaluate", *GUIDED}),
        ("features/inception.py", set()),  # of no quality at this scale
        ("rewards/clipscore.py", {"align"}),
        ("rewards/ocr.py", set()),  # of trainings alone
        ("synthetic/recogniser.py", {"synthetic_other_rewards"}),
        ("synthetic/clip.py", {"synthetic_clip_rewards", "synthetic_other_rewards"}),
        ("samplers/ddim.py", {"credit", "readings", "plan"}),
        ("policies/flux.py", set()),
    ],
)
def test_an_edit_redoes_what_depends_on_it(rules, edited, redone):
    assert (PACKAGE / edited).exists()
    assert rules.get(edited, set()) == redone


def test_an_edit_of_frames_redoes_all_that_reads_them(rules):
    readers = rules["records/frames.py"]
    assert {"table", "claims", "questions", "figure3"} <= readers == rules["records/frame_file.py"]


@pytest.mark.parametrize(
    "edited", ["cli/console.py", "config/experiment.py", "records/replace.py", "records/lock.py"]
)
def test_an_edit_of_the_plumbing_redoes_nothing(rules, edited):
    assert (PACKAGE / edited).exists() and edited not in rules


def test_no_edit_of_the_package_trains_again(rules):
    assert not [file for file, of in rules.items() if "train" in of]


# What no rule's result depends on: commands of the user, of the workflow, and what they run.
OF_NO_RULE = {
    *("cli.aside", "cli.assets", "cli.code", "cli.launch", "cli.stages", "cli.synthetic"),
    "cli.train",
    # They change no number of a run. A model of one's own is aligned without the workflow.
    *("cli.watch", "own_model", "training.model_card", "training.previews", "training.tracker"),
    *(
        "cli.config",
        "cli.schema",
        "__main__",
        "cli.synthetic_rewards",
        "cli.bench",
        "cli.bench_gpu",
        "cli.bench_memory",
        "cli.power",
    ),
    *("stats.power", "analysis.pilot"),
    # Of experiments that this scale does not have.
    *("figures.response_surface", "figures.arm_gains", "figures.parts_of_gain"),
    "figures.taylor_error",
    # Of gradients there is a rule, and of their figure, where a scale measures them.
    *("cli.gradients", "training.step_gradients", "workflow.gradients"),
    "figures.gradients_by_timestep",
    # The pairs of a study stay as they are; answers of people have a rule only where there are any.
    *("cli.preference", "cli.study_pairs", "cli.study_answers"),
    *("preference.answers", "preference.app", "preference.frame"),
    *("preference.limits", "preference.pairs", "preference.schedule", "preference.simulate"),
    *("preference.summary", "figures.preference"),
    *("cost.bench", "cost.bench_table", "cost.iteration_time"),
    *("cost.official_order", "cost.side_by_side"),
    *("cli.ledger", "report.ledger_table"),
    *(
        "cli.decided",
        "evaluation.decided",
        "cli.samplers_compared",
        "cli.ends",
        "cli.images_to_measure",
    ),
    *(
        "archive.carried",
        "archive.continued",
        "archive.rebuilt",
        "cli.unpack",
        "cli.guide",
        "workflow.guidance",
        "cli.carry",
        "workflow.devices",
        "workflow.executor",
        "workflow.inputs",
    ),
    *("workflow.resources", "workflow.targets", "workflow.choice", "workflow.frames"),
    *("workflow.jobs", "workflow.tables", "workflow.figures", "workflow.pictures"),
    "workflow.study",
}


def test_no_module_is_forgotten(rules):
    """Each is code of a rule or of a training, plumbing, or known to be neither."""
    every = {str(f.relative_to(PACKAGE)) for f in PACKAGE.rglob("*.py") if f.stem != "__init__"}
    rewards = (file.stem for file in (PACKAGE / "rewards").glob("[!_]*.py"))
    features = (f"pcpo.features.{file.stem}" for file in (PACKAGE / "features").glob("[!_]*.py"))
    counted = {*rules, *training_sources(*rewards), *sources_of(*features)}
    plumbing = tuple(name.removeprefix("pcpo.").replace(".", "/") for name in PLUMBING)
    rest = {file for file in every - counted if not file.startswith(plumbing)}
    assert rest == {f"{name.replace('.', '/')}.py" for name in OF_NO_RULE}


def test_arms_that_sample_by_their_own_schedule_depend_on_the_credit():
    native = inputs.measuring_code("pcpo.cli.generate")
    own = inputs.measuring_code("pcpo.cli.generate", "pcpo.credit")
    assert set(own) - set(native) == {"pcpo/credit.py"}


def test_alignment_depends_on_its_rewards_but_for_those_that_trained():
    scale = load_scale("smoke")
    modules = inputs.alignment_modules(scale, HPS)
    assert modules["trained_by"] == ["hps"]
    found = inputs.measuring_code("pcpo.cli.align", **modules)
    assert {"pcpo/rewards/pickscore.py", "pcpo/rewards/_clip.py"} <= set(found)
    assert not {"pcpo/rewards/hps.py", "pcpo/rewards/_base.py"} & set(found)


def test_a_change_of_a_reward_is_seen_in_its_settings():
    scale = load_scale("smoke")
    assert inputs.reward_settings(scale, ["ocr"]) == {"ocr": scale.rewards["ocr"].model_dump()}


@pytest.mark.parametrize(
    ("scale", "files"),
    [
        ("smoke", ["results/smoke/synthetic/sd14/model_index.json"]),
        ("paper", ["data/models/sd14/assets.json"]),
    ],
)
def test_a_model_is_there_once_its_last_file_is(scale, files):
    assert inputs.model_files(load_scale(scale), HPS) == files
