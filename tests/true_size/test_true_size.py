"""What of `make test-true-size` is tested at every run: no weights of true size are written."""

import re
import shutil

import pytest

from pcpo.cost.architectures import ARCHITECTURES
from pcpo.paths import Paths
from tests.system.pipeline import ROOT, jobs, runs, snakemake
from tests.true_size import flux, held
from tests.true_size.place import HEAVY, PROMPTS, Place
from tests.true_size.stages import Failure
from tests.true_size.steps import stages


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("cache"), "small", 1, 2e9)


def test_flux_has_the_published_tensors_and_adapter():
    found = flux.check()
    assert (found["keys"], found["targets"]) == (1160, 190)
    assert found["parameters"] == pytest.approx(11.90e9, rel=1e-3)
    assert found["trained"] == pytest.approx(149.4e6, rel=1e-3)
    # Published: 23.8 GB in bf16; T5-XXL and a CLIP take 9.8 more.
    assert found["encoding_gb"] == pytest.approx(23.8 + 0.6 + 9.8, abs=0.1)


def test_the_weights_are_those_of_the_scale_and_their_disk_is_checked(place, monkeypatch):
    assert place.assets == sorted(place.assets)
    assert {"models/sd15", "models/sd35m", "rewards/hps", "features/lpips"} <= {*place.assets}
    assert not {"models/sd14", "models/flux", "rewards/bertscore"} & {*place.assets}
    assert {n for e in place.experiments.values() for n in e.prompt_sets} <= {*PROMPTS}
    large = Place(place.cache, "true", 2, 20e9)
    # By the publishers: SD1.5 4.3, SD3.5-M 16.3, rewards and features 15.5, and 4 to spare.
    assert large.missing_gigabytes() == pytest.approx(40, abs=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 30e9))
    with pytest.raises(Failure, match="40 GB of disk are needed, 30 are free: name a folder"):
        large.check_disk()


def test_the_workflow_plans_the_stages_targets(place):
    """Once their weights are there, which are written here as empty folders."""
    place.prepare()
    for asset in place.assets:
        (place.data / asset).mkdir(parents=True)
        (place.data / asset / "assets.json").write_text("{}")
    seven = place.experiments[7]
    targets = [Paths("true_size").run.format(experiment=e.name, arm="pcpo", seed=0)
               for e in place.experiments.values()]  # fmt: skip
    code, output = snakemake(
        place.work, "-n", "--config", "scale=true_size", "--",
        *(f"{run}/checkpoints.csv" for run in targets), seven.name,
    )  # fmt: skip
    assert code == 0, output
    planned = jobs(output)
    assert runs(output, "true_size") == {
        *((e.name, "pcpo") for e in place.experiments.values()), (seven.name, "baseline"),
    }  # fmt: skip
    assert not {"download", "preflight", "prompt_set"} & set(planned)
    assert {planned[rule] for rule in ("select", "evaluate", "align", "generate_base")} == {1}
    code, output = snakemake(
        place.work, "-n", "--config", "scale=true_size", f"experiments=[{seven.name}]",
        "--", "tables", "compare",
    )  # fmt: skip
    assert code == 0, output
    assert "tables/table9.md" in re.sub(r"\s+", " ", output)


def test_sources_are_laid_out_again_without_a_new_time(place):
    place.prepare()
    before = {file: file.stat().st_mtime for file in place.work.glob("pcpo/*.py")}
    prompts = {file: file.stat().st_mtime for file in place.data.glob("prompts/*.txt")}
    place.prepare()
    assert before == {file: file.stat().st_mtime for file in place.work.glob("pcpo/*.py")}
    assert prompts == {file: file.stat().st_mtime for file in place.data.glob("prompts/*.txt")}
    assert len(prompts) == len(PROMPTS)


def test_every_stage_of_the_plan_is_a_stage(place):
    every = stages(place)
    names = [stage.name for stage in every]
    assert len({*names}) == len(names) and names[-1] == "compare"
    for number, stage in enumerate(every):
        assert {*stage.needs} <= {*names[:number]}, stage.name
    later = min(names.index("weights_rewards"), names.index("weights_sd35m"))
    assert names.index("full_fine_tuning") < later  # its 14 GB are gone before they come


def test_a_failed_full_fine_tuning_leaves_no_weights(place, monkeypatch):
    steps = {stage.name: stage for stage in stages(place)}
    folder = place.run_folder(place.experiments[14], "pcpo")
    place.record.keep("plan", {"planned_gb": {"full_fine_tuning": 17.0}})

    def saves_and_fails(*arguments, **options):
        (folder / "resume").mkdir(parents=True)
        raise Failure("too much memory")

    monkeypatch.setattr(Place, "snakemake", saves_and_fails)
    with pytest.raises(Failure, match="too much"):
        steps["full_fine_tuning"].run()
    assert not folder.exists()


def test_the_table_has_what_is_done(tmp_path):
    place = Place(tmp_path, "true", 2, 20e9)
    compare = stages(place)[-1]
    place.record.keep("libraries", {"bytes": 1e9})
    planned = {"adapter_sd15": 6.0, "full_fine_tuning": 25.0, "train_9": 15.0}
    place.record.keep("plan", {"planned_gb": planned, "epoch_tflop": 26.0, "floor_tflop": 24.6})
    place.record.keep("adapter_sd15", {"peak": 6e9})
    place.record.keep("full_fine_tuning", {"left_out": "25.0 GB by the plan, of 20"})
    with pytest.raises(Failure, match=r"train_9, flops: not done yet; the table has the others"):
        compare.run()
    lines = (tmp_path / "true_size.md").read_text().splitlines()
    assert "| adapter_sd15 | 6.00 | 6.00 | x 1.00 |  |" in lines
    assert {"Left out: full_fine_tuning: 25.0 GB by the plan, of 20.", "Not done: train_9."} <= {
        *lines
    }
    place.record.keep("train_9", {"peak": 15e9})
    place.record.keep("flops", {"tflop": 30.0})
    with pytest.raises(Failure, match="FLOPs on meta tensors differ"):
        compare.run()
    place.record.keep("flops", {"tflop": 26.0})
    assert compare.run()["ratios"]["train_9"] == pytest.approx(1)


def test_rules_with_several_threads_exist():
    rules = "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    assert all(f"rule {rule}:" in rules for rule in HEAVY)  # Snakemake ignores other names


def test_the_full_fine_tuning_fits_20_gb_as_counted_by_hand(place):
    """16 bytes a weight, the weights once more in bf16, and the libraries: what goes besides is
    activations, 0.5 GB with checkpointing, and the VAE."""
    by_hand = (16 + 2) * 859_520_964 / 1e9 + 1
    planned = held.peak_gigabytes(place.experiments[14])
    assert by_hand < planned < by_hand + 1
    assert planned < 20
    assert ARCHITECTURES["sd15"].stored == 4
