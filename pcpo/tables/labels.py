"""Printed labels of the names in frames and configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

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
}
# Table 7's reward of each configuration, as Table 10 writes it.
REWARDS = {1: "Aesthetics", 2: "Aesthetics", 3: "BERTScore", 4: "BERTScore", 5: "HPSv2.1"}
REWARDS |= {6: "HPSv2.1", 7: "PickScore", 8: "OCR", 9: "PickScore", 10: "HPSv2.1"}

# The paper's row labels where an experiment is not among those given.
_PAPER = {
    1: ("ddpo", "sd15", 256, 2),
    2: ("ddpo", "sd15", 512, 2),
    3: ("ddpo", "sd15", 288, 2),
    4: ("ddpo", "sd15", 576, 2),
    5: ("dancegrpo", "sd14", 512, 2),
    6: ("dancegrpo", "flux", 384, 4),
    7: ("dancegrpo", "sd15", 512, 2),
}


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
    algorithm, model, _, _ = _facts(number, experiment)
    return f"{ALGORITHMS.get(algorithm, algorithm)} ({MODELS.get(model, model)})"


def algorithm_label(number: int, experiment: Any | None) -> str:
    algorithm = _facts(number, experiment)[0]
    return ALGORITHMS.get(algorithm, algorithm)


def model_label(number: int, experiment: Any | None) -> str:
    model = _facts(number, experiment)[1]
    return MODELS.get(model, model)


def images_per_iteration(number: int, experiment: Any | None) -> int:
    return int(_facts(number, experiment)[2])


def setting(number: int, experiment: Any | None) -> str:
    """E.g. Aesthetics (512/256): images an epoch / images an update for DDPO, else the reward."""
    algorithm, _, images, updates = _facts(number, experiment)
    reward = REWARDS[number]
    return f"{reward} ({images}/{images // updates})" if algorithm == "ddpo" else reward


def measured_label(metric: str, measured: Iterable[str]) -> str:
    """The text below the header of column `metric`; empty where the header has the same words."""
    found = sorted({m for m in measured if isinstance(m, str)})  # NaN: not given
    plain = {metric.lower(), METRICS.get(metric, metric).lower()}
    return " / ".join(m for m in found if m.lower() not in plain)


def _facts(number: int, experiment: Any | None) -> tuple[str, str, int, int]:
    if experiment is None:
        return _PAPER[number]
    return (
        experiment.algorithm,
        experiment.model,
        experiment.images_per_iteration,
        experiment.gradient_updates,
    )
