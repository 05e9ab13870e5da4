import shutil

import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from peft.tuners.lora import Linear
from safetensors.torch import load_file, save_file

from pcpo import policies
from pcpo.config import LoRA, ModelSource, load_experiment
from pcpo.policies.weights import LORA_FILE
from tests.small import experiment, latents, perturb, policy

# An experiment with LoRA on each denoiser, and the latents that the sampler sees at 32 x 32.
CASES = {
    "unet": (1, (32, 4, 4), UNet2DConditionModel),
    "sd3": (8, (8, 8, 8), SD3Transformer2DModel),
    "flux": (6, (16, 32), FluxTransformer2DModel),
}
TEXTS = ["red circle", "a blue moon under a dot"]
TIMES = torch.tensor([751.0, 1.0])

each_denoiser = pytest.mark.parametrize("case", CASES)


def open_case(models, case, **options):
    number, shape, denoiser = CASES[case]
    return policy(models, experiment(number), **options), shape, denoiser


def lora_of(case, alpha=4):
    """The experiment's adapter with an alpha that is not its rank: twice it, as published."""
    return experiment(CASES[case][0]).lora.model_copy(update={"rank": 2, "alpha": alpha})


def predict(chosen, guidance=3.0):
    """Guided prediction for two fixed latents, without gradients."""
    with torch.no_grad():
        return chosen.predict(latents(chosen, 2), TIMES, chosen.encode(TEXTS), guidance)


@each_denoiser
def test_latents_decode_to_uint8_images(models, case):
    chosen, shape, _ = open_case(models, case)
    assert chosen.latent_shape == shape
    images = chosen.decode(3 * latents(chosen, 2))
    assert images.shape == (2, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert images.float().std() > 10


@each_denoiser
def test_prediction_has_the_latents_shape_and_knows_the_prompt(models, case):
    chosen, shape, _ = open_case(models, case)
    prediction = predict(chosen, 1.0)
    assert prediction.shape == (2, *shape)
    assert prediction.dtype == torch.float32
    swapped = chosen.encode(TEXTS[::-1])
    with torch.no_grad():
        other = chosen.predict(latents(chosen, 2), TIMES, swapped, 1.0)
    assert not torch.equal(prediction, other)


@each_denoiser
def test_guidance_extrapolates_from_the_empty_prompt(models, case):
    chosen, *_ = open_case(models, case)
    conditional = predict(chosen, 1.0)
    with torch.no_grad():
        empty = chosen.predict(latents(chosen, 2), TIMES, chosen.encode(["", ""]), 1.0)
    torch.testing.assert_close(
        predict(chosen, 2.5), empty + 2.5 * (conditional - empty), rtol=1e-4, atol=1e-5
    )
    # A scale of 1 is the conditional branch, whatever the other one says.
    torch.testing.assert_close(predict(chosen, 1 + 1e-7), conditional, rtol=1e-4, atol=1e-5)


@each_denoiser
def test_conditional_forward_is_that_of_the_pipeline(models, case):
    """One call of the denoiser as the diffusers pipeline makes it, spelt out."""
    chosen, *_ = open_case(models, case)
    pipeline = DiffusionPipeline.from_pretrained(models[experiment(CASES[case][0]).model].path)
    x, cut = latents(chosen, 2), 10
    with torch.no_grad():
        if case == "unet":
            embeds, _ = pipeline.encode_prompt(TEXTS, "cpu", 1, False)
            expected = pipeline.unet(x, TIMES.long(), embeds).sample
        elif case == "sd3":
            embeds, _, pooled, _ = pipeline.encode_prompt(
                TEXTS, None, None, do_classifier_free_guidance=False, max_sequence_length=cut
            )
            expected = pipeline.transformer(x, embeds, pooled, TIMES).sample
        else:
            embeds, pooled, text_ids = pipeline.encode_prompt(TEXTS, None, max_sequence_length=cut)
            rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
            grid = torch.stack([torch.zeros(4, 4), rows, columns], dim=-1).reshape(16, 3)
            expected = pipeline.transformer(
                x,
                encoder_hidden_states=embeds,
                pooled_projections=pooled,
                timestep=TIMES / 1000,
                img_ids=grid,
                txt_ids=text_ids,
                guidance=torch.full((2,), experiment(6).sampler.embedded_guidance),
            ).sample
    torch.testing.assert_close(predict(chosen, 1.0), expected, rtol=1e-4, atol=1e-5)


@each_denoiser
def test_saved_lora_acts_in_plain_diffusers_as_it_was_trained(models, case, tmp_path):
    """alpha differs from rank: a loader that misses it scales the update wrongly."""
    chosen, *_ = open_case(models, case, train=True, lora=lora_of(case))
    base = predict(chosen)
    perturb(chosen)
    expected = predict(chosen)
    assert (expected - base).abs().max() > 0.05 * base.abs().max()
    chosen.save_weights(tmp_path)

    plain, *_ = open_case(models, case)
    plain.pipeline.load_lora_weights(tmp_path)
    torch.testing.assert_close(predict(plain), expected, rtol=1e-4, atol=1e-5)

    ours, *_ = open_case(models, case)
    ours.load_weights(tmp_path)
    torch.testing.assert_close(predict(ours), expected, rtol=1e-4, atol=1e-5)
    assert not ours.trainable()


@each_denoiser
def test_a_saved_lora_acts_at_full_strength_for_whoever_reads_its_tensors_alone(
    models, case, tmp_path
):
    """Without the metadata: by the product of two tensors, and by plain diffusers."""
    chosen, *_ = open_case(models, case, train=True, lora=lora_of(case))
    perturb(chosen)
    expected = predict(chosen)
    chosen.save_weights(tmp_path)
    tensors = load_file(tmp_path / LORA_FILE)
    assert all(name.endswith(("lora_A.weight", "lora_B.weight")) for name in tensors)
    layers = {
        name: layer for name, layer in chosen.denoiser.named_modules() if isinstance(layer, Linear)
    }
    assert 2 * len(layers) == len(tensors)
    for name, layer in layers.items():
        prefix = f"{chosen.denoiser_name}.{name}"
        update = tensors[f"{prefix}.lora_B.weight"] @ tensors[f"{prefix}.lora_A.weight"]
        torch.testing.assert_close(update, layer.get_delta_weight("default"))

    (tmp_path / "bare").mkdir()
    save_file(tensors, tmp_path / "bare" / LORA_FILE)
    plain, *_ = open_case(models, case)
    plain.pipeline.load_lora_weights(tmp_path / "bare")
    torch.testing.assert_close(predict(plain), expected, rtol=1e-4, atol=1e-5)


@each_denoiser
def test_equal_loras_are_saved_in_equal_bytes(models, case, tmp_path):
    saved = []
    for number in range(2):
        chosen, *_ = open_case(models, case, train=True, lora=lora_of(case))
        perturb(chosen)
        chosen.save_weights(tmp_path / str(number))
        saved.append((tmp_path / str(number) / LORA_FILE).read_bytes())
    assert saved[0] == saved[1]


@each_denoiser
def test_any_other_factor_acts_as_it_was_trained_but_for_rounding(models, case, tmp_path):
    """Half precision rounds three times a weight otherwise than the weight; twice it does not."""
    published = [load_experiment(number, "paper").lora for number in (6, 8, 9)]
    assert {lora.alpha / lora.rank for lora in published} == {2}
    for alpha, off in ((4, 0), (6, 0.02)):
        chosen, *_ = open_case(models, case, train=True, lora=lora_of(case, alpha))
        perturb(chosen)
        chosen.save_weights(tmp_path)
        ours, *_ = open_case(models, case)
        ours.load_weights(tmp_path)
        expected = predict(chosen)
        assert (predict(ours) - expected).norm() <= off * expected.norm()


@each_denoiser
def test_saved_full_weights_load_in_the_denoisers_class(models, case, tmp_path):
    chosen, _, denoiser = open_case(models, case)
    chosen.make_trainable(None)
    assert len(chosen.trainable()) == len(list(chosen.denoiser.parameters()))
    perturb(chosen, size=0.05)
    expected = predict(chosen)
    chosen.save_weights(tmp_path)
    plain, *_ = open_case(models, case)
    before = predict(plain)
    plain.load_weights(tmp_path)
    assert torch.equal(predict(plain), expected)
    assert not torch.equal(before, expected)
    state = denoiser.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(state[name], value) for name, value in chosen.trainable().items())


@each_denoiser
def test_a_second_checkpoint_replaces_the_first(models, case, tmp_path):
    chosen, *_ = open_case(models, case, train=True)
    expected = []
    for epoch in range(2):
        perturb(chosen, seed=epoch)
        expected.append(predict(chosen))
        (tmp_path / str(epoch)).mkdir()
        chosen.save_weights(tmp_path / str(epoch))
    plain, *_ = open_case(models, case)
    for epoch in (0, 1, 0):
        plain.load_weights(tmp_path / str(epoch))
        torch.testing.assert_close(predict(plain), expected[epoch], rtol=1e-4, atol=1e-5)


@each_denoiser
def test_reference_is_the_base_model_and_gives_the_adapter_back(models, case):
    base = predict(open_case(models, case)[0])
    chosen, *_ = open_case(models, case, train=True)
    torch.testing.assert_close(predict(chosen), base)  # a fresh adapter changes nothing
    perturb(chosen)
    own = predict(chosen)
    with chosen.reference():
        torch.testing.assert_close(predict(chosen), base)
    assert torch.equal(predict(chosen), own)
    assert chosen.trainable()


def test_only_the_adapter_is_trained(models):
    chosen, *_ = open_case(models, "unet", train=True)
    assert all("lora" in name for name in chosen.trainable())
    assert not any(p.requires_grad for p in chosen.pipeline.vae.parameters())


def test_a_folder_without_a_pipeline_is_named(tmp_path):
    source = ModelSource(path=str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="nothing"):
        policies.load(experiment(1), source)


@pytest.mark.parametrize("component", ["unet", "text_encoder", "vae"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_pipeline_is_named(models, tmp_path, component, damage):
    folder = tmp_path / "pipeline"
    shutil.copytree(models["sd15"].path, folder)
    [file] = (folder / component).glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    if damage == "missing":
        file.unlink()
    with pytest.raises((ValueError, OSError), match=str(folder)):
        open_case({"sd15": ModelSource(path=str(folder))}, "unet")[0].encode(TEXTS)


def test_a_folder_without_weights_is_named(models, tmp_path):
    chosen, *_ = open_case(models, "unet")
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        chosen.load_weights(tmp_path)


def test_weights_of_another_model_are_refused(models, tmp_path):
    wide = LoRA(rank=2, alpha=2, init="gaussian", target_modules=("to_q",))
    flux, *_ = open_case(models, "flux", train=True, lora=wide)
    unet, *_ = open_case(models, "unet")
    flux.save_weights(tmp_path)
    with pytest.raises(ValueError, match="does not fit") as caught:
        unet.load_weights(tmp_path)
    assert str(tmp_path) in str(caught.value)

    full, other = tmp_path / "full", open_case(models, "sd3")[0]
    other.make_trainable(None)
    other.save_weights(full)
    with pytest.raises(ValueError, match="does not fit"):
        unet.load_weights(full)


@pytest.mark.parametrize("lora", [True, False])
def test_truncated_weights_are_named(models, tmp_path, lora):
    chosen, *_ = open_case(models, "unet")
    chosen.make_trainable(lora_of("unet") if lora else None)
    chosen.save_weights(tmp_path)
    [file] = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-200])
    plain, *_ = open_case(models, "unet")
    with pytest.raises(ValueError, match=f"{file.name}: the checkpoint is damaged"):
        plain.load_weights(tmp_path)
