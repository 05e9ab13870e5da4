"""Memory that one process of a training run needs, counted before any GPU is claimed.

What stays (weights, gradients, moments, averages) is summed over the model's real configuration;
what a forward and a backward keep alive is counted on meta tensors at micro-batches of 1 and 2
images, and grows by the same amount for each further image. Nothing is measured here.

It is the memory of the device that the scale names: a GPU's, or on a CPU that of the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pcpo.config import load_scale
from pcpo.cost.reward_cost import own_reward, reward_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from pcpo.config import Arm, Experiment
    from pcpo.policies.base import Policy

T = TypeVar("T")

# What no count covers, in bytes. On a GPU: CUDA's context, cuBLAS and cuDNN with their workspaces
# [assumed]. On a CPU: Python with the libraries that a training imports [measured: 0.99e9].
CONTEXT = {"cuda": 1.0e9, "cpu": 1.0e9}
# The allocator keeps blocks that it cannot fill: a share of what comes and goes. [assumed]
FRAGMENTATION = 0.05
ADAM_MOMENTS = 2
FP32 = 4


@dataclass(frozen=True)
class Training:
    """One process of a training run, in bytes; `each` grows with a micro-batch, `once` does not.

    step: what the optimiser's step makes. encoding: while the prompts are encoded, before the first
    forward of the denoiser. loading: while the denoiser is read, before that.
    """

    weights: float
    gradients: float
    moments: float
    average: float
    gathered: float  # blocks that sharding has whole at a time
    vae: float
    update_once: float
    update_each: float
    decode_each: float
    step: float
    encoding: float
    loading: float
    trained: int  # parameters

    @property
    def resident(self) -> float:
        return self.weights + self.gradients + self.moments + self.average + self.gathered

    def transient(self, images: int) -> float:
        """The most that comes and goes, with micro-batches of so many images.

        Three phases, of which the largest counts: an update's forward and backward; the
        optimiser's step; a rollout, whose forward records a graph like the update's, and its
        decoding, when there are no gradients.
        """
        update = self.update_once + images * self.update_each
        sampling = self.vae + max(update, images * self.decode_each) - self.gradients
        return max(update, self.step, sampling)

    def working(self, images: int) -> float:
        """The most in rollouts and updates, with micro-batches of so many images."""
        return self.resident + (1 + FRAGMENTATION) * self.transient(images)


@dataclass(frozen=True)
class Sampling:
    """Sampling without training: bytes, of which `each` is for one image, and FLOPs of one image.

    latent: numbers of one image's latents. encoding, loading: as of `Training`.
    """

    weights: float
    each: float
    encoding: float
    loading: float
    latent: int
    forward_flop: int  # a guided prediction: both branches
    decode_flop: int


def device_of(experiment: Experiment) -> str:
    """The device of the experiment's scale."""
    return _device(experiment.scale)


@cache
def _device(scale: str) -> str:
    return load_scale(scale).device


def counts(experiment: Experiment) -> Training:
    """Count a training process of the experiment; seconds the first time."""
    sections = ("model", "lora", "precision", "execution", "kl_beta", "ema")
    return _once(_training, experiment, *sections)


def sampling(experiment: Experiment) -> Sampling:
    """Count the experiment's sampling; seconds the first time."""
    return _once(_sampling, experiment, "model", "lora", "precision")


_counted: dict[tuple[object, ...], Any] = {}


def _once(count: Callable[[Experiment], T], experiment: Experiment, *sections: str) -> T:
    """`count(experiment)`, which depends on these sections and the forward's shape alone."""
    s = experiment.sampler
    shape = (s.resolution, s.guidance_scale > 1)
    key = (count, experiment.digest(*sections), shape, device_of(experiment))
    if key not in _counted:
        _counted[key] = count(experiment)
    found: T = _counted[key]
    return found


def _training(experiment: Experiment) -> Training:
    import torch

    from pcpo.cost import architectures
    from pcpo.cost.counting import count_as_on, peak_bytes
    from pcpo.policies.base import HALF

    device = device_of(experiment)
    sharded = experiment.execution.sharding == "fsdp"
    gpus = experiment.execution.gpus if sharded else 1
    policy = architectures.policy(experiment, device="meta")
    count_as_on(policy, device)
    trainable = list(policy.trainable().values())
    everything = list(policy.denoiser.parameters())
    weights, trained = _bytes(_tensors(policy.denoiser)) / gpus, _bytes(trainable) / gpus
    vae = _bytes(_tensors(policy.pipeline.vae))
    gathered = 0.0
    if sharded:
        half = HALF.get(experiment.precision, torch.float32)
        gathered = _gathered_bytes(policy, half.itemsize)
        for parameter in everything:  # gathered in half: autocast has nothing left to cast
            parameter.data = parameter.data.to(half)
    for parameter in trainable:  # later micro-batches add to the gradients of the first
        parameter.grad = torch.zeros_like(parameter)

    def peak(images: int) -> int:
        predict = predict_call(experiment, policy, images)

        def update() -> None:
            loss = predict().square().mean()
            if experiment.kl_beta is not None:
                with torch.no_grad(), policy.reference():
                    reference = predict()
                loss = loss + reference.square().mean()
            loss.backward()

        return peak_bytes(update)

    one, two = peak(1), peak(2)
    average = trained if experiment.ema else 0.0
    encoding = _encoding(experiment, policy, weights, vae) + average + gathered
    loading = _loading(experiment, policy, weights, vae)
    if device == "cpu":  # there the VAE stays where it is in an update
        weights, vae = weights + vae, 0.0
    return Training(
        weights=weights,
        gradients=trained,
        moments=ADAM_MOMENTS * trained,
        average=average,
        gathered=gathered,
        vae=vae,
        update_once=2 * one - two,
        update_each=two - one,
        decode_each=peak_bytes(decode_call(policy, device)),
        # A copy of all gradients; torch takes one parameter after another only on a CPU.
        step=trained if device == "cuda" else float(max(p.nbytes for p in trainable)),
        encoding=encoding,
        loading=loading,
        trained=sum(p.numel() for p in trainable),
    )


def _sampling(experiment: Experiment) -> Sampling:
    import torch

    from pcpo.cost import architectures
    from pcpo.cost.counting import count_as_on, flops, peak_bytes

    device = device_of(experiment)
    policy = architectures.policy(experiment, device="meta", train=False)
    count_as_on(policy, device)
    predict = torch.no_grad()(predict_call(experiment, policy, 1))
    decode = decode_call(policy, device)
    forward_flop, decode_flop = flops(predict), flops(decode)
    weights, vae = _bytes(_tensors(policy.denoiser)), _bytes(_tensors(policy.pipeline.vae))
    return Sampling(
        weights=weights + vae,
        each=max(peak_bytes(predict), peak_bytes(decode)),
        encoding=_encoding(experiment, policy, weights, vae),
        loading=_loading(experiment, policy, weights, vae),
        latent=torch.Size(policy.latent_shape).numel(),
        forward_flop=forward_flop,
        decode_flop=decode_flop,
    )


def _mapped(experiment: Experiment, policy: Policy) -> bool:
    """Whether the denoiser is held as its file stores it: mapped, and read at its first use."""
    from pcpo.cost.architectures import ARCHITECTURES

    held = policy.component_dtypes(experiment.precision, experiment.lora)[policy.denoiser_name]
    return ARCHITECTURES[experiment.model].stored == held.itemsize


def _encoding(experiment: Experiment, policy: Policy, weights: float, vae: float) -> float:
    """Bytes of the text encoders and of what is there beside them; `weights` of the denoiser."""
    from pcpo.cost.encoders import encoder_bytes

    dtypes = policy.component_dtypes(experiment.precision, experiment.lora)
    encoders = encoder_bytes(experiment.model, dtypes["default"])
    if device_of(experiment) == "cuda":
        return weights + encoders  # the VAE comes to the GPU at the first image
    return encoders + vae + (0.0 if _mapped(experiment, policy) else weights)


def _loading(experiment: Experiment, policy: Policy, weights: float, vae: float) -> float:
    """Bytes on a CPU while the denoiser is read: its whole file beside the weights in their dtype.

    On a GPU 0: the file is read into the host's memory.
    """
    from pcpo.cost.architectures import ARCHITECTURES

    if device_of(experiment) == "cuda" or _mapped(experiment, policy):
        return 0.0
    numbers = sum(parameter.numel() for parameter in policy.denoiser.parameters())
    return weights + vae + numbers * ARCHITECTURES[experiment.model].stored


def _gathered_bytes(policy: Policy, half: int) -> float:
    """What sharding has whole: two blocks, what belongs to none, and a block's gradients."""
    names = set(policy.denoiser._no_split_modules or ())
    blocks = [m for m in policy.denoiser.modules() if type(m).__name__ in names]
    sizes = [sum(p.numel() for p in block.parameters()) for block in blocks]
    rest = sum(p.numel() for p in policy.denoiser.parameters()) - sum(sizes)
    trained = [sum(p.numel() for p in b.parameters() if p.requires_grad) for b in blocks]
    # Gradients come in half and are reduced in fp32.
    return half * (2 * max(sizes) + rest) + (half + FP32) * max(trained)


def predict_call(experiment: Experiment, policy: Policy, images: int) -> Callable[[], Tensor]:
    """A forward of so many images, on meta tensors."""
    import torch

    latents = torch.empty(images, *policy.latent_shape, device="meta")
    timesteps = torch.full((images,), 500.0, device="meta")
    conditioning = policy.encode(["a prompt"] * images)
    guidance = experiment.sampler.guidance_scale
    return lambda: policy.predict(latents, timesteps, conditioning, guidance)


def decode_call(policy: Policy, device: str) -> Callable[[], None]:
    """The VAE's decoder on one image, on meta tensors, as on a device."""
    import torch

    from pcpo.cost.counting import AS_ON

    latents = torch.empty(1, *policy.latent_shape, device="meta")

    @torch.no_grad()
    def decode() -> None:
        vae = policy.pipeline.vae
        with AS_ON[device](None):
            vae.decode(policy._to_vae(latents).to(vae.dtype))

    return decode


def _tensors(module: Any) -> list[Tensor]:
    """Parameters, and what else a network has: SD3's table of positions has 0.45 GB."""
    return [*module.parameters(), *module.buffers()]


def _bytes(tensors: Iterable[Tensor]) -> float:
    return float(sum(t.numel() * t.element_size() for t in tensors))


def peak_gigabytes(
    experiment: Experiment, micro_batch: int | None = None, arm: Arm | None = None
) -> float:
    """Peak memory of one process of a training run on the scale's device, in 10^9 bytes.

    On a CPU without the trajectories, which `host_gigabytes` counts. Without `arm` it is that of
    an arm that uses `execution.rollout_batch`; `suggest_micro_batch` takes it in the same way.
    """
    counted = counts(experiment)
    working = counted.working(micro_batch or experiment.batch.micro_batch)
    images = experiment.larger_rollout(arm) if arm else experiment.execution.rollout_batch
    if images is not None:  # no gradients are recorded
        rollout = counted.vae + images * sampling(experiment).each - counted.gradients
        working = max(working, counted.resident + (1 + FRAGMENTATION) * rollout)
    return _peak(experiment, working, counted, own_reward(experiment).bytes)


def _peak(
    experiment: Experiment, working: float, counted: Training | Sampling, rewards: float
) -> float:
    """The largest of three phases with the rewards' weights, in 10^9 bytes.

    On a CPU these are mapped, and read when the first image is scored, after the encoding.
    """
    device = device_of(experiment)
    beside = rewards if device == "cuda" else 0.0
    most = max(working + rewards, counted.encoding + beside, counted.loading)
    return (CONTEXT[device] + most) / 1e9


def generation_gigabytes(experiment: Experiment, rewards: Iterable[str]) -> float:
    """Peak memory of a process that samples evaluation images and scores them, in 10^9 bytes.

    rewards: modules of pcpo/rewards that are loaded at once.
    """
    counted = sampling(experiment)
    images = counted.weights + (1 + FRAGMENTATION) * experiment.evaluation.batch * counted.each
    scored = sum(reward_cost(name).bytes for name in rewards)
    return _peak(experiment, images, counted, scored)


def forward_tflop(experiment: Experiment) -> tuple[float, float]:
    """TFLOP of one image's prediction (both branches with guidance) and of its decoding."""
    counted = sampling(experiment)
    return counted.forward_flop / 1e12, counted.decode_flop / 1e12


def micro_batches(experiment: Experiment) -> list[int]:
    """Sizes into which an update divides over the experiment's GPUs, in rising order."""
    images = experiment.batch.images_per_update
    gpus = experiment.execution.gpus
    return [m for m in range(1, images + 1) if images % m == 0 and (images // m) % gpus == 0]


def suggest_micro_batch(experiment: Experiment, gigabytes: float, arm: Arm | None = None) -> int:
    """The largest `batch.micro_batch` that fits GPUs of so many 10^9 bytes; 0 if none does."""
    sizes = micro_batches(experiment)
    return max((m for m in sizes if peak_gigabytes(experiment, m, arm) <= gigabytes), default=0)


def host_gigabytes(experiment: Experiment, arm: Arm) -> float:
    """Host memory of one process for an iteration's trajectories, in 10^9 bytes.

    fp32 for each step: latents and the next ones for the sampler's log-ratio; for the matching one
    latents, predictions and noise.
    """
    kept = 2 if arm.log_ratio == "sampler" else 3
    images = experiment.images_per_iteration / experiment.execution.gpus
    steps = experiment.sampler.steps
    return images * (kept * steps + 1) * sampling(experiment).latent * FP32 / 1e9
