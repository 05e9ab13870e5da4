"""Counting on meta tensors: by hand, and against torch's own autocast.

That of CUDA runs on fake tensors, that of a CPU on real ones.
"""

from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from pcpo.config import load_experiment
from pcpo.cost import architectures
from pcpo.cost.bench import toy, with_execution
from pcpo.cost.counting import AsOnCuda, LiveBytes, _attention, count_as_on, flops, peak_bytes
from pcpo.policies.base import HALF


def meta(*shape, **options):
    return torch.empty(*shape, device="meta", **options)


def test_flops_of_a_product_and_of_attention():
    a, b = meta(3, 5), meta(5, 7)
    assert flops(lambda: a @ b) == 2 * 3 * 5 * 7
    q = meta(2, 4, 10, 8)  # batch, heads, tokens, width

    def attend():
        with AsOnCuda(None):
            functional.scaled_dot_product_attention(q, q, q)

    assert flops(attend) == 2 * 2 * (2 * 4 * 10 * 10 * 8)


def test_peak_counts_what_is_alive_at_once():
    def call():
        x = meta(1000)  # 4000 bytes
        y = x + 1  # 8000
        del x
        z = y.view(10, 100) * 2  # views cost nothing: 8000 again
        return z

    assert peak_bytes(call) == 8000
    with LiveBytes() as live:
        kept = call()
        assert live.now == 4000
        del kept
        assert live.now == 0


def test_peak_of_a_chain_is_its_saved_activations():
    # Ten layers x -> tanh(x): each keeps its output; backward holds two gradients besides.
    weight = meta(100, requires_grad=True)

    def call():
        x = weight
        for _ in range(10):
            x = torch.tanh(x)
        x.sum().backward()

    assert 10 * 400 < peak_bytes(call) <= 13 * 400 + 8


def test_flash_attention_keeps_no_matrix_of_weights():
    def peak(tokens):
        q = meta(1, 8, tokens, 64, dtype=torch.float16, requires_grad=True)

        def call():
            with AsOnCuda(None):
                functional.scaled_dot_product_attention(q, q, q).float().sum().backward()

        return peak_bytes(call)

    assert peak(2048) == pytest.approx(2 * peak(1024), rel=0.01)


# --- against torch's autocast ------------------------------------------------------------------


class _Flash(TorchFunctionMode):
    """Real kernels for attention cannot be chosen without a GPU."""

    def __init__(self, half):
        super().__init__()
        self.half = half

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is not functional.scaled_dot_product_attention:
            return function(*args, **kwargs)

        def cast(value):
            return value.to(self.half) if isinstance(value, torch.Tensor) else value

        args, kwargs = tree_map(cast, (args, kwargs))
        return _attention(*args, **kwargs)


@contextmanager
def torchs_own_autocast(half):
    """`torch.autocast("cuda")`, which switches itself off where there is no GPU."""
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", half)
    torch.autocast_increment_nesting()
    try:
        with _Flash(half):
            yield
    finally:
        torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)


def put_on_fake_cuda(module):
    for part in module.modules():
        for name, p in list(part._parameters.items()):
            if p is not None:
                fake = torch.empty(p.shape, dtype=p.dtype, device="cuda")
                part._parameters[name] = nn.Parameter(fake, requires_grad=p.requires_grad)
        for name, b in list(part._buffers.items()):
            if b is not None:
                part._buffers[name] = torch.empty(b.shape, dtype=b.dtype, device="cuda")


def forward(policy, device, guidance):
    """(dtype and shape of every module's outputs, bytes alive after the forward)."""
    seen = {}

    def remember(name):
        def hook(module, args, output):
            tensors = [t for t in tree_leaves(output) if isinstance(t, torch.Tensor)]
            seen[name] = [(t.dtype, tuple(t.shape)) for t in tensors]

        return hook

    for name, module in policy.denoiser.named_modules():
        module.register_forward_hook(remember(name))
    latents = torch.empty(1, *policy.latent_shape, device=device)
    timesteps = torch.full((1,), 500.0, device=device)
    conditioning = policy.encode(["a"])
    with LiveBytes() as live:
        output = policy.predict(latents, timesteps, conditioning, guidance)
        alive = live.now
    assert output.dtype == torch.float32
    return seen, alive


# UNet and transformers, LoRA and all weights, fp16 and bf16
@pytest.mark.parametrize("number", [1, 5, 9, 6, 10])
def test_dtypes_and_bytes_are_those_of_autocast_on_cuda(number):
    experiment = load_experiment(number)
    guidance, half = experiment.sampler.guidance_scale, HALF[experiment.precision]
    policy = architectures.policy(experiment, device="meta", small=True)
    count_as_on(policy, "cuda")
    ours, our_bytes = forward(policy, "meta", guidance)

    policy = architectures.policy(experiment, device="meta", small=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        put_on_fake_cuda(policy.denoiser)
        policy.device = torch.device("cuda")
        policy._autocast = lambda: torchs_own_autocast(half)
        theirs, their_bytes = forward(policy, "cuda", guidance)
    assert ours == theirs
    assert our_bytes == their_bytes
    dtypes = {dtype for outputs in ours.values() for dtype, _ in outputs}
    assert {half, torch.float32} <= dtypes  # some of both, so that the comparison says something


# LoRA on each denoiser, and all weights; with and without checkpointing
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("number", [1, 5, 9, 6])
def test_dtypes_bytes_and_flops_are_those_of_a_real_cpu(number, checkpointing):
    experiment = load_experiment(number)
    execution = {"activation_checkpointing": checkpointing, "channels_last": False}
    experiment = with_execution(toy(experiment), compile=False, **execution)
    experiment = experiment.model_copy(update={"precision": "bf16"})
    guidance, found = experiment.sampler.guidance_scale, []
    for device in ("meta", "cpu"):
        policy = architectures.policy(experiment, device=device, small=True)
        if device == "meta":
            count_as_on(policy, "cpu")
        seen, alive = forward(policy, device, guidance)
        latents = torch.zeros(2, *policy.latent_shape, device=device)
        timesteps, texts = torch.full((2,), 500.0, device=device), policy.encode(["a", "b"])
        policy.predict(latents, timesteps, texts, guidance)  # the empty prompt's rows are kept

        def update(policy=policy, latents=latents, timesteps=timesteps, texts=texts):
            policy.predict(latents, timesteps, texts, guidance).square().mean().backward()

        peaks = [peak_bytes(update), peak_bytes(update)]  # without and with gradients
        found.append((seen, flops(update), [alive, *peaks]))
    ours, theirs = found
    assert ours[:2] == theirs[:2]
    # A norm keeps its mean and deviation in another dtype on meta tensors.
    assert ours[2] == pytest.approx(theirs[2], rel=0.03)
    assert torch.bfloat16 in {dtype for outputs in ours[0].values() for dtype, _ in outputs}


@pytest.mark.parametrize("number", [1, 9, 6])
def test_checkpointing_keeps_less(number):
    experiment = load_experiment(number)
    peaks = []
    for checkpointing in (False, True):
        execution = experiment.execution.model_copy(
            update={"activation_checkpointing": checkpointing}
        )
        policy = architectures.policy(
            experiment.model_copy(update={"execution": execution}), device="meta", small=True
        )
        count_as_on(policy, "cuda")
        latents = meta(4, *policy.latent_shape)
        conditioning = policy.encode(["a"] * 4)

        def update(policy=policy, latents=latents, conditioning=conditioning):
            guidance = experiment.sampler.guidance_scale
            timesteps = torch.full((4,), 500.0, device="meta")
            policy.predict(latents, timesteps, conditioning, guidance).square().mean().backward()

        peaks.append(peak_bytes(update))
    assert peaks[1] < 0.8 * peaks[0]
