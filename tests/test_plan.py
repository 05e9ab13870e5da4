"""The plan's sums against the FLOP floors that were published for these workloads."""

import csv
from dataclasses import replace

import pytest

from pcpo import plan, plan_table
from pcpo.config import load_arm, load_experiment, load_scale
from pcpo.gpu_speed import ASSUMED_SHARE, Speed

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


@pytest.fixture(scope="module")
def made():
    chosen = [experiment(1), experiment(2)]
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


def test_rows_of_evaluation(made):
    first, second = rows_of(made, 1)["evaluation"], rows_of(made, 2)["evaluation"]
    # Both arms and both seeds; the base model's images are shared and made once.
    selection = 45 * (4 * 1112 + 21 * 64)
    assert first.images == (2 * 2 + 1) * 50_040 + 2 * selection
    assert first.images - second.images == 50_040
    assert second.disk_gb == pytest.approx(4 * 50_040 * (1.5 * 512**2 + 4 * 4080) / 1e9)


def test_alignment_images_are_of_two_pairs_and_the_base_model():
    seven = load_experiment(7)
    alone = seven.model_copy(update={"alignment_checkpoint": None})
    images = [
        rows_of(plan.make(load_scale("paper"), [e], [0], SPEED), 7)["evaluation"].images
        for e in (seven, alone)
    ]
    assert images[0] - images[1] == 2 * 2048  # Table 9's 2,048 prompts, one image each


def test_recomputation_stands_apart():
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
    assert plan.validation_images(experiment(1), load_scale("paper")) == 0


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
