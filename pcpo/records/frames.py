"""The tidy tables that rules pass to one another: columns, units and keys, in one place.

`pcpo.records.frame_file` writes and reads them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FrameSpec:
    """`columns` maps a column's name to its dtype kind: i(nteger), f(loat), s(tring), b(oolean).

    of_scale: False for a frame that is the same at every scale.
    """

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]
    of_scale: bool = True


_RUN = {"experiment": "s", "arm": "s", "seed": "i"}

# One row per gradient update of a training run.
UPDATES = FrameSpec(
    "updates",
    ("experiment", "arm", "seed", "epoch", "update"),
    _RUN
    | {
        "epoch": "i",  # 1-based; sampling and the gradient updates on it: the paper's iteration
        "update": "i",  # 1-based within the epoch; update 1 is on-policy
        "loss": "f",
        "reward_mean": "f",  # over all images of the epoch (the same in each of its updates)
        "reward_std": "f",
        "images": "i",  # images sampled in the epoch
        "ratio_from": "s",  # sampler or matching: how the arm computes its log ratio
        "clip_fraction": "f",  # two-sided: mean(|log ratio| > clip range) over this update
        "gated_fraction": "f",  # one-sided: share of terms whose gradient is off
        "log_ratio_mean": "f",
        "log_ratio_std": "f",
        "ratio_mean": "f",
        "ratio_std": "f",
        "log_ratio_q00": "f",  # quantiles of the log ratio over images and trained timesteps
        "log_ratio_q01": "f",
        "log_ratio_q05": "f",
        "log_ratio_q25": "f",
        "log_ratio_q50": "f",
        "log_ratio_q75": "f",
        "log_ratio_q95": "f",
        "log_ratio_q99": "f",
        "log_ratio_q100": "f",
        "clip_range": "f",
        "grad_norm": "f",  # before clipping
        "gradient_abs_mean": "f",  # mean and variance of |g| over the denoiser's first trained
        "gradient_abs_var": "f",  # layer, before clipping (Figure 11)
        "kl": "f",  # Flow-GRPO's estimate; NaN where the experiment has no KL term
        "learning_rate": "f",
        "seconds": "f",  # wall time of the update; update 1 includes the sampling of the epoch
    },
)

# One row per gradient update and sampler step that it trained.
TIMESTEPS = FrameSpec(
    "timesteps",
    ("experiment", "arm", "seed", "epoch", "update", "step"),
    _RUN
    | {
        "epoch": "i",
        "update": "i",
        "step": "i",  # 0-based, sampling order (noisy first)
        "timestep": "f",  # 0..1000
        "terms": "i",  # images that trained this step
        "log_ratio_mean": "f",
        "log_ratio_std": "f",
        "clip_fraction": "f",  # two-sided, as in UPDATES
        "gated_fraction": "f",  # one-sided
    },
)

# One row per validation: the reward on fixed prompts, with the weights that checkpoints contain.
VALIDATION = FrameSpec(
    "validation",
    ("experiment", "arm", "seed", "epoch"),
    _RUN
    | {
        "epoch": "i",  # 0: the base model
        "images": "i",
        "reward_mean": "f",
        "reward_std": "f",
    },
)

# The on-policy gradient of each trained step at a checkpoint (`pcpo.training.step_gradients`), and
# of all of them together: their sum, with neither timestep nor weight.
WHOLE = -1  # the step of that row
GRADIENTS = FrameSpec(
    "gradients",
    ("experiment", "arm", "seed", "epoch", "step"),
    _RUN
    | {
        "epoch": "i",  # of the checkpoint; 0: the base model
        "step": "i",  # 0-based, sampling order (noisy first); WHOLE: all together
        "timestep": "f",  # 0..1000
        "weight": "f",  # w with which the arm trains
        "groups": "i",  # groups of images whose gradients were compared
        "grad_norm": "f",  # of the mean gradient over all images
        "gradient_abs_mean": "f",  # mean and variance of its |g| over all trained parameters
        "gradient_abs_var": "f",
        "cosine": "f",  # with the gradient of all trained steps together
        # |mean|^2 over its variance, as the groups have it: 1 is noise alone. NaN: no variance.
        "signal_to_noise": "f",
    },
)

# At which sampler steps a reward is decided, on images of a base model (`pcpo.cli.decided`).
DECIDED = FrameSpec(
    "decided",
    ("experiment", "reward", "steps"),
    {
        "experiment": "s",
        "reward": "s",
        "steps": "i",  # how many of the sampler's, the noisiest first; 0: the initial noise alone
        "share": "f",  # of the reward's variance within a prompt that is decided by them
        "se": "f",  # of the share, over prompts
        "images": "i",
    },
)

_SCHEDULE = {
    "step": "i",  # 0-based, sampling order (noisy first)
    "timestep": "f",  # 0..1000
    "interval": "f",  # integration interval: 1/T for diffusion, dt for flow
    "sigma": "f",  # standard deviation added by the step
    "native_sigma": "f",
    "native_weight": "f",  # w of Eq. (4) / (8)
    "weight": "f",  # w with which the arm trains
    "own_weight": "f",  # w of the sampler with the arm's sigma
    "sum_weight": "f",  # DDIM: (c1 + c2) / sigma of that sampler; NaN for flow
    "trained": "b",
    "feasible": "b",  # whether the arm's equation has a solution sigma
}

# One row per timestep of a sampler under an arm's credit schedule.
CREDIT = FrameSpec(
    "credit",
    ("experiment", "arm", "step"),
    {"experiment": "s", "arm": "s"} | _SCHEDULE,
)

# The same on the paper's own samplers, at every scale (Figure 2).
READINGS = FrameSpec(
    "readings",
    ("sampler", "reading", "step"),
    {"sampler": "s", "reading": "s"}  # ddim_50, dance_16, flow_10; an arm
    | _SCHEDULE
    | {"target": "f"},  # the number that defines the schedule (pcpo.credit.CreditSchedule)
    of_scale=False,
)

# One row per experiment, arm and seed: which checkpoint is selected, and why.
SELECTION = FrameSpec(
    "selection",
    ("experiment", "arm", "seed"),
    _RUN
    | {
        "level": "f",  # reward level tau at which the runs are compared
        "level_reached": "b",
        "crossing_epoch": "i",  # first crossing of the trailing mean; -1 if never
        "epoch": "i",  # the selected checkpoint
        "selection_reward": "f",
        "selection_reward_se": "f",
        "difference": "f",  # to the baseline's selection reward, paired by (prompt, image seed)
        "difference_se": "f",
        "tolerance": "f",
        "matched": "b",
        "bracketed": "b",  # sparse checkpoints: nearest with a reward not below the baseline's
        "reason": "s",
    },
)

# Metrics of a policy's evaluation images against the base model's, one row per metric.
# arm is "base", "baseline", "pcpo", ...; `metric` is the column of the paper's table
# (fid, fd_dinov2, is_star, lpips_diversity), `measured` names the metric that was computed.
_METRIC = _RUN | {
    "metric": "s",
    "measured": "s",
    "value": "f",
    "images": "i",
    "reference_images": "i",
    "dimensions": "i",  # of the features
}
METRICS_OVERALL = FrameSpec("metrics_overall", ("experiment", "arm", "seed", "metric"), _METRIC)
# The same of last checkpoints, which do not have the same reward (`pcpo.cli.ends`); epoch 0 is the
# base model's images against themselves.
ENDS = FrameSpec("ends", ("experiment", "arm", "seed", "metric"), _METRIC | {"epoch": "i"})
# The same of a base model's images by other samplers than its native one, whose images they are
# compared with (`pcpo.cli.samplers_compared`). The sampler `native` is that one with other noise.
SAMPLERS = FrameSpec(
    "samplers",
    ("experiment", "sampler", "metric"),
    {"experiment": "s", "sampler": "s"}
    | {key: kind for key, kind in _METRIC.items() if key not in _RUN},
)
METRICS_PER_PROMPT = FrameSpec(
    "metrics_per_prompt",
    ("experiment", "arm", "seed", "metric", "prompt_id"),
    _METRIC | {"prompt_id": "i", "prompt": "s"},
)

# Alignment scores of Tables 5 and 9, one row per image and score. `checkpoint` names the pair of
# the arm's checkpoint: "published" (the epochs that the paper compares, or the last checkpoints up
# to them), "matched" (those of `SELECTION`); "base" for the base model. A checkpoint in both pairs
# has both rows, with the same values.
ALIGNMENT = FrameSpec(
    "alignment",
    ("experiment", "arm", "seed", "checkpoint", "dataset", "score", "prompt_id", "image"),
    _RUN
    | {
        "checkpoint": "s",  # published, matched or base
        "epoch": "i",  # of the checkpoint; 0 for the base model
        "dataset": "s",  # coco, mjhq, pick_eval
        "score": "s",  # hpsv2_1, hpsv2, aesthetic, clipscore, pickscore, imagereward
        "prompt_id": "i",
        "image": "i",  # image seed within the prompt
        "value": "f",
    },
)

# Answers of people in the preference study (appendix B.3.3), one row per question and category.
# The rows of a rater are one session; nobody knows who it was.
PREFERENCE = FrameSpec(
    "preference",
    ("experiment", "rater", "position", "category"),
    {
        "experiment": "s",
        "rater": "i",  # 1, 2, ...
        "device": "s",  # phone, tablet, desktop
        "position": "i",  # of the question in the session, from 1
        # pair; repeat: an earlier pair with its sides exchanged; check: an image and a damaged copy
        "kind": "s",
        "category": "s",  # overall, quality, alignment
        # Of the baseline's checkpoint: lower_reward or higher_reward than PCPO's; none for checks.
        "comparison": "s",
        "seed": "i",  # of the training runs that made the images
        "pcpo_epoch": "i",
        "baseline_epoch": "i",
        "prompt_id": "i",
        "image_seed": "i",  # image of the prompt
        "side": "s",  # left or right: where PCPO's image was, in a check the intact one
        "preferred": "s",  # pcpo, baseline or tie; in a check intact, damaged or tie
        "seconds": "f",  # from the question to the answer, for all categories together
    },
)

# Images between a base model and aligned ones (`pcpo.config.reward_guidance`), one row per point of
# strengths, measure and prompt; a distance is over all images, with prompt_id -1.
REWARD_GUIDANCE = FrameSpec(
    "reward_guidance",
    ("experiment", "seed", "strength", "beside_strength", "measure", "prompt_id"),
    _RUN
    | {
        "strength": "f",  # of the experiment's aligned model: 0 is the base model, 1 that model
        "beside_strength": "f",  # of the model that it is mixed with; 0 where there is none
        "measure": "s",  # a reward, or a metric column: the distance to the base model's images
        "measured": "s",  # what was computed
        "prompt_id": "i",  # -1: over all images
        "value": "f",  # of a reward: the mean of the prompt's images
        "images": "i",
    },
)

# The names that rules and commands use for the frames of tables, figures and claims.
BY_NAME = {
    "updates": UPDATES,
    "timesteps": TIMESTEPS,
    "validation": VALIDATION,
    "gradients": GRADIENTS,
    "overall": METRICS_OVERALL,
    "per_prompt": METRICS_PER_PROMPT,
    "selection": SELECTION,
    "alignment": ALIGNMENT,
    "credit": CREDIT,
    "readings": READINGS,
    "preference": PREFERENCE,
    "reward_guidance": REWARD_GUIDANCE,
}
