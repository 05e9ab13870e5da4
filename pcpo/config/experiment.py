"""An experiment: one column of Table 7, with every value that its runs depend on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pcpo.compared import COMPARED
from pcpo.config.arms import Arm, load_arm
from pcpo.config.declared import Declarations
from pcpo.config.execution import Execution
from pcpo.config.files import Name, Record
from pcpo.config.gradients import Gradients, measured_epochs
from pcpo.config.reward_guidance import RewardGuidance
from pcpo.records.digest import SHORT, of_json


class Reward(Record):
    name: Name
    # Constructor options of the reward class that belong to the method, e.g. the training scale.
    options: dict[str, Any] = Field(default_factory=dict)


class Sampler(Record):
    kind: Literal["ddim", "dance_sde", "flow_grpo_sde", "flow_cps"]
    steps: int = Field(gt=1)
    noise_level: float = Field(gt=0)  # eta of DDIM, DanceGRPO and FlowCPS, a of Flow-GRPO
    guidance_scale: float = Field(ge=1)  # classifier-free guidance; 1 is off
    embedded_guidance: float | None = None  # FLUX.1-dev's distilled guidance input
    resolution: int = Field(gt=0)  # pixels
    shift: float | None = None  # of the flow's timesteps; None takes the scheduler's own
    initial_noise_groups: int = 0  # so many initial noises shared in an iteration; 0: one per image
    storage_dtype: Literal["float32", "float16", "bfloat16"]  # of the original's stored latents

    @model_validator(mode="after")
    def _quarter_turn(self) -> Sampler:
        if self.kind == "flow_cps" and self.noise_level > 1:
            raise ValueError(
                f"noise_level: for flow_cps at most 1, or 90 degrees; got {self.noise_level:g}"
            )
        return self


class Batch(Record):
    prompts_per_iteration: int | None = None  # None: one random prompt per image, as DDPO
    images_per_prompt: int | None = None
    images_per_iteration: int = Field(gt=0)
    gradient_updates: int = Field(gt=0)
    micro_batch: int = Field(gt=0)  # images of one forward, in the rollout and in the update
    # True: the images of an iteration are in random order, and an update has images of any prompt.
    # False: the images of a prompt are in sequence, and an update has whole groups.
    shuffle: bool = False

    @model_validator(mode="after")
    def _arithmetic(self) -> Batch:
        if (self.prompts_per_iteration is None) != (self.images_per_prompt is None):
            raise ValueError("prompts_per_iteration and images_per_prompt go together")
        if self.shuffle and self.prompts_per_iteration is None:
            raise ValueError(
                "shuffle needs prompts_per_iteration: without it each image has a random prompt, "
                "and the order is random already"
            )
        if self.prompts_per_iteration is not None and self.images_per_prompt is not None:
            product = self.prompts_per_iteration * self.images_per_prompt
            if product != self.images_per_iteration:
                raise ValueError(
                    f"images_per_iteration is {self.images_per_iteration}, but "
                    f"{self.prompts_per_iteration} prompts x {self.images_per_prompt} images "
                    f"are {product}"
                )
        if self.images_per_iteration % self.gradient_updates:
            raise ValueError(
                f"images_per_iteration ({self.images_per_iteration}) does not divide into "
                f"{self.gradient_updates} gradient_updates"
            )
        if self.images_per_update % self.micro_batch:
            raise ValueError(
                f"an update of {self.images_per_update} images does not divide into "
                f"micro-batches of {self.micro_batch} (micro_batch)"
            )
        return self

    @property
    def images_per_update(self) -> int:
        return self.images_per_iteration // self.gradient_updates


ADVANTAGES = Declarations("advantages.py", "kind")


class Advantage(Record):
    kind: Annotated[str, ADVANTAGES]
    epsilon: float
    clip: float = Field(gt=0)
    buffer: int = 32  # per_prompt_running only: rewards remembered per prompt
    min_count: int = 16  # below it, the whole batch's mean and std are used

    @property
    def grouped(self) -> bool:
        """Whether it needs several images of each prompt in an iteration."""
        (declaration,) = (d for d in ADVANTAGES.all() if d.name == self.kind)
        return bool(declaration.keywords.get("grouped", True))


class Timesteps(Record):
    skip_last: bool  # DanceGRPO and Flow-GRPO never train the last step
    fraction: float = Field(gt=0, le=1)  # share of the trainable steps drawn for each image


class Optimizer(Record):
    learning_rate: float = Field(gt=0)
    betas: tuple[float, float]
    weight_decay: float
    epsilon: float
    max_grad_norm: float = Field(gt=0)


class LoRA(Record):
    rank: int = Field(gt=0)
    alpha: int = Field(gt=0)
    init: Literal["gaussian", "kaiming"]
    target_modules: tuple[str, ...]


class EMA(Record):
    """Moving average of the trained weights, which is what checkpoints then hold (Flow-GRPO)."""

    decay: float = Field(gt=0, lt=1)  # its ceiling; update s takes min((1 + s) / (10 + s), decay)
    # It takes the weights once in so many gradient updates: with 8, after updates 7, 15, ...
    every: int = Field(gt=0)
    # Images of one micro-batch of the original, over all its GPUs: it takes the weights once per
    # micro-batch of an update, see pcpo/training/ema.py. None: once.
    images_per_call: int | None = Field(default=None, gt=0)


class Validation(Record):
    """The reward on fixed prompts in the course of training: Figure 5, and the primary outcomes.

    A training is the same with and without it.
    """

    prompts: Name  # a prompt set; in Flow-GRPO one that is not trained on
    count: int = Field(gt=0)  # at most so many of its prompts, one image each
    every: int = Field(gt=0)  # epochs
    # native: the training's, with its noise; deterministic: the same kind without noise.
    sampler: Literal["native", "deterministic"]
    steps: int = Field(gt=1)


class Evaluation(Record):
    prompts: int = Field(gt=0)  # at most so many of the experiment's prompts
    images_per_prompt: int = Field(gt=1)
    selection_images_per_prompt: int = Field(gt=1)  # selection scores them
    screening_images_per_prompt: int = Field(gt=0)  # how many of them screen the candidates
    batch: int = Field(gt=0)
    # Levels of the training reward at which runs are compared (Table 10), in rising order. If no
    # level is published for the scale: fractions of the range that both arms cover. If both are
    # missing, `pcpo.analysis.reward_levels` has defaults.
    reward_levels: tuple[float, ...] = ()
    level_fractions: tuple[float, ...] = ()
    matched_level: float | None = None  # level of Tables 2-4; None: the highest
    tolerance: float = Field(ge=0)  # |difference of selection rewards| that counts as matched
    candidate_window: int = 10  # epochs on either side of PCPO's crossing that are screened
    alignment_images: int = Field(default=1, gt=0)  # images per prompt for Tables 5 and 9
    # At most so many prompts of each alignment set, evenly spread; None: all of them.
    alignment_prompts: int | None = Field(default=None, gt=0)


class Epochs(Record):
    """The epoch of each compared arm at which a published table compares them."""

    baseline: int = Field(gt=0)
    pcpo: int = Field(gt=0)


class Experiment(Record):
    """One column of Table 7, resolved at a scale."""

    name: Name
    number: int
    scale: Name
    description: str
    algorithm: Literal["ddpo", "dancegrpo", "flow_grpo"]
    model: Name  # one of the scale's `models`
    prompts: Name
    reward: Reward
    sampler: Sampler
    batch: Batch
    advantage: Advantage
    timesteps: Timesteps
    optimizer: Optimizer
    lora: LoRA | None = None  # None: full fine-tuning
    ema: EMA | None = None
    clip_range: float = Field(gt=0)
    kl_beta: float | None = None
    precision: Literal["fp32", "fp16", "bf16"]
    epochs: int = Field(gt=0)
    checkpoint_every: int = Field(gt=0)
    validation: Validation | None = None
    execution: Execution = Execution()
    evaluation: Evaluation
    alignment: tuple[Name, ...] = ()  # prompt sets of Tables 5 and 9
    reward_guidance: RewardGuidance | None = None  # Figures 13 and 14
    gradients: Gradients | None = None  # of each timestep, at checkpoints
    # The epochs that those tables compare, scored beside the pair matched in reward. An epoch means
    # the last checkpoint up to it, for scales that end earlier. None: only the matched pair.
    alignment_checkpoint: Epochs | None = None
    arms: tuple[Name, ...]
    # Arms that are matched in reward, sampled and measured. Empty: there are no images, and
    # validation alone says how the arms differ.
    compared: tuple[Name, ...]
    # Train at most so many of the run's `seeds`, the first ones; None: all of them.
    seeds_at_most: int | None = Field(default=None, gt=0)

    @field_validator("arms", "compared")
    @classmethod
    def _known_arms(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        for arm in arms:
            load_arm(arm)
        return arms

    @field_validator("gradients")
    @classmethod
    def _known_measured_arms(cls, gradients: Gradients | None) -> Gradients | None:
        for arm in gradients.arms if gradients is not None else ():
            load_arm(arm)
        return gradients

    @model_validator(mode="after")
    def _method(self) -> Experiment:
        for arm in self.arms:
            if not load_arm(arm).applies_to(self.sampler.kind):
                raise ValueError(f"arms: '{arm}' makes no sense with sampler {self.sampler.kind}")
            if load_arm(arm).kl != 1 and self.kl_beta is None:
                raise ValueError(f"arms: '{arm}' changes kl_beta, which is null here")
            window = load_arm(arm).window
            if window is not None and window.steps > self.sampler.steps - self.timesteps.skip_last:
                raise ValueError(
                    f"arms: '{arm}' has a window of {window.steps} steps, more than are trained"
                )
            if load_arm(arm).needs_reference and self.lora is None:
                raise ValueError(
                    f"arms: '{arm}' needs lora: its reference model is the adapter switched off"
                )
        if self.advantage.grouped and self.batch.prompts_per_iteration is None:
            raise ValueError(f"advantage.kind: {self.advantage.kind} needs prompts_per_iteration")
        if self.sampler.initial_noise_groups and self.batch.prompts_per_iteration is None:
            raise ValueError("sampler.initial_noise_groups: needs batch.prompts_per_iteration")
        if self.sampler.initial_noise_groups and self.batch.shuffle:
            # Prompts take the noises in turn, by the place of their images.
            raise ValueError("sampler.initial_noise_groups: needs batch.shuffle: false")
        if self.kl_beta is not None and self.lora is None:
            raise ValueError("kl_beta needs LoRA: the reference model is the adapter switched off")
        if self.kl_beta is not None and self.sampler.kind == "ddim":
            raise ValueError(
                "kl_beta: sampler.kind ddim has no KL estimate here; use a flow sampler, or null"
            )
        if self.micro_batches % self.execution.gpus:
            raise ValueError(
                f"execution.gpus: an update of {self.micro_batches} micro-batches does not divide "
                f"among {self.execution.gpus} processes; change gpus or batch.micro_batch"
            )
        if (self.execution.rollout_batch or 0) % self.batch.micro_batch:
            raise ValueError(
                f"execution.rollout_batch: {self.execution.rollout_batch} is no multiple of "
                f"batch.micro_batch ({self.batch.micro_batch})"
            )
        if self.execution.sharding == "fsdp" and self.precision == "fp16":
            raise ValueError("execution.sharding: fsdp needs precision bf16 or fp32, not fp16")
        if self.compared and self.compared[:2] != COMPARED:
            raise ValueError("compared: baseline and pcpo come first: others are matched to them")
        if not {*COMPARED} <= set(self.arms):
            raise ValueError("arms: baseline and pcpo are always among them: they are compared")
        if not self.compared and self.reward_guidance is not None:
            raise ValueError("compared: [] makes no images: set reward_guidance to null")
        if self.checkpoint_every > self.epochs:
            raise ValueError(
                f"checkpoint_every ({self.checkpoint_every}) is more than epochs ({self.epochs})"
            )
        if len(set(epochs := measured_epochs(self))) < len(epochs):
            raise ValueError(
                f"gradients.at: the nearest checkpoints are those of epochs {epochs}, one of them "
                "twice; give shares further apart, or lower checkpoint_every"
            )
        return self

    @property
    def measured(self) -> tuple[str, ...]:
        """The compared arms that are trained; a scale may choose other arms."""
        return tuple(arm for arm in self.compared if arm in self.arms)

    def has(self, frame: str) -> bool:
        """Whether there is a frame of measurements (`pcpo.paths.EXPERIMENT_FRAMES`) of it."""
        return bool(self.measured) and (frame != "alignment" or bool(self.alignment))

    def training_seeds(self, seeds: Sequence[int]) -> list[int]:
        """Those of a run's training seeds that this experiment is trained with."""
        return list(seeds[: self.seeds_at_most])

    @property
    def saved_epochs(self) -> list[int]:
        """The epochs after which a training leaves a checkpoint, the last one among them."""
        every = self.checkpoint_every
        return sorted({*range(every, self.epochs + 1, every), self.epochs})

    @property
    def prompt_sets(self) -> tuple[str, ...]:
        """All prompt sets of its images: of training, validation, alignment, reward guidance."""
        others = [part.prompts for part in (self.validation, self.reward_guidance) if part]
        return tuple(dict.fromkeys((self.prompts, *others, *self.alignment)))

    @property
    def images_per_iteration(self) -> int:
        return self.batch.images_per_iteration

    @property
    def gradient_updates(self) -> int:
        return self.batch.gradient_updates

    @property
    def micro_batches(self) -> int:
        """Number of micro-batches of one update, over all processes."""
        return self.batch.images_per_update // self.batch.micro_batch

    @property
    def average_calls(self) -> int:
        """How often an update calls the moving average's step: once per original micro-batch.

        A last micro-batch that is not full counts too.
        """
        if self.ema is None or self.ema.images_per_call is None:
            return 1
        return -(-self.batch.images_per_update // self.ema.images_per_call)

    def rollout_batch(self, arm: Arm) -> int:
        """Images of one forward of an arm's rollout."""
        return self.larger_rollout(arm) or self.batch.micro_batch

    def larger_rollout(self, arm: Arm) -> int | None:
        """`execution.rollout_batch` for an arm that may use it."""
        return self.execution.rollout_batch if arm.log_ratio == "sampler" else None

    def trained_count(self, arm: Arm, trainable: int) -> int:
        """How many of the `trainable` sampler steps each image is trained on, at least one.

        Those of the arm's window, if it has one.
        """
        if arm.window is not None:
            return min(arm.window.steps, trainable)
        fraction = arm.timestep_fraction or self.timesteps.fraction
        return max(int(trainable * fraction + 1e-9), 1)

    def processes_on(self, gpus: int) -> int:
        """How many of `gpus` a training uses, so that micro-batches divide among them evenly."""
        most = min(gpus, self.execution.gpus)
        return max(n for n in range(1, most + 1) if self.micro_batches % n == 0)

    @property
    def base_images(self) -> str:
        """Name of the base model's image set; experiments that sample alike share one.

        It ends with a digest of sampler and precision: another noise level is another set.
        """
        s, e = self.sampler, self.evaluation
        return (
            f"{self.model}_{self.prompts}_{s.kind}{s.steps}_cfg{s.guidance_scale:g}"
            f"_{e.prompts}x{e.images_per_prompt}_{self.digest('sampler', 'precision')[:6]}"
        )

    @property
    def sizes(self) -> dict[str, Any]:
        """How a training uses the machine: these values may change during a run."""
        return {"batch.micro_batch": self.batch.micro_batch} | {
            f"execution.{key}": value for key, value in self.execution.model_dump().items()
        }

    def identity(self, *sections: str) -> dict[str, Any]:
        """The named fields in JSON types, without those that change results only by rounding.

        These are sizes that fit the work to the machine, and how often a training saves.
        """
        return self.model_dump(mode="json", include=set(sections), exclude=_OF_THE_MACHINE)

    def digest(self, *sections: str) -> str:
        """Short digest of the experiment, or of only the named fields."""
        data = self.model_dump(mode="json")
        if sections:
            data = {key: data[key] for key in sections}
        return of_json(data)[:SHORT]


_OF_THE_MACHINE: Any = {
    "batch": {"micro_batch"},
    "evaluation": {"batch"},
    "execution": True,
    "checkpoint_every": True,
}

# The fields that a trained run depends on. `arms` and `evaluation` are not among them, nor is
# `epochs`: a longer training resumes from a shorter one.
TRAINING_FIELDS = (
    *("name", "scale", "algorithm", "model", "prompts", "reward", "sampler", "batch"),
    *("advantage", "timesteps", "optimizer", "lora", "ema", "clip_range", "kl_beta"),
    *("precision", "validation"),
)
