"""What of `make test-true-size` is tested at every run: no weights of true size are written."""

import re
import shutil

import pytest

from pcpo.cost.architectures import ARCHITECTURES
from pcpo.paths import Paths
from tests.system.pipeline import jobs, runs, snakemake
from tests.true_size import flux, held
from tests.true_size.place import PROMPTS, Place
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
    names = [stage.name for stage in stages(place)]
    assert len({*names}) == len(names) and names[-1] == "compare"
    assert names.index("weights_sd15") < names.index("full_fine_tuning")
    assert names.index("full_fine_tuning") < names.index("weights_rewards")


def test_the_full_fine_tuning_fits_20_gb_as_counted_by_hand(place):
    """16 bytes a weight, the weights once more in bf16, and the libraries: what goes besides is
    activations, 0.5 GB with checkpointing, and the VAE."""
    by_hand = (16 + 2) * 859_520_964 / 1e9 + 1
    planned = held.peak_gigabytes(place.experiments[14])
    assert by_hand < planned < by_hand + 1
    assert planned < 20
    assert ARCHITECTURES["sd15"].stored == 4
