"""The plan's sums against the FLOP floors that were published for these workloads."""

import csv
import shutil
from dataclasses import replace

import pytest
import torch

from pcpo.config import RewardSource, load_arm, load_experiment, load_scale
from pcpo.config.gradients import Gradients
from pcpo.cost import plan, plan_table
from pcpo.cost import reward_cost as costs
from pcpo.cost.speed import ASSUMED_SHARE, Speed
from pcpo.evaluation.reward_guidance import mixed
from pcpo.paths import PACKAGE
from pcpo.records import sources

SPEED = Speed.assumed("H100")


def experiment(number, **changes):
    return load_experiment(number).model_copy(update=changes)


@pytest.mark.parametrize(
    ("number", "sampled", "trained"),
    [
        (1, 83.0, 160.7),  # SD1.5 LoRA, 50 steps, guidance
        (5, 83.2, 3 * 49 * 2 * 0.803),  # all weights, 49 of 50 steps
        (9, 47.3, 120.1),  # SD3.5-M LoRA, 9 of 10 steps, KL
        (6, 452.8, 6 * 37.28 * 2),  # FLUX LoRA, 6 of 11 steps
        (10, 601.9, 1006.6),  # all of FLUX, 9 of 15 steps
    ],
)
def test_floors_of_an_image(number, sampled, trained):
    e = load_experiment(number)
    assert plan.sampling_tflop(e) == pytest.approx(sampled, rel=3e-3)
    assert plan.training_tflop(e, load_arm("baseline")) == pytest.approx(trained, rel=1e-3)


def test_half_the_timesteps_train_half():
    e = load_experiment(1)
    half, whole = (plan.training_tflop(e, load_arm(a)) for a in ("half_timesteps", "baseline"))
    assert half == pytest.approx(whole / 2)


@pytest.mark.parametrize(
    ("number", "scale", "arm", "trained"),
    [
        (1, "paper", "drop_largest", 49),
        (13, "study2", "baseline", 6),  # FlowCPS: of 8 steps the last has no noise, one too little
    ],
)
def test_steps_without_credit_are_not_counted(number, scale, arm, trained):
    assert plan.trained_steps(load_experiment(number, scale), load_arm(arm)) == trained


@pytest.fixture(scope="module")
def made():
    chosen = [experiment(number, validation=None) for number in (1, 2)]
    return plan.make(load_scale("paper"), chosen, [0, 1], SPEED)


def rows_of(made, number):
    return {r.what: r for r in made.rows if r.experiment.startswith(f"{number:02d}_")}


def test_rows_of_training(made):
    row, e = rows_of(made, 1)["pcpo"], load_experiment(1)
    assert set(rows_of(made, 1)) == {*e.arms, "evaluation"}
    assert row.images == 2 * 300 * 256
    assert row.runs == 2
    # 243.7 TFLOP an image (counted independently), at the assumed share of 791 TFLOP/s
    pflop = row.sampling_pflop + row.training_pflop
    assert pflop == pytest.approx(row.images * 0.2437, rel=1e-3)
    assert row.gpu_hours == pytest.approx(
        pflop * 1e3 / 791.2 / ASSUMED_SHARE["sd15"] / 3600, rel=1e-3
    )
    # 300 checkpoints of 797,184 fp32 numbers and two states of three such, for two seeds
    assert row.disk_gb == pytest.approx(2 * 306 * 797_184 * 4 / 1e9)
    assert row.recompute_hours == 0


def test_an_experiment_with_fewer_seeds_costs_less():
    few = [experiment(1, seeds_at_most=1)]
    made = plan.make(load_scale("paper"), few, [0, 1], SPEED)
    assert {row.runs for row in made.rows} == {1}


def test_rows_of_evaluation(made):
    """45 prompts x 1112 images for each measured arm of two training runs, and once for the base.

    Selection scores, of each run: the baseline's checkpoint, three of every other arm, and 21 of
    every other arm (10 epochs on either side of its crossing) on 64 images a prompt.
    """
    first, second = rows_of(made, 1)["evaluation"], rows_of(made, 2)["evaluation"]
    # Configuration 1 measures baseline, pcpo and half_timesteps; it makes the base's images too.
    selection = 45 * ((1 + 2 * 3) * 1112 + 2 * 21 * 64)
    assert first.images == 45 * 1112 * (2 * 3 + 1) + 2 * selection
    assert first.disk_gb == pytest.approx(45 * 1112 * 7 * (1.5 * 512**2 + 4 * 4080) / 1e9)
    # Configuration 2 measures baseline and pcpo, against the same base images.
    selection = 45 * ((1 + 3) * 1112 + 21 * 64)
    assert second.images == 45 * 1112 * 2 * 2 + 2 * selection
    assert second.disk_gb == pytest.approx(45 * 1112 * 4 * (1.5 * 512**2 + 4 * 4080) / 1e9)


def test_the_pairs_that_people_compare_are_of_three_checkpoints():
    """B.3.3: 45 prompts x 10 images, of PCPO and of two checkpoints of the baseline."""
    chosen = [load_experiment(number) for number in (5, 6)]
    made = plan.make(load_scale("paper"), chosen, [0, 1], SPEED)
    (row,) = (row for row in made.rows if row.what == "preference study")
    assert row.experiment == chosen[1].name
    assert row.images == 45 * 10 * 3
    assert row.sampling_pflop == pytest.approx(1350 * plan.sampling_tflop(chosen[1]) / 1e3)
    assert row.disk_gb == pytest.approx(1350 * 1.5 * chosen[1].sampler.resolution ** 2 / 1e9)


@pytest.mark.parametrize("number", range(1, 11))
def test_every_measured_arm_has_images(number, monkeypatch):
    """Kept images alone: 45 prompts x images x (arms + base), as appendix B.3.1 has them."""
    arms = {1: 3, 10: 3}.get(number, 2)  # baseline, pcpo; a heuristic in Figures 7(b) and 7(d)
    seeds = 1112 if number <= 6 else 112  # a tenth where no table of the paper has the quality
    monkeypatch.setattr(plan, "selection_images", lambda *_: 0)
    monkeypatch.setattr(plan, "sampling_tflop", lambda _: 1.0)
    monkeypatch.setattr(plan, "generation_gigabytes", lambda *_: 1.0)
    e = experiment(number, alignment=())
    row = plan._evaluation(load_scale("paper"), e, 1, True, SPEED)
    assert row.images == 45 * seeds * (arms + 1)


def test_alignment_tables_compare_two_pairs_and_the_base(monkeypatch):
    """Table 5, published epochs and matched: 5,000 COCO and 5,000 MJHQ prompts, an image each."""
    monkeypatch.setattr(plan, "selection_images", lambda *_: 0)
    monkeypatch.setattr(plan, "sampling_tflop", lambda _: 1.0)
    monkeypatch.setattr(plan, "generation_gigabytes", lambda *_: 1.0)
    whole, without = (
        plan._evaluation(load_scale("paper"), e, 1, False, SPEED).images
        for e in (experiment(5), experiment(5, alignment=()))
    )
    assert whole - without == 5 * 10_000


def test_alignment_images_are_of_two_pairs_and_the_base_model():
    seven = load_experiment(7)
    alone = seven.model_copy(update={"alignment_checkpoint": None})
    images = [
        rows_of(plan.make(load_scale("paper"), [e], [0], SPEED), 7)["evaluation"].images
        for e in (seven, alone)
    ]
    assert images[0] - images[1] == 2 * 2048  # Table 9's 2,048 prompts, one image each


def test_gradients_are_an_iteration_at_each_checkpoint_in_every_step():
    """Configuration 6 trains 6 of 11 steps; the micro-batch of one image is one group."""
    e = experiment(6, arms=("baseline", "pcpo"), gradients=Gradients(arms=("pcpo",)))
    made = plan.make(load_scale("paper"), [e], [0, 1], SPEED)
    row, training = rows_of(made, 6)["gradients"], rows_of(made, 6)["pcpo"]
    assert (row.runs, row.images, row.gpus, row.disk_gb) == (2, 2 * 3 * 384, 1, 0)
    trained = training.training_pflop / (2 * e.epochs * 384)  # of an image
    assert row.training_pflop == pytest.approx(row.images * trained * 11 / 6)
    assert row.host_gb > training.host_gb
    halves = e.model_copy(update={"batch": e.batch.model_copy(update={"micro_batch": 2})})
    twice = plan.make(load_scale("paper"), [halves], [0, 1], SPEED)
    assert rows_of(twice, 6)["gradients"].training_pflop == pytest.approx(2 * row.training_pflop)


def test_rows_of_reward_guidance():
    """Figure 13: 7 strengths x 45 prompts x 4 images, in two training seeds.

    Strengths 0 and 1 take one prediction a step, the five others two: of SD1.4 with guidance,
    2 x 0.803 TFLOP each, in 50 steps.
    """
    e = experiment(5, validation=None)
    row = rows_of(plan.make(load_scale("paper"), [e], [0, 1], SPEED), 5)["reward guidance"]
    assert (row.runs, row.images) == (2, 2 * 7 * 180)
    tflop = row.images * 83.2 + 2 * 5 * 180 * 50 * 2 * 0.803  # 83.2: an image, as above
    assert row.sampling_pflop * 1e3 == pytest.approx(tflop, rel=3e-3)
    assert row.gpu_hours == pytest.approx(tflop / 791.2 / ASSUMED_SHARE["sd14"] / 3600, rel=3e-3)
    assert row.training_pflop == 0
    assert row.disk_gb == pytest.approx(row.images * (1.5 * 512**2 + 4 * 2048) / 1e9)
    # The aligned weights (all of SD1.4's UNet, 860 million) beside those of the base model.
    images = plan._evaluation(
        load_scale("paper"), e.model_copy(update={"alignment": ()}), 1, False, SPEED
    )
    assert row.gpu_gb - images.gpu_gb == pytest.approx(4 * 0.8595, rel=1e-3)


def test_reward_guidance_of_two_models_is_scored_by_both_rewards():
    """Figure 14: only where both configurations are chosen, in the seeds that both have."""
    two, four = (experiment(n, validation=None, arms=("baseline", "pcpo")) for n in (2, 4))
    scale = load_scale("paper")
    alone = plan.make(scale, [two], [0], SPEED)
    assert "reward guidance" not in rows_of(alone, 2)
    few = four.model_copy(update={"seeds_at_most": 1})
    row = rows_of(plan.make(scale, [two, few], [0, 1], SPEED), 2)["reward guidance"]
    assert (row.runs, row.images) == (1, 16 * 180)
    # 3 points have one prediction: (0, 0), (1, 0), (0, 1). 5 have two: a factor of three is 0.
    predictions = 3 * 1 + 5 * 2 + 8 * 3
    tflop = row.images * (83.0 + 4.0)  # BERTScore: 4 an image
    tflop += 180 * (predictions - 16) * 50 * 2 * 0.803
    assert row.sampling_pflop * 1e3 == pytest.approx(tflop, rel=3e-3)


@pytest.mark.parametrize(("number", "models"), [(2, 2), (5, 1), (6, 1)])
def test_predictions_are_those_that_mixing_makes(number, models):
    made = []

    def model(latents, timesteps):
        made.append(1)
        return latents

    guidance = load_experiment(number).reward_guidance
    for strengths in guidance.points:
        mixed(model, [model] * models, strengths)(torch.zeros(1), None)
    assert plan.mixed_predictions(guidance) == len(made)


def test_recomputation_is_counted_separately():
    e = experiment(1, arms=("pcpo",))
    checkpointed = e.execution.model_copy(update={"activation_checkpointing": True})
    again = plan.make(
        load_scale("paper"), [e.model_copy(update={"execution": checkpointed})], [0], SPEED
    )
    row = rows_of(again, 1)["pcpo"]
    # one forward of the two that training takes with LoRA
    trained = row.training_pflop / (row.sampling_pflop + row.training_pflop) * row.gpu_hours
    assert row.recompute_hours == pytest.approx(trained / 2, rel=1e-6)


def test_validation_is_sampled_and_not_trained():
    # 1,024 of the set's prompts before the first and after every 50th of 300 epochs
    images = plan.validation_images(experiment(9), load_scale("paper"))
    assert images == 1024 * 7
    # In 40 steps where the training samples in 10: 30 more of two forwards, 2.224 TFLOP each.
    e = experiment(9, arms=("pcpo",))
    row = rows_of(plan.make(load_scale("paper"), [e], [0], SPEED), 9)["pcpo"]
    assert row.images == 300 * 512 + images
    trained = 300 * 512 * plan.sampling_tflop(e)
    longer = plan.sampling_tflop(e) + 30 * 2 * 2.224
    assert row.sampling_pflop * 1e3 == pytest.approx(trained + images * longer, rel=1e-4)
    assert plan.validation_images(experiment(1), load_scale("paper")) == 45 * (1 + 300 // 10)
    assert plan.validation_images(experiment(1, validation=None), load_scale("paper")) == 0


@pytest.mark.parametrize("name", ["paper", "pilot", "original"])
def test_our_validation_costs_less_than_a_twentieth(name):
    """The paper has one in configurations 8 and 9 alone."""
    scale = load_scale(name)
    chosen = [load_experiment(number, name) for number in range(1, 11)]
    assert all(e.validation for e in chosen)
    without = [
        e if e.number in (8, 9) else e.model_copy(update={"validation": None}) for e in chosen
    ]
    hours, fewer = (
        plan.totals(plan.make(scale, each, [0], SPEED))["gpu_hours"] for each in (chosen, without)
    )
    assert fewer < hours < 1.05 * fewer


def test_the_table_adds_up_and_calls_assumptions_so(made, tmp_path):
    text = plan_table.markdown(made)
    summed = plan.totals(made)
    assert summed["images"] == sum(row.images for row in made.rows)
    assert summed["disk_gb"] > sum(row.disk_gb for row in made.rows)
    assert f"{summed['gpu_hours']:,.1f}" in text
    assert "ASSUMED, not measured" in text
    header, *lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {header.count("|")}
    plan_table.write_csv(made, tmp_path / "plan.csv")
    with (tmp_path / "plan.csv").open() as handle:
        written = list(csv.DictReader(handle))
    assert [row["what"] for row in written] == [row.what for row in made.rows]
    assert float(written[0]["gpu_hours"]) == made.rows[0].gpu_hours


def test_embeddings_are_one_row_for_each_distinct_prompt(made):
    # 45 animals and the empty prompt would be 46; the empty one is left out.
    assert made.shared_gb["prompt embeddings"] == pytest.approx(45 * 77 * 768 * 2 / 1e9)


# --- what is not counted -----------------------------------------------------------------------


@pytest.fixture
def own_rewards(tmp_path, monkeypatch):
    """A copy of pcpo/rewards to which a test may add: name, source -> a module there."""
    shutil.copytree(PACKAGE / "rewards", tmp_path / "rewards")
    monkeypatch.setattr(sources, "PACKAGE", tmp_path)
    costs._at_scale.cache_clear()
    yield lambda name, source: (tmp_path / "rewards" / f"{name}.py").write_text(source)
    costs._at_scale.cache_clear()


def test_a_reward_of_unknown_size_is_named_and_not_counted(own_rewards):
    own_rewards("brightness", "from pcpo.rewards import _base")
    scale = load_scale("paper")
    source = RewardSource(path="elsewhere", implementation="brightness")
    scale = scale.model_copy(update={"rewards": scale.rewards | {"aesthetic": source}})
    none = costs.reward_cost(costs.reward_module(scale, "aesthetic"))
    assert (none.bytes, none.tflop) == (0, 0)
    made = plan.make(scale, [experiment(1, arms=("baseline", "pcpo"))], [0], SPEED)
    assert "Reward aesthetic has no size of its own here and is NOT counted" in (
        plan_table.markdown(made)
    )


def test_counted_rewards_are_not_noted(made):
    assert made.uncounted == {}
    assert "no size of its own" not in plan_table.markdown(made)


def test_a_prompt_set_that_is_assumed_is_noted_for_validation_too():
    scale = load_scale("paper")
    scale = scale.model_copy(update={"prompts": scale.prompts | {"mine": "elsewhere/mine.txt"}})
    validation = experiment(9).validation.model_copy(update={"prompts": "mine"})
    one = experiment(9, arms=("baseline", "pcpo"), alignment=(), epochs=2, checkpoint_every=2)
    one = one.model_copy(update={"validation": validation})
    assert plan.make(scale, [one], [0], SPEED).approximate == {"mine": 10_000}


def test_a_scale_that_trains_its_models_is_refused():
    with pytest.raises(ValueError, match="scale demo trains its own small models"):
        plan.make(load_scale("demo"), [], [0], SPEED)


# --- speeds ------------------------------------------------------------------------------------

BENCH = """device,model,order,matrix_tflops,sampling_share,training_share
Some GPU,sd15,ours,700,0.4,0.3
Some GPU,sd15,official,700,0.1,0.1
Some GPU,flux,ours,700,0.6,0.5
"""


def test_measured_shares_replace_assumed_ones(tmp_path):
    (tmp_path / "bench.csv").write_text(BENCH)
    speed = Speed.measured_in(tmp_path / "bench.csv")
    assert (speed.gpu, speed.rate) == ("Some GPU", 700)
    assert speed.sampling["sd14"] == speed.sampling["sd15"] == 0.4
    assert speed.training["flux"] == 0.5
    assert speed.training["sd35m"] == ASSUMED_SHARE["sd35m"]
    assert "ASSUMED, not measured, for sd35m" in speed.source
    # 3600 s at 700 x 0.4 TFLOP/s of sampling, and as long at 700 x 0.3 of training
    assert speed.hours("sd15", 700 * 0.4 * 3600, 700 * 0.3 * 3600) == pytest.approx(2)
    assert speed.hours("sd15", 1, 1) != SPEED.hours("sd15", 1, 1)


def test_a_table_that_is_none_is_named(tmp_path):
    path = tmp_path / "bench.csv"
    for text in ("", "device\nX\n", BENCH.replace("0.4", "much")):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"bench\.csv: not a table of `make bench-gpu`"):
            Speed.measured_in(path)


def test_toy_speeds_are_refused(tmp_path):
    path = tmp_path / "bench.csv"
    path.write_text(BENCH.replace("device,", "toy,device,").replace("Some GPU,", "True,Some GPU,"))
    with pytest.raises(ValueError, match="toy sizes"):
        Speed.measured_in(path)


def test_an_unknown_gpu_lists_the_known_ones():
    with pytest.raises(ValueError, match="'B52' is unknown; known: RTX A5000.*H200"):
        Speed.assumed("B52")
    assert replace(SPEED, rate=1.0).hours("flux", 1, 0) > SPEED.hours("flux", 1, 0)


def test_an_experiment_without_images_is_trained_alone():
    experiment = load_experiment(1, "pilot").model_copy(update={"compared": ()})
    made = plan.make(load_scale("pilot"), [experiment], [0], Speed.assumed("H100"))
    assert [row.what for row in made.rows] == list(experiment.arms)
