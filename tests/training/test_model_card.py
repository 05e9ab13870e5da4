"""A checkpoint's README.md: what it says, and that its code loads the checkpoint."""

import re
import shutil

import pytest
import torch
import yaml

import pcpo.synthetic.vae  # noqa: F401  (diffusers loads it by its name)
from pcpo.config import LoRA, ModelSource, load_arm, load_experiment, load_scale
from pcpo.training.loop import train
from pcpo.training.model_card import Base, card, of_name, published
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder, verify_checkpoint
from tests.small import PROMPTS, brightness, experiment, policy

LICENCES = {
    1: ("stable-diffusion-v1-5/stable-diffusion-v1-5", "creativeml-openrail-m"),
    5: ("CompVis/stable-diffusion-v1-4", "creativeml-openrail-m"),
    6: ("black-forest-labs/FLUX.1-dev", "flux.1-dev-non-commercial-license"),
    9: ("stabilityai/stable-diffusion-3.5-medium", "stability-ai-community-license"),
}


def header(text):
    return yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize("number", LICENCES)
def test_the_card_of_a_published_base_names_it_and_its_licence(number):
    chosen, scale = load_experiment(number, "paper"), load_scale("paper")
    base = published(scale.models[chosen.model])
    text = card(chosen, load_arm("pcpo"), 3, base)(120)
    found, (repository, licence) = header(text), LICENCES[number]
    assert found["base_model"] == repository
    assert licence in (found["license"], found.get("license_name"))
    assert found["library_name"] == "diffusers"
    assert found["base_model_relation"] == ("finetune" if number == 5 else "adapter")
    assert base.licence in text.split("## Licence")[1].replace("\\", "")
    for said in ("| epoch | 120 |", "training seed 3", f"| reward | {chosen.reward.name} |"):
        assert said in text
    assert "data/" not in text


def test_an_unknown_base_is_said_to_be_unknown(tmp_path):
    assert published(ModelSource(path=str(tmp_path))) == Base()
    assert published(ModelSource(path="results/demo/synthetic/sd15")) == Base()
    assert of_name("some/model").repository == "some/model"
    assert of_name("/a/folder") == of_name(None) == Base()
    text = card(load_experiment(1, "demo"), load_arm("pcpo"), 0, Base())(1)
    assert "base_model" not in header(text) and "license" not in header(text)
    assert "licence of the base model is not recorded" in text


def trained(models, path, chosen, name):
    """A run of an epoch with the card of a published base; its checkpoint."""
    texts = card(chosen, load_arm("pcpo"), 0, Base(name, "abc", "a licence"))
    folder = RunFolder(path, "same", {"arm": "pcpo"}, card=texts)
    fresh = policy(models, chosen, train=True)
    run = Run(chosen, load_arm("pcpo"), 0, fresh, brightness, PROMPTS)
    train(run, folder, log=lambda message: None)
    return folder.checkpoint(1), fresh


@pytest.mark.parametrize("number", [1, 5, 6, 8])
def test_the_code_of_the_card_loads_the_checkpoint(models, tmp_path, monkeypatch, number):
    """In the folder of the checkpoint, with the base model where its name leads."""
    chosen = experiment(number, epochs=1, ema=None)  # the weights are those of the last update
    checkpoint, fresh = trained(models, tmp_path / "run", chosen, "maker/model")
    shared = tmp_path / "shared"
    shutil.copytree(checkpoint, shared)
    (shared / "maker").mkdir()
    (shared / "maker" / "model").symlink_to(models[chosen.model].path)
    monkeypatch.chdir(shared)
    (code,) = re.findall(r"^```python\n(.*?)^```$", (shared / "README.md").read_text(), re.M | re.S)
    names = {}
    exec(code, names)
    assert names["image"].size == (32, 32)
    # It is the trained network: the same prediction as the policy that trained it.
    whole = getattr(names["pipeline"], fresh.denoiser_name)
    if chosen.lora is None:
        for key, value in whole.state_dict().items():
            assert torch.equal(value, fresh.denoiser.state_dict()[key]), key
        return
    given = {n: p for n, p in whole.named_parameters() if ".lora_" in n}
    own = {n: p for n, p in fresh.denoiser.named_parameters() if ".lora_" in n}
    assert len(given) == len(own) > 0
    strength = chosen.lora.alpha / chosen.lora.rank  # multiplied into what is saved
    sizes = []
    for layer in {name.split(".lora_")[0] for name in own}:
        update = [layer_update(of, layer) for of in (given, own)]
        torch.testing.assert_close(update[0], update[1] * strength)
        sizes.append(float(update[0].abs().max()))
    assert max(sizes) > 0


def layer_update(parameters, layer):
    (a,) = [p for n, p in parameters.items() if n.startswith(f"{layer}.lora_A.")]
    (b,) = [p for n, p in parameters.items() if n.startswith(f"{layer}.lora_B.")]
    return (b @ a).detach()


def test_an_edited_card_is_no_damage(models, tmp_path):
    checkpoint, _ = trained(models, tmp_path, experiment(1, epochs=1), "maker/model")
    (checkpoint / "README.md").write_text("My own words.")
    verify_checkpoint(checkpoint, arm="pcpo", epoch=1)


def test_names_of_others_are_shown_as_text():
    chosen = load_experiment(1, "demo")
    reward = chosen.reward.model_copy(update={"name": "<lambda> | x"})
    hostile = chosen.model_copy(update={"reward": reward, "lora": LoRA(**chosen.lora.model_dump())})
    text = card(hostile, load_arm("pcpo"), 0, Base())(1)
    assert "| reward | &lt;lambda> \\| x |" in text
