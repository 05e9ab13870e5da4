"""What the runs of a scale cost, before anything is spent: GPU-hours, memory, disk, images.

GPU-hours are counted FLOPs divided by the measured or assumed rate of a GPU. The FLOPs are
a floor: of a sampled image, a forward of the denoiser for each step (two with guidance), the VAE's
decoder and the reward; of a trained image and step, the forward and the gradient with respect to
activations (2 forwards with LoRA), that with respect to weights (3, where all are trained), and the
reference model's forward (1 more, with a KL term). The recomputation of activation checkpointing
is counted separately.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pcpo.assets import read_assets
from pcpo.assets.needs import needed, rewards_of
from pcpo.compared import COMPARED
from pcpo.config import Arm, Experiment, Scale, files, load_arm
from pcpo.config.gradients import measured_arms, measured_epochs, parts_of
from pcpo.config.reward_guidance import RewardGuidance, guided, seeds_of
from pcpo.cost.memory import (
    FP32,
    counts,
    forward_tflop,
    generation_gigabytes,
    host_gigabytes,
    peak_gigabytes,
    suggest_micro_batch,
)
from pcpo.cost.prompts import (
    embeddings_gigabytes,
    known_prompts,
    prompt_count,
    sampled_prompts,
)
from pcpo.cost.reward_cost import counted_as, own_reward, reward_cost, reward_module
from pcpo.cost.speed import Speed
from pcpo.figures.registry import COMPARED_BY_PEOPLE
from pcpo.preference.checkpoints import IMAGES_PER_PROMPT, Compared

__all__ = ["Plan", "Row", "make", "suggest_micro_batch", "totals"]

CARDS = (24, 40, 80, 141)  # GB of common GPUs
PNG_BYTES_PER_PIXEL = 1.5  # of 3 [assumed for photographs]
FID_FEATURES = 4 * 2048  # bytes of an image: Inception's pooled output
FEATURES_PER_IMAGE = FID_FEATURES + 4 * (1008 + 1024)  # its logits too, and DINOv2 ViT-L


@dataclass(frozen=True)
class Row:
    """One line of the plan: an arm's training runs, or what is done with an experiment's.

    That is its evaluation, its preference study, its reward guidance, or its gradients.

    micro_24 ... micro_141: the largest micro_batch that fits GPUs of so many GB; 0: none does.
    """

    experiment: str
    what: str
    runs: int
    images: int
    sampling_pflop: float
    training_pflop: float
    gpu_hours: float
    recompute_hours: float
    gpus: int
    micro_batch: int
    gpu_gb: float
    host_gb: float
    disk_gb: float
    micro_24: int
    micro_40: int
    micro_80: int
    micro_141: int


@dataclass(frozen=True)
class Plan:
    scale: str
    speed: Speed
    rows: list[Row]
    shared_gb: dict[str, float]  # disk that no single row owns
    compiled: list[str]  # experiments that run compiled
    approximate: dict[str, int]  # prompt sets whose number of prompts is assumed
    uncounted: dict[str, tuple[str, ...]]  # rewards without a size of their own: counted as these


def make(
    scale: Scale, experiments: Sequence[Experiment], seeds: Sequence[int], speed: Speed
) -> Plan:
    """The plan of a scale's experiments. Raises ValueError for a scale that trains its own models.

    Seconds to a minute: each distinct configuration is counted once.
    """
    if scale.synthetic:
        raise ValueError(
            f"scale {scale.name} trains its own small models, which the plan does not know; "
            "choose a scale of real weights (pilot, paper, original)"
        )
    rows, bases = [], set()
    mixed = guided(experiments)
    for experiment in experiments:
        runs = len(experiment.training_seeds(seeds))
        for arm in map(load_arm, experiment.arms):
            rows.append(_training(scale, experiment, arm, runs, speed))
        if experiment.measured:
            with_base = experiment.base_images not in bases
            bases.add(experiment.base_images)
            rows.append(_evaluation(scale, experiment, runs, with_base, speed))
            if experiment.number in COMPARED_BY_PEOPLE:
                rows.append(_preference(scale, experiment, speed))
        if measured_arms(experiment):
            rows.append(_gradients(experiment, runs, speed))
        if experiment.reward_guidance is not None and experiment.name in mixed:
            models = mixed[experiment.name]
            seeds_here = len(seeds_of(models, seeds))
            rows.append(_guidance(scale, experiment.reward_guidance, models, seeds_here, speed))
    shared = {
        "prompt embeddings": embeddings_gigabytes(scale, experiments, seeds),
        "downloads": _downloads_gigabytes(scale, experiments),
    }
    compiled = [e.name for e in experiments if e.execution.compile]
    approximate = {}
    for name in sorted({n for e in experiments for n in e.prompt_sets}):
        if known_prompts(name, scale) is None:
            approximate[name] = prompt_count(name, scale)
    uncounted = {}
    for name in sorted({n for e in experiments for n in rewards_of(scale, e)}):
        module = reward_module(scale, name)
        if counted_as(module) != (module,):
            uncounted[name] = counted_as(module)
    return Plan(scale.name, speed, rows, shared, compiled, approximate, uncounted)


def totals(plan: Plan) -> dict[str, float]:
    """images, gpu_hours, recompute_hours and disk_gb of everything."""
    summed = {
        key: float(sum(getattr(row, key) for row in plan.rows))
        for key in ("images", "gpu_hours", "recompute_hours", "disk_gb")
    }
    summed["disk_gb"] += sum(plan.shared_gb.values())
    return summed


def trained_steps(experiment: Experiment, arm: Arm) -> int:
    """Sampler steps on which an image is trained, of those to which the arm gives credit."""
    from pcpo.cost.architectures import scheduler_config
    from pcpo.credit import arm_sampler

    _, schedule = arm_sampler(experiment, arm, scheduler_config(experiment.model))
    return experiment.trained_count(arm, int(schedule.trained.sum()))


def sampling_tflop(experiment: Experiment, steps: int | None = None) -> float:
    """TFLOP to sample and score one image, in the training's steps or so many."""
    denoiser, decoder = forward_tflop(experiment)
    reward = own_reward(experiment).tflop
    return (steps or experiment.sampler.steps) * denoiser + decoder + reward


def training_tflop(experiment: Experiment, arm: Arm) -> float:
    """TFLOP to train on one image; recomputed activations are not counted."""
    forwards = (3 if experiment.lora is None else 2) + (experiment.kl_beta is not None)
    return trained_steps(experiment, arm) * forwards * forward_tflop(experiment)[0]


def validation_images(experiment: Experiment, scale: Scale) -> int:
    """Images of one run's validation: before the first epoch and after each `every`-th."""
    v = experiment.validation
    if v is None:
        return 0
    return min(v.count, prompt_count(v.prompts, scale)) * (1 + experiment.epochs // v.every)


def _training(scale: Scale, experiment: Experiment, arm: Arm, runs: int, speed: Speed) -> Row:
    e = experiment
    trained_images = runs * e.epochs * e.images_per_iteration
    validated = runs * validation_images(e, scale)
    images = trained_images + validated
    sampling, training = trained_images * sampling_tflop(e), trained_images * training_tflop(e, arm)
    if arm.needs_reference:  # in each step of the rollout
        sampling += trained_images * e.sampler.steps * forward_tflop(e)[0]
    if e.validation is not None:
        sampling += validated * sampling_tflop(e, e.validation.steps)
    again = trained_images * trained_steps(e, arm) * forward_tflop(e)[0]
    fitting = [suggest_micro_batch(e, gigabytes, arm) for gigabytes in CARDS]
    counted = counts(e)
    trained = counted.trained * FP32
    checkpoints = len(e.saved_epochs)
    # To resume from: weights, moments, average; the newest and the one before it.
    state = 2 * trained * (3 + (e.ema is not None))
    return Row(
        experiment=e.name,
        what=arm.name,
        runs=runs,
        images=images,
        sampling_pflop=sampling / 1e3,
        training_pflop=training / 1e3,
        gpu_hours=speed.hours(e.model, sampling, training),
        recompute_hours=(
            speed.hours(e.model, 0, again) if e.execution.activation_checkpointing else 0.0
        ),
        gpus=e.execution.gpus,
        micro_batch=e.batch.micro_batch,
        gpu_gb=peak_gigabytes(e, arm=arm),
        host_gb=host_gigabytes(e, arm),
        disk_gb=runs * (checkpoints * trained + state) / 1e9,
        micro_24=fitting[0],
        micro_40=fitting[1],
        micro_80=fitting[2],
        micro_141=fitting[3],
    )


def selection_images(experiment: Experiment, scale: Scale) -> int:
    """The most images that selection generates for the measured arms of one seed."""
    e, v = experiment, experiment.evaluation
    prompts = min(v.prompts, prompt_count(e.prompts, scale))
    near = 2 * (v.candidate_window // e.checkpoint_every) + 1
    candidates = min(max(near, 2), -(-e.epochs // e.checkpoint_every))
    others = len(e.measured) - 1
    full = 1 + others * min(candidates, 3)  # the baseline's checkpoint, at most three of another's
    screened = others * candidates if candidates > 3 else 0
    return prompts * (
        full * v.selection_images_per_prompt + screened * v.screening_images_per_prompt
    )


def alignment_checkpoints(experiment: Experiment) -> int:
    """The most checkpoints whose alignment images one seed makes: of a published and a matched pair
    of arms, which may be the same; without the base model."""
    return len(COMPARED) * (1 + (experiment.alignment_checkpoint is not None))


def _evaluation(
    scale: Scale, experiment: Experiment, runs: int, with_base: bool, speed: Speed
) -> Row:
    """Selection, images of the base model and of each measured arm, and the alignment tables."""
    e, v = experiment, experiment.evaluation
    prompts = min(v.prompts, prompt_count(e.prompts, scale))
    kept = prompts * v.images_per_prompt * (runs * len(e.measured) + with_base)
    asked = {n: len(sampled_prompts(n, v.alignment_prompts, scale)) for n in e.alignment}
    tests = sum(asked.values()) * v.alignment_images
    reward = own_reward(e).tflop
    tflop = sampling_tflop(e) - reward
    own = runs * selection_images(e, scale)
    models = 1 + alignment_checkpoints(e)
    scored = {name: runs * models * count for name, count in asked.items()}
    metrics = sum(
        count * v.alignment_images * reward_cost(reward_module(scale, key)).tflop
        for name, count in scored.items()
        for key in scale.alignment[name].values()
    )
    images = kept + own + runs * models * tests
    sampling = images * tflop + own * reward + metrics
    loaded = {key for name in e.alignment for key in scale.alignment[name].values()}
    memory = max(
        generation_gigabytes(e, [reward_module(scale, e.reward.name)]),  # selection
        generation_gigabytes(e, [reward_module(scale, key) for key in loaded]),
    )
    disk = kept * (PNG_BYTES_PER_PIXEL * e.sampler.resolution**2 + FEATURES_PER_IMAGE) / 1e9
    return _sampled(e, "evaluation", runs, images, sampling, speed, v.batch, memory, disk)


def _preference(scale: Scale, experiment: Experiment, speed: Speed) -> Row:
    """Pairs of images for people: training seeds share the images of a prompt.

    Of the published checkpoints. Runs without them sample more of the baseline's until two
    bracket PCPO's reward (`pcpo.preference.checkpoints.bracket`).
    """
    e = experiment
    prompts = min(e.evaluation.prompts, prompt_count(e.prompts, scale))
    images = prompts * IMAGES_PER_PROMPT * len(Compared._fields)
    memory = generation_gigabytes(e, [reward_module(scale, e.reward.name)])
    disk = images * PNG_BYTES_PER_PIXEL * e.sampler.resolution**2 / 1e9
    sampling, batch = images * sampling_tflop(e), e.evaluation.batch
    return _sampled(e, "preference study", 1, images, sampling, speed, batch, memory, disk)


def _sampled(
    experiment: Experiment,
    what: str,
    runs: int,
    images: int,
    sampling: float,
    speed: Speed,
    batch: int,
    memory: float,
    disk: float,
) -> Row:
    """A row without training. sampling: TFLOP; memory and disk: 10^9 bytes."""
    return Row(
        experiment=experiment.name,
        what=what,
        runs=runs,
        images=images,
        sampling_pflop=sampling / 1e3,
        training_pflop=0.0,
        gpu_hours=speed.hours(experiment.model, sampling, 0),
        recompute_hours=0.0,
        gpus=1,
        micro_batch=batch,
        gpu_gb=memory,
        host_gb=0.0,
        disk_gb=disk,
        **{f"micro_{card}": batch if memory <= card else 0 for card in CARDS},
    )


def _gradients(experiment: Experiment, runs: int, speed: Speed) -> Row:
    """The gradient of each timestep at checkpoints: one iteration each, in every trainable step.

    Each group of images has a forward and a backward pass of its micro-batch's whole shape.
    """
    e, arms = experiment, [load_arm(arm) for arm in measured_arms(experiment)]
    images = runs * len(arms) * len(measured_epochs(e)) * e.images_per_iteration
    trainable = e.sampler.steps - e.timesteps.skip_last
    share = parts_of(e.batch.micro_batch) * trainable
    sampling = images * sampling_tflop(e)
    training = images * training_tflop(e, arms[0]) / trained_steps(e, arms[0]) * share
    again = images * share * forward_tflop(e)[0]
    fitting = {f"micro_{card}": suggest_micro_batch(e, card) for card in CARDS}
    return Row(
        experiment=e.name,
        what="gradients",
        runs=runs * len(arms),
        images=images,
        sampling_pflop=sampling / 1e3,
        training_pflop=training / 1e3,
        gpu_hours=speed.hours(e.model, sampling, training),
        recompute_hours=(
            speed.hours(e.model, 0, again) if e.execution.activation_checkpointing else 0.0
        ),
        gpus=1,
        micro_batch=e.batch.micro_batch,
        gpu_gb=peak_gigabytes(e),
        # A gradient of each step, their sum, and the one of a group.
        host_gb=host_gigabytes(e, arms[0]) * e.execution.gpus
        + (trainable + 2) * counts(e).trained * FP32 / 1e9,
        disk_gb=0.0,
        **fitting,
    )


def mixed_predictions(guidance: RewardGuidance) -> int:
    """Predictions of one step for an image under each of the strengths.

    A prediction with a factor of 0 is not made (`pcpo.evaluation.reward_guidance.mixed`).
    """
    factors = [(1 - math.fsum(strengths), *strengths) for strengths in guidance.points]
    return sum(factor != 0 for each in factors for factor in each)


def _guidance(
    scale: Scale,
    guidance: RewardGuidance,
    models: Sequence[Experiment],
    runs: int,
    speed: Speed,
) -> Row:
    """Samples between the base model and the aligned `models`; all score them by their rewards."""
    e = models[0]
    asked = len(sampled_prompts(guidance.prompts, guidance.count, scale))
    of_point = asked * guidance.images_per_prompt
    images = runs * of_point * len(guidance.points)
    denoiser, decoder = forward_tflop(e)
    sampling = runs * of_point * mixed_predictions(guidance) * e.sampler.steps * denoiser
    sampling += images * (decoder + sum(own_reward(model).tflop for model in models))
    batch = min(e.evaluation.batch, of_point)
    rewards = {reward_module(scale, model.reward.name) for model in models}
    # The aligned weights, or adapters, beside the base model's.
    aligned = sum(counts(model).trained for model in models) * FP32
    memory = generation_gigabytes(e, rewards) + aligned / 1e9
    disk = images * (PNG_BYTES_PER_PIXEL * e.sampler.resolution**2 + FID_FEATURES) / 1e9
    return _sampled(e, "reward guidance", runs, images, sampling, speed, batch, memory, disk)


def _downloads_gigabytes(scale: Scale, experiments: Sequence[Experiment]) -> float:
    """Of the assets below data/ that the experiments need; 0 without config/assets.csv."""
    table = files.CONFIG / "assets.csv"
    assets = read_assets(table) if table.exists() else {}
    return sum(row.gigabytes for name in needed(scale, experiments) for row in assets.get(name, []))
