"""Speed of whole training iterations on a GPU, with random weights of the real architectures.

Two orders of work:

ours      `pcpo.training.loop.train`, compiled, with the largest micro-batch that the memory plan
          suggests, the arm `pcpo`;
official  `pcpo.cost.official_order`, eager, with the published batch sizes, FLUX with recomputed
          activations.

Speed does not depend on what weights have learnt. Step counts are those of the experiment, or fewer
(`with_steps`); an iteration has fewer images (`images`), all of them in one gradient update.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pcpo.config import Experiment, load_arm, load_experiment
from pcpo.cost import architectures
from pcpo.cost.counting import count_as_on, flops
from pcpo.cost.iteration_time import PROMPTS, REPEATS, Seconds, Stopwatch, measure
from pcpo.cost.memory import decode_call, predict_call, suggest_micro_batch
from pcpo.cost.official_order import OfficialOrder
from pcpo.cost.plan import trained_steps
from pcpo.cost.reward_cost import REWARDS
from pcpo.policies.base import Policy
from pcpo.prompts.draws import derive_seed
from pcpo.training.run import Reward

EXPERIMENTS = (2, 5, 9, 6)  # SD1.5 LoRA, SD1.4 full, SD3.5-M LoRA with KL, FLUX LoRA
LARGEST = 16  # images of one forward, where memory allows more
OFFICIAL = "paper"  # the scale at which `batch.micro_batch` is that of the public loops
# Images of a forward in training, for the loop in which they are fewer: ddpo config/dgx.py.
OFFICIAL_TRAINING = {"ddpo": 4}


@dataclass(frozen=True)
class Measurement:
    """A row of the table; shares are of `matrix_tflops`, recomputation not counted."""

    toy: bool  # small architectures: to try the command
    device: str
    torch: str
    cuda: str
    experiment: str
    model: str
    order: str
    images: int
    micro_batch: int
    steps: int
    trained_steps: int
    repeats: int  # iterations measured after the first
    compiled: bool
    activation_checkpointing: bool
    matrix_tflops: float
    iteration_s: float
    sampling_s: float
    reward_s: float
    update_s: float
    sampling_images_per_s: float
    training_images_per_s: float
    images_per_s: float
    peak_gb: float
    sampling_share: float
    training_share: float
    iteration_share: float


def batch_of(experiment: Experiment, images: int, micro_batch: int) -> Experiment:
    """The experiment with so many images an iteration, all in one update, and no validation."""
    grouped = experiment.batch.prompts_per_iteration is not None
    batch = experiment.batch.model_copy(
        update={
            "images_per_iteration": images,
            "gradient_updates": 1,
            "micro_batch": micro_batch,
            "prompts_per_iteration": 1 if grouped else None,
            "images_per_prompt": images if grouped else None,
        }
    )
    return experiment.model_copy(update={"batch": batch, "validation": None})


def with_execution(experiment: Experiment, **keys: Any) -> Experiment:
    """The experiment on one GPU, with other execution keys."""
    keys = {"gpus": 1, "sharding": "none", **keys}
    return experiment.model_copy(update={"execution": experiment.execution.model_copy(update=keys)})


def with_steps(experiment: Experiment, steps: int) -> Experiment:
    """The experiment with so many sampler steps: minutes instead of hours.

    Time and FLOPs of a step stay; decoding and reward take a larger share of an iteration.
    """
    sampler = experiment.sampler.model_copy(update={"steps": steps})
    return experiment.model_copy(update={"sampler": sampler})


def toy(experiment: Experiment) -> Experiment:
    """Sizes at which a CPU runs the small architectures in seconds."""
    sampler = experiment.sampler.model_copy(update={"resolution": 32, "steps": 4})
    return experiment.model_copy(update={"sampler": sampler, "precision": "fp32"})


def bench(
    experiment: Experiment, device: str, peak: float, small: bool = False, repeats: int = REPEATS
) -> list[Measurement]:
    """Measure an experiment in both orders of work.

    peak: the device's `matrix_tflops`. repeats: iterations measured after the first.

    Raises ValueError for a reward without a network of a known size (BERTScore, OCR, ImageReward)
    and where the memory plan knows no micro-batch that fits.
    """
    unet = experiment.model in ("sd14", "sd15")
    ours = with_execution(
        toy(experiment) if small else experiment,
        compile=not small,
        channels_last=unet,
        activation_checkpointing=False,
    )
    eager = with_execution(
        toy(experiment) if small else experiment,
        compile=False,
        channels_last=False,
        activation_checkpointing=experiment.model == "flux",
    )
    sample = load_experiment(experiment.name, OFFICIAL).batch.micro_batch
    update = OFFICIAL_TRAINING.get(experiment.algorithm, sample)
    if small:
        size, sample, update = 2, min(sample, 2), min(update, 1)
    else:
        size = _largest(ours, device)
    images = max(2 * size, sample, update)  # all powers of two

    return [
        _measured(batch_of(ours, images, size), None, device, peak, small, repeats),
        _measured(batch_of(eager, images, update), sample, device, peak, small, repeats),
    ]


def _largest(experiment: Experiment, device: str) -> int:
    """The largest power of two that the memory plan lets a micro-batch be."""
    gigabytes = torch.cuda.get_device_properties(device).total_memory / 1e9
    fits = min(suggest_micro_batch(experiment, gigabytes), LARGEST)
    if fits == 0:
        raise ValueError(
            f"{experiment.name}: the plan knows no batch.micro_batch that fits this GPU's "
            f"{gigabytes:.0f} GB; leave the experiment out"
        )
    return 1 << (fits.bit_length() - 1)


def _measured(
    experiment: Experiment,
    sample: int | None,
    device: str,
    peak: float,
    small: bool,
    repeats: int,
) -> Measurement:
    """In our order of work, or in the official one with so many images of a forward in sampling."""
    e = experiment
    arm = load_arm("pcpo" if sample is None else "baseline")
    cuda = torch.device(device).type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.manual_seed(0)  # the same weights in both orders
        policy = architectures.policy(e, device=device, small=small)
        reward = ClipReward(e.reward.name, device, small)
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    if sample is None:
        seconds = measure(policy, e, arm, reward, repeats + 1)
    else:
        seconds = _official(policy, e, reward, sample, repeats + 1)
    used = torch.cuda.max_memory_allocated(device) / 1e9 if cuda else 0.0
    del policy, reward
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
        torch.compiler.reset()

    forward, decode = _flops(e, small)
    sampling = seconds.images * (e.sampler.steps * forward + decode)
    scoring = 0.0 if small else seconds.images * REWARDS[e.reward.name].tflop * 1e12
    forwards = (3 if e.lora is None else 2) + (e.kl_beta is not None)
    training = seconds.images * trained_steps(e, arm) * forwards * forward
    rate = peak * 1e12
    return Measurement(
        toy=small,
        device=torch.cuda.get_device_name(device) if cuda else "CPU",
        torch=torch.__version__,
        cuda=torch.version.cuda or "",
        experiment=e.name,
        model=e.model,
        order="ours" if sample is None else "official",
        images=seconds.images,
        micro_batch=e.batch.micro_batch,
        steps=e.sampler.steps,
        trained_steps=trained_steps(e, arm),
        repeats=repeats,
        compiled=e.execution.compile,
        activation_checkpointing=e.execution.activation_checkpointing,
        matrix_tflops=peak,
        iteration_s=seconds.iteration,
        sampling_s=seconds.sampling,
        reward_s=seconds.reward,
        update_s=seconds.update,
        sampling_images_per_s=seconds.images / (seconds.sampling + seconds.reward),
        training_images_per_s=seconds.images / seconds.update,
        images_per_s=seconds.images / seconds.iteration,
        peak_gb=used,
        sampling_share=(sampling + scoring) / (seconds.sampling + seconds.reward) / rate,
        training_share=training / seconds.update / rate,
        iteration_share=(sampling + scoring + training) / seconds.iteration / rate,
    )


def _official(
    policy: Policy, experiment: Experiment, reward: Reward, sample: int, iterations: int
) -> Seconds:
    """Median seconds of an iteration in the official order of work, the first one left out."""
    watch = Stopwatch(reward, policy.device)
    size = experiment.batch.micro_batch
    order = OfficialOrder(policy, experiment, watch, PROMPTS, sample=sample, train=size)
    for _ in range(iterations):
        watch.start()
        order.epoch()
        watch.lap(experiment.images_per_iteration)
    return Seconds.median(watch.laps[1:])


def _flops(experiment: Experiment, small: bool) -> tuple[int, int]:
    """FLOPs of one image's guided prediction and of its decoding, counted on the meta device."""
    policy = architectures.policy(experiment, device="meta", train=False, small=small)
    count_as_on(policy, "cuda")
    predict, decode = predict_call(experiment, policy, 1), decode_call(policy, "cuda")
    return flops(torch.no_grad()(predict)), flops(decode)


class ClipReward:
    """The network behind a reward with random weights: cosine of image and text, by its real size.

    Images are resized on the device. Scores mean nothing, but differ from image to image.
    """

    def __init__(self, name: str, device: str, small: bool = False) -> None:
        self.clip = architectures.clip(name, device=device, small=small)
        self.device = device

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        config = self.clip.config
        side, vocabulary = config.vision_config.image_size, config.text_config.vocab_size
        pixels = functional.interpolate(
            images.to(self.device).float() / 127.5 - 1, (side, side), mode="bicubic", antialias=True
        )
        length = config.text_config.max_position_embeddings
        tokens = torch.tensor(
            [[derive_seed(prompt, i) % vocabulary for i in range(length)] for prompt in prompts]
        )
        output = self.clip(input_ids=tokens.to(self.device), pixel_values=pixels)
        return (output.image_embeds * output.text_embeds).sum(-1).double().cpu()
