"""docs/extend.md, followed to the letter in a copy of the sources: what it adds works."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.system.pipeline import ROOT, copy_sources, environment

PAGE = (ROOT / "docs" / "extend.md").read_text()
PLACE = r"(New file|[Ii]n|At the end of)\s+`([^`]+)`(?:,\s+below\s+`([^`]+)`)?"
BLOCK = r"^```(\w+)\n(.*?)^```$"


def steps():
    """(place, block): the place is (what to do, file, line) or None for commands."""
    places, found = [], []
    for match in re.finditer(f"{BLOCK}|{PLACE}", PAGE, re.M | re.S):
        language, block, action, file, line = match.groups()
        if language == "sh":
            found.append((None, block))
        elif language:
            found.append((places.pop(0), block))
        elif action in ("New file", "At the end of") or line:
            places.append((action, file, line))
    assert not places, "a place without a block"
    return found


def follow(place, block, root):
    action, name, below = place
    file = root / name
    if action == "New file":
        assert not file.exists(), f"{name} is not new"
        file.parent.mkdir(exist_ok=True)
        file.write_text(block)
    elif action == "At the end of":
        file.write_text(f"{file.read_text()}\n\n{block}")
    else:
        lines = file.read_text().splitlines(keepends=True)
        (where,) = [n for n, t in enumerate(lines) if t.split("  #")[0].strip() == below.strip()]
        file.write_text("".join([*lines[: where + 1], block, *lines[where + 1 :]]))


def run(root, *command):
    """What it prints; it runs in the copy."""
    done = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """The copy with all that the page adds."""
    root = copy_sources(tmp_path_factory.mktemp("extended"))
    shutil.copytree(ROOT / "tests", root / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for place, block in steps():
        if place is not None and ("tables" not in place[1] or with_records()):
            follow(place, block, root)
    return root


def with_records():
    return (ROOT / "pcpo/tables/record.py").exists()


USE = """
import json, tempfile
from pathlib import Path
import numpy as np
import torch
from pcpo import advantages, credit, policies, rewards
from pcpo.claims.claim import read_claims
from pcpo.config import Advantage, FeatureSource, Reward, load_arm, load_experiment, load_scale
from pcpo.config import experiments_at
from pcpo.config.scale import check_modules
from pcpo.cost import memory, plan, plan_table
from pcpo.cost.speed import Speed
from pcpo.evaluation.feature_cache import ImageSet
from pcpo.evaluation.images import write_images
from pcpo.evaluation.quality import measure
from pcpo.figures.captions import caption
from pcpo.figures.kinds import KINDS
from pcpo.samplers.ddim import ddim
from pcpo.samplers.flow_sde import dance_sde
from tests import fabricated
from tests.evaluation.test_quality import ROWS, Toy, images
from tests.rewards.tiny_models import BUILDERS, noise_images, prompts_for
from tests.samplers.test_ddim import SD

folder, results = Path(tempfile.mkdtemp()), {}

experiment = load_experiment(11, "smoke")
results["arms"], results["measured"] = experiment.arms, experiment.measured
for scale in ("smoke", "paper"):
    check_modules(load_scale(scale))

options = BUILDERS["clip_margin"](folder / "reward")
noise = {e.name: e.sampler.noise_level for e in (load_experiment(n, "smoke") for n in (1, 21))}
results["noise"] = noise
results["at"] = [name for s in ("smoke", "demo") for name in experiments_at(s) if name in noise]

reward = rewards.load("clip_margin", folder / "reward", **options)
results["scores"] = reward(noise_images(3), prompts_for("clip_margin", 3)).tolist()

(question,) = read_claims("config/mine.yaml")
results["question"] = [[part.configurations, part.options] for part in question.parts()]

arm = load_arm("mine")
for name, sampler in {"ddim": ddim(SD, 10), "flow": dance_sde(16, 3.0, 0.3)}.items():
    native = sampler.weights
    made = credit.credit_schedule(arm.credit, sampler, skip_last=False, over=arm.over)
    results[name] = [native.tolist(), made.weights.tolist()]
ranks = advantages.build(Advantage(kind="ranks", epsilon=0, clip=5))
results["ranks"] = ranks(np.array([0, 1, 0, 0, 1, 2]), np.array([3.0, 9, 1, 2, 7, 5])).tolist()

quality = {"spread": FeatureSource(features="toy", output="means", metric="spread", measured="s")}
sets = {}
for name, pixels in {"base": images(0), "pcpo": images(1) // 2}.items():
    write_images(folder / name, ROWS, iter(pixels))
    sets[name] = ImageSet(folder / name, {"toy": Toy()}, quality)
overall, per_prompt = measure(sets, sets["base"], quality, "02_ddpo_aesthetic", 0)
results["spread"] = dict(zip(overall["arm"], overall["value"]))
results["rows"] = len(per_prompt)

curve = np.linspace(5, 6, 6)
updates = fabricated.updates({"baseline": curve, "pcpo": curve}, 2)
figure = KINDS["seconds"].draw(updates, fabricated.experiments((2,)))
results["lines"] = len(figure.axes[0].get_lines())
results["captions"] = [str(caption(n, [experiment], [0])) for n in ("seconds_11", "curves_11")]

paper, margin = load_scale("paper"), load_experiment(11, "paper")
made = plan.make(paper, [margin], [0], Speed.assumed("H100"))
as_parent = margin.model_copy(update={"reward": Reward(name="clipscore")})
results["gigabytes"] = [memory.peak_gigabytes(e) for e in (margin, as_parent)]
results["tflop"] = [plan.sampling_tflop(e) for e in (margin, as_parent)]
results["downloads"], results["plan"] = made.shared_gb["downloads"], plan_table.markdown(made)

results["adapter"] = policies.adapter_of("sd21").__module__
results["model"] = load_scale("paper").models["sd21"].path
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(extended):
    return json.loads(run(extended, sys.executable, "-c", USE).splitlines()[-1])


def test_the_reward_scores(results):
    assert len(set(results["scores"])) == 3
    assert all(-2 <= score <= 2 for score in results["scores"])


def test_the_experiment_trains_and_measures_the_arm(extended, results):
    assert results["arms"] == results["measured"] == ["baseline", "pcpo", "mine"]
    (command,) = [block for place, block in steps() if place is None]
    planned = run(extended, "bash", "-c", command)
    for arm in results["arms"]:
        assert f"runs/11_ddpo_clip_margin/{arm}/seed0/checkpoints.csv" in planned
        assert f"images/11_ddpo_clip_margin/{arm}/seed0/index.csv" in planned


def test_the_variant_is_at_its_scale(results):
    variant = "21_ddpo_less_noise"
    assert results["noise"] == {"01_ddpo_aesthetic_half": 1.0, variant: 0.5}
    assert results["at"] == ["01_ddpo_aesthetic_half", variant, "01_ddpo_aesthetic_half"]


def test_the_plan_counts_the_reward_as_the_one_that_it_imports(results):
    assert results["gigabytes"][0] == results["gigabytes"][1]
    assert results["tflop"][0] == results["tflop"][1]
    # SD1.5, what CLIPScore reads, Inception, DINOv2 and LPIPS
    assert results["downloads"] == pytest.approx(4.27 + 3.95 + 0.1 + 1.22 + 0.8, abs=0.1)
    assert (
        "Reward clip_margin has no size of its own here and is counted as clipscore"
        in (results["plan"])
    )


def test_the_credit_rule_weighs(results):
    for family in ("ddim", "flow"):
        native, made = results[family]
        assert sum(made) == pytest.approx(sum(native))
        shares = [m / n**0.5 for m, n in zip(made, native, strict=True)]
        assert shares == pytest.approx([shares[0]] * len(shares))


def test_the_question_is_read(results):
    assert results["question"] == [[[11], {"arms": ["mine", "pcpo"]}]]


def test_the_advantage_ranks(results):
    assert results["ranks"] == [1, 1, -1, 0, -1, -1]


def test_the_metric_is_measured(results):
    assert results["spread"]["base"] == pytest.approx(1)
    assert (
        0.1 < results["spread"]["pcpo"] < 0.4
    )  # half the pixels' values: a quarter of the variance
    assert results["rows"] == 6


def test_the_metric_passes_the_test_of_every_metric(extended):
    """It reads blocks, however large the features are."""
    registry = "tests/metrics/test_registry.py"
    done = run(extended, sys.executable, "-m", "pytest", "-vv", registry, "-k", "spread")
    assert "test_blocks_and_files_give_the_value_of_the_whole[spread]" in done


def test_the_figures_are_drawn_and_captioned(results):
    assert results["lines"] == 2
    seconds, curves = results["captions"]
    assert "Seconds of an epoch." in seconds and "Sum of the logged seconds" in seconds
    assert "DDPO" in curves


def test_the_base_model_has_an_adapter(results):
    assert results["adapter"] == "pcpo.policies.sd21"
    assert results["model"] == "data/models/sd21"


@pytest.mark.skipif(not with_records(), reason="tables have no records yet")
def test_the_table_is_made_and_compared(extended):
    script = """
import json
import numpy as np
from pcpo.tables.build import build
from pcpo.tables.published import read_published
from tests import fabricated
curves = {"baseline": np.linspace(5, 6, 6), "pcpo": np.linspace(5, 7, 6)}
made = build("table11", fabricated.experiments((2,)), {"updates": fabricated.updates(curves, 2)})
paper = read_published("config/paper", "table11")
print(json.dumps([made.cells(), list(made.frame["row"]), list(paper.index)]))
"""
    cells, rows, paper = json.loads(run(extended, sys.executable, "-c", script).splitlines()[-1])
    assert [cell[0] for cell in cells] == rows == paper == ["baseline", "pcpo"]
    assert float(cells[1][1]) > float(cells[0][1])


def test_editors_know_the_new_rule_and_the_values_their_lines(extended):
    run(extended, sys.executable, "-m", "pcpo", "schema")
    schema = json.loads((extended / "config/schema/arms.json").read_text())
    assert "square_root" in schema["additionalProperties"]["properties"]["credit"]["enum"]
    asked = ("config", "11", "--scale", "smoke", "--arm", "mine")
    text = run(extended, sys.executable, "-m", "pcpo", *asked)
    assert re.search(r"^arm\.credit +square_root +config/arms\.yaml:\d+$", text, re.M)
