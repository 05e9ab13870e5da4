"""Memory of real configurations: which GPUs they fit, and sums by hand. Nothing is measured."""

import subprocess
import sys

import pytest
import torch

from pcpo.config import load_arm, load_experiment
from pcpo.cost import architectures
from pcpo.cost.counting import AsOnCuda, flops
from pcpo.cost.memory import (
    counts,
    generation_gigabytes,
    host_gigabytes,
    micro_batches,
    peak_gigabytes,
    suggest_micro_batch,
)
from pcpo.cost.reward_cost import REWARDS


def configuration(number, **execution):
    """A configuration of the paper's scale on one GPU, unless `execution` says otherwise."""
    plain = {"gpus": 1, "sharding": "none", "compile": False, "activation_checkpointing": False}
    experiment = load_experiment(number)
    changed = experiment.execution.model_copy(update=plain | execution)
    return experiment.model_copy(update={"execution": changed})


def test_ddpo_fits_24_gb():
    ddpo = configuration(1)
    assert suggest_micro_batch(ddpo, 24) >= 4
    assert peak_gigabytes(ddpo, 4) < 24 < peak_gigabytes(ddpo, 16)


def test_flux_lora_fits_80_gb_without_sharding_and_24_gb_by_eight_with_it():
    flux = configuration(6)
    assert suggest_micro_batch(flux, 24) == suggest_micro_batch(flux, 40) == 0
    assert suggest_micro_batch(flux, 80) >= 1
    eight = {"gpus": 8, "sharding": "fsdp"}
    sharded = configuration(6, **eight, activation_checkpointing=True)
    assert suggest_micro_batch(sharded, 24) >= 1
    assert suggest_micro_batch(configuration(6, **eight), 24) == 0  # its activations are too many
    counted = counts(sharded)
    # An eighth of 11.90 B weights in bf16 and of 149.4 M in fp32; two blocks whole.
    assert counted.weights == pytest.approx((2 * 11.90e9 + 4 * 149.4e6) / 8, rel=1e-3)
    assert 0.5e9 < counted.gathered < 2.5e9


def test_full_fine_tuning_of_flux_needs_sixteen_bytes_a_weight():
    counted = counts(configuration(10, gpus=8, sharding="fsdp", activation_checkpointing=True))
    resident = counted.weights + counted.gradients + counted.moments
    assert resident == pytest.approx(16 * 11.90e9 / 8, rel=1e-3)


def test_what_stays_with_lora_and_an_average():
    counted = counts(configuration(9))
    assert counted.trained == 18_776_064
    assert counted.gradients == counted.average == 4 * counted.trained
    assert counted.moments == 8 * counted.trained
    # fp16 but for the adapter: 2.24 B weights, and the table of positions, which is none
    held = 2 * (2.243e9 + 384**2 * 1536)
    assert held == pytest.approx(4.94e9, rel=1e-3)
    assert counted.weights == pytest.approx(held + 4 * counted.trained, rel=1e-3)


def test_text_encoders_are_counted_while_they_are_open():
    """SD3.5-M: 0.25, 1.39 and 9.53 GB as published, and the part of T5 that stays in fp32."""
    counted = counts(configuration(8))
    encoders = 0.248e9 + 1.39e9 + 9.526e9 + 2 * 24 * 10240 * 4096
    beside = counted.weights + counted.average
    assert counted.encoding == pytest.approx(beside + encoders, rel=1e-3)
    # Little is trained at a micro-batch of one image: then this is the most.
    assert counted.working(1) < counted.encoding < counted.working(8)
    assert peak_gigabytes(configuration(8), 1) == pytest.approx(1 + counted.encoding / 1e9)
    # With PickScore beside it
    nine = counts(configuration(9))
    assert peak_gigabytes(configuration(9), 1) == pytest.approx(1 + 3.9444 + nine.encoding / 1e9)


def test_on_a_cpu_weights_that_are_held_as_stored_are_read_after_the_encoding():
    """SD3.5-M in half precision, as published; SD1.5 is published in fp32."""
    sd35m, sd15 = (load_experiment(number, "true_size") for number in (8, 1))
    encoders = 0.248e9 + 1.39e9 + 9.526e9
    found = counts(sd35m)
    assert found.encoding == pytest.approx(encoders + found.average + 0.335e9, rel=1e-3)
    # And so is a reward: PickScore is read when the first image is scored.
    nine = load_experiment(9, "true_size")
    assert counts(nine).encoding < counts(nine).working(1) + 3.9444e9
    assert peak_gigabytes(nine) == pytest.approx(1 + 3.9444 + counts(nine).working(1) / 1e9)
    found = counts(sd15)
    assert found.encoding == pytest.approx(2 * (859.52e6 + 123.06e6 + 83.65e6), rel=2e-3)
    assert found.vae == 0  # it stays where it is, with the weights
    assert found.weights == pytest.approx(2 * (859.52e6 + 83.65e6), rel=2e-3)


def test_on_a_cpu_a_file_in_another_dtype_is_read_beside_the_weights():
    """Most of what a process needs that samples images of 512 x 512 one by one."""
    sd35m, sd15 = (load_experiment(number, "true_size") for number in (8, 7))
    both = 2 * (859.52e6 + 83.65e6) + 4 * 859.52e6
    assert counts(sd15).loading == pytest.approx(both, rel=2e-3)
    assert generation_gigabytes(sd15, []) == pytest.approx(1 + both / 1e9, rel=2e-3)
    assert counts(sd35m).loading == 0  # mapped as it is
    assert counts(load_experiment(7)).loading == 0  # a GPU does not have the file


def test_a_suggestion_divides_the_update_among_the_gpus():
    experiment = configuration(2, gpus=2)
    sizes = micro_batches(experiment)
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 128]  # 256 images, halved
    chosen = suggest_micro_batch(experiment, 40)
    assert chosen in sizes
    assert peak_gigabytes(experiment, chosen) <= 40 < peak_gigabytes(experiment, 2 * chosen)
    assert suggest_micro_batch(experiment, 3) == 0


def test_checkpointing_admits_more_images():
    assert suggest_micro_batch(configuration(1, activation_checkpointing=True), 24) > (
        suggest_micro_batch(configuration(1), 24)
    )


def test_a_larger_rollout_takes_less_than_a_larger_update():
    plain, rollout = configuration(1), configuration(1, rollout_batch=16)
    assert plain.batch.micro_batch == 8
    assert peak_gigabytes(plain) <= peak_gigabytes(rollout) < peak_gigabytes(plain, 16)
    assert peak_gigabytes(configuration(1, rollout_batch=128)) > peak_gigabytes(rollout)
    # An arm whose rollout and update share one forward does not use it.
    assert peak_gigabytes(rollout, arm=load_arm("pcpo")) == peak_gigabytes(plain)
    assert peak_gigabytes(rollout, arm=load_arm("baseline")) == peak_gigabytes(rollout)


def test_rewards_count_where_images_are_scored():
    experiment = configuration(1)
    none, two = (generation_gigabytes(experiment, names) for names in ((), ("hps", "ocr")))
    assert none > 2 * 0.8595  # the UNet in fp16
    assert two - none == pytest.approx(4 * 0.9861)


def test_trajectories_in_host_memory():
    # 512 images x (3 x 50 steps + the final latents) x 16,384 numbers in fp32; the baseline keeps
    # latents and next latents.
    experiment = configuration(2)
    pcpo, baseline = (host_gigabytes(experiment, load_arm(a)) for a in ("pcpo", "baseline"))
    assert pcpo == pytest.approx(512 * 151 * 16_384 * 4 / 1e9)
    assert baseline == pytest.approx(512 * 101 * 16_384 * 4 / 1e9)


@pytest.mark.parametrize("reward", architectures.CLIPS)
def test_the_networks_behind_rewards(reward):
    clip = architectures.clip(reward)
    side = clip.config.vision_config.image_size
    pixels = torch.empty(1, 3, side, side, device="meta")
    tokens = torch.zeros(1, 77, dtype=torch.long, device="meta")

    def score():
        with AsOnCuda(None):
            clip(input_ids=tokens, pixel_values=pixels)

    weights = sum(p.numel() for p in clip.parameters())
    assert REWARDS[reward].bytes == pytest.approx(4 * weights, rel=1e-3)
    assert REWARDS[reward].tflop == pytest.approx(flops(score) / 1e12, rel=0.06)


def test_published_sizes_of_clip():
    # openai/clip-vit-large-patch14: 427.6 M; open_clip ViT-H-14: 986.1 M
    for reward, expected in (("aesthetic", 427.6e6), ("hps", 986.1e6)):
        weights = sum(p.numel() for p in architectures.clip(reward).parameters())
        assert weights == pytest.approx(expected, rel=1e-3)


def test_importing_the_plan_loads_no_torch():
    code = "import sys, pcpo.cost.plan; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
