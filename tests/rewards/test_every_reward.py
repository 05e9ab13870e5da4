"""What holds for all rewards of the folder, a new one included."""

import pytest
import torch

import pcpo.rewards
from tests.rewards.tiny_models import BUILDERS, WITH_WEIGHTS, noise_images, prompts_for

NAMES = pcpo.rewards.names()


def test_every_reward_has_a_tiny_model_for_the_tests():
    assert set(BUILDERS) == set(NAMES), "a new reward needs a builder in tiny_models.py"


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_a_batch_are_the_scores_one_by_one(tiny_reward, name):
    reward = tiny_reward(name, batch_size=4)
    images, prompts = noise_images(5), prompts_for(name, 5)
    scores = reward(images, prompts)
    assert scores.shape == (5,)
    assert scores.dtype == torch.float32
    assert scores.device.type == "cpu"
    alone = torch.cat([reward(images[k : k + 1], prompts[k : k + 1]) for k in range(5)])
    torch.testing.assert_close(scores, alone, rtol=1e-5, atol=1e-5)
    assert torch.equal(scores, reward(images, prompts))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_inputs_are_refused(tiny_reward, name):
    reward, prompts = tiny_reward(name), prompts_for(name, 2)
    with pytest.raises(ValueError, match="uint8"):
        reward(torch.rand(2, 3, 32, 32), prompts)
    with pytest.raises(ValueError, match="as many prompts"):
        reward(noise_images(2), prompts[:1])
    with pytest.raises(ValueError, match="RGB"):
        reward(noise_images(2)[:, :1], prompts)
    with pytest.raises(ValueError, match="not one string"):
        reward(noise_images(2), prompts[0])


@pytest.mark.parametrize("name", NAMES)
def test_different_inputs_have_different_scores(tiny_reward, name):
    scores = tiny_reward(name)(noise_images(8), prompts_for(name, 8))
    assert scores.std() > 2e-4


@pytest.mark.parametrize("name", NAMES)
def test_a_score_that_is_not_finite_names_the_reward_and_the_row(tiny_reward, name, monkeypatch):
    reward = tiny_reward(name, batch_size=2)
    score = reward._score

    def broken(images, prompts):
        found = score(images, prompts)
        return torch.where(torch.tensor([p == third for p in prompts]), torch.nan, found)

    prompts = prompts_for(name, 4)
    third = prompts[2]
    monkeypatch.setattr(reward, "_score", broken)
    with pytest.raises(ValueError, match=rf"'{name}' returned nan for row 2, prompt '{third}'"):
        reward(noise_images(4), prompts)


@pytest.mark.parametrize("shape", [(3,), (4, 1), ()])
def test_another_number_of_scores_than_images_is_refused(tiny_reward, monkeypatch, shape):
    reward = tiny_reward("pickscore")
    monkeypatch.setattr(reward, "_score", lambda images, prompts: torch.zeros(shape))
    with pytest.raises(ValueError, match="'pickscore' returned scores of shape .* for 4 images"):
        reward(noise_images(4), prompts_for("pickscore", 4))


def inside(value):
    """Attributes of an object that is no registry of a torch module."""
    return () if isinstance(value, dict) else getattr(value, "__dict__", {}).values()


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_to_moves_every_network(tiny_reward, name):
    """The device "meta" has no values: a network left on the CPU would still give a score."""
    reward = tiny_reward(name)
    assert not reward.training
    assert sum(1 for _ in reward.parameters()) > 0
    assert reward.to("meta") is reward
    assert {t.device.type for t in (*reward.parameters(), *reward.buffers())} == {"meta"}
    for module in reward.modules():  # nothing lies where `to` does not look
        parts = [part for value in vars(module).values() for part in (value, *inside(value))]
        assert not any(isinstance(part, torch.Tensor | torch.nn.Module) for part in parts)
    with pytest.raises((NotImplementedError, RuntimeError)):
        reward(noise_images(2), prompts_for(name, 2))


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_scores_on_a_gpu_and_back(tiny_reward, name):
    reward, images, prompts = tiny_reward(name), noise_images(4), prompts_for(name, 4)
    expected = reward(images, prompts)
    on_gpu = reward.to("cuda")(images, prompts)
    torch.testing.assert_close(on_gpu, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(reward(images.cuda(), prompts), on_gpu)
    assert torch.equal(reward.to("cpu")(images, prompts), expected)


@pytest.mark.parametrize("name", NAMES)
def test_no_images_no_scores(tiny_reward, name):
    assert tiny_reward(name)(noise_images(1)[:0], []).shape == (0,)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ocr"])
def test_jpeg_changes_the_score(tiny_reward, name):
    count = 64 if name == "bertscore" else 8  # few captions change
    images, prompts = noise_images(count), prompts_for(name, count)
    plain = tiny_reward(name)(images, prompts)
    compressed = tiny_reward(name, jpeg_quality=5)(images, prompts)
    assert not torch.allclose(plain, compressed, rtol=0, atol=1e-4)


def test_loading_leaves_the_global_random_state_alone(tiny_reward):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    tiny_reward("hps")
    assert torch.equal(before, torch.get_rng_state())


def test_unknown_reward_lists_the_folder(tmp_path):
    with pytest.raises(ValueError, match=", ".join(NAMES)):
        pcpo.rewards.load("hpsv3", tmp_path)
    with pytest.raises(ValueError, match="no reward '_clip'"):
        pcpo.rewards.load("_clip", tmp_path)


def test_unknown_option_and_missing_folder(tiny_reward, tmp_path):
    with pytest.raises(ValueError, match=r"'pickscore'.*'scael'"):
        tiny_reward("pickscore", scael="logit")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pcpo.rewards.load("pickscore", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"head.safetensors"):
        pcpo.rewards.load("aesthetic", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_given_where_there_are_weights(tmp_path, name):
    folder = () if name in WITH_WEIGHTS else (tmp_path,)
    with pytest.raises(ValueError, match=rf"'{name}' .* weights.*rewards\.{name}\.path"):
        pcpo.rewards.load(name, *folder)
