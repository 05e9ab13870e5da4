"""Printed labels of the names in frames and configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

MODELS = {"sd14": "SD1.4", "sd15": "SD1.5", "sd35m": "SD3.5-M", "flux": "FLUX"}
ALGORITHMS = {"ddpo": "DDPO", "dancegrpo": "DanceGRPO", "flow_grpo": "Flow-GRPO"}
METRICS = {
    "fid": "FID",
    "fd_dinov2": "FD-DINOv2",
    "is_star": "IS*",
    "lpips_diversity": "LPIPS diversity",
}
SCORES = {
    "hpsv2_1": "HPSv2.1",
    "hpsv2": "HPSv2",
    "aesthetic": "Aesthetic",
    "clipscore": "CLIPScore",
    "pickscore": "PickScore",
    "imagereward": "ImageReward",
}
ARMS = {
    "base": "Base model",
    "baseline": "Baseline",
    "log_hinge": "+ log-hinge",
    "matching": "+ matching",
    "pcpo": "PCPO",
    "pcpo_exact": "PCPO, Eq. (6) solved",
    "reweight": "PCPO, native sampler",
    "variance_only": "PCPO's variance alone",
    "lambda": "PCPO, scaled prediction",
    "drop_largest": "largest step untrained",
    "inverse_square": "PCPO, inverse-square weights",
    "baseline_fp32": "Baseline, fp32 latents",
    "log_hinge_fp32": "+ log-hinge, fp32 latents",
    "uniform": "uniform weights",
    "half_timesteps": "half of the timesteps",
    "credit_only": "PCPO's credit alone",
    "region_only": "PCPO's trust region alone",
    "reweight_matched": "PCPO, matched clipping",
    "reweight_per_step": "PCPO, clip range by step",
    "native_unclipped": "native credit, unclipped",
    "reweight_unclipped": "PCPO, unclipped",
    "tempflow": "TempFlow-GRPO",
    "grpo_guard": "GRPO-Guard",
    "fair_clip": "fair clip",
    "fair_clip_2": "fair clip 2",
    "matching_higher": "native credit, higher upper bound",
    "reweight_higher": "PCPO, higher upper bound",
    "matching_balanced": "native credit, balanced clipping",
    "reweight_balanced": "PCPO, balanced clipping",
    "matching_tenfold": "native credit, ten times the loss",
    "matching_tenth": "native credit, a tenth of the loss",
    "solved_sampler": "proportional sampler",
    "cps_loss": "FlowCPS's own weights",
    "baseline_kl0": "Baseline, no KL",
    "baseline_kl4": "Baseline, four times the KL",
    "pcpo_kl0": "PCPO, no KL",
    "pcpo_kl4": "PCPO, four times the KL",
    "matching_window": "native credit, window of steps",
    "reweight_window": "PCPO, window of steps",
}


class Configuration(NamedTuple):
    """A column of the paper's Table 7, as far as rows of other tables are named after it."""

    algorithm: str
    model: str
    reward: str  # as Table 10 writes it
    images: int  # an iteration
    updates: int  # of the weights in an iteration


# An experiment's own values replace it where they are given; its reward is written as here.
PAPER = {
    1: Configuration("ddpo", "sd15", "Aesthetics", 256, 2),
    2: Configuration("ddpo", "sd15", "Aesthetics", 512, 2),
    3: Configuration("ddpo", "sd15", "BERTScore", 288, 2),
    4: Configuration("ddpo", "sd15", "BERTScore", 576, 2),
    5: Configuration("dancegrpo", "sd14", "HPSv2.1", 512, 2),
    6: Configuration("dancegrpo", "flux", "HPSv2.1", 384, 4),
    7: Configuration("dancegrpo", "sd15", "PickScore", 512, 2),
    8: Configuration("flow_grpo", "sd35m", "OCR", 64, 2),
    9: Configuration("flow_grpo", "sd35m", "PickScore", 512, 2),
    10: Configuration("dancegrpo", "flux", "HPSv2.1", 384, 4),
}
REWARDS = {number: paper.reward for number, paper in PAPER.items()}
# As Table 1 writes them.
SHORT_REWARDS = {number: {"HPSv2.1": "HPS"}.get(name, name) for number, name in REWARDS.items()}


def by_number(experiments: Iterable[Any]) -> dict[int, Any]:
    """Experiments by their number in Table 7; ValueError if two have the same."""
    numbered: dict[int, Any] = {}
    for experiment in experiments:
        if experiment.number in numbered:
            raise ValueError(
                f"experiments '{numbered[experiment.number].name}' and '{experiment.name}' "
                f"both have number {experiment.number}"
            )
        numbered[experiment.number] = experiment
    return numbered


def scale_of(experiments: Sequence[Any]) -> str:
    """The one scale of all experiments; ValueError if they differ or there are none."""
    scales = {experiment.scale for experiment in experiments}
    if len(scales) != 1:
        raise ValueError(f"a table needs experiments of one scale, got {sorted(scales)}")
    return scales.pop()


def framework(number: int, experiment: Any | None) -> str:
    """As in Table 10, e.g. DDPO (SD1.5)."""
    return f"{algorithm_label(number, experiment)} ({model_label(number, experiment)})"


def baseline(number: int, experiment: Any | None, numbers: Sequence[int]) -> str:
    """As in Table 1: the algorithm, and the model where it has several among `numbers`."""
    own = PAPER[number].algorithm
    models = {PAPER[n].model for n in numbers if PAPER[n].algorithm == own}
    label = framework if len(models) > 1 else algorithm_label
    return label(number, experiment)


def algorithm_label(number: int, experiment: Any | None) -> str:
    algorithm = PAPER[number].algorithm if experiment is None else experiment.algorithm
    return ALGORITHMS.get(algorithm, algorithm)


def model_label(number: int, experiment: Any | None) -> str:
    model = PAPER[number].model if experiment is None else experiment.model
    return MODELS.get(model, model)


def images_per_iteration(number: int, experiment: Any | None) -> int:
    return PAPER[number].images if experiment is None else int(experiment.images_per_iteration)


def setting(number: int, experiment: Any | None) -> str:
    """The reward, and images an iteration / images an update where these tell two apart.

    E.g. Aesthetics (512/256): configuration 1 differs from 2 in them alone.
    """
    reward = REWARDS[number]
    sizes = {p.images for p in PAPER.values() if p[:3] == PAPER[number][:3]}
    if len(sizes) == 1:
        return reward
    images = images_per_iteration(number, experiment)
    updates = PAPER[number].updates if experiment is None else experiment.gradient_updates
    return f"{reward} ({images}/{images // updates})"


def measured_label(metric: str, measured: Iterable[str]) -> str:
    """The text below the header of column `metric`; empty where the header has the same words."""
    found = sorted({m for m in measured if isinstance(m, str)})  # NaN: not given
    plain = {metric.lower(), METRICS.get(metric, metric).lower()}
    return " / ".join(m for m in found if m.lower() not in plain)
