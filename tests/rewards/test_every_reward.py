"""What holds for all rewards of the folder, a new one included."""

import pytest
import torch

import pcpo.rewards
from tests.rewards.tiny_models import BUILDERS, noise_images, prompts_for

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
def test_no_images_no_scores(tiny_reward, name):
    assert tiny_reward(name)(noise_images(1)[:0], []).shape == (0,)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ocr"])
def test_jpeg_changes_the_score(tiny_reward, name):
    images, prompts = noise_images(8), prompts_for(name, 8)
    plain = tiny_reward(name)(images, prompts)
    compressed = tiny_reward(name, jpeg_quality=5)(images, prompts)
    assert not torch.allclose(plain, compressed, rtol=0, atol=1e-4)


def test_loading_leaves_the_global_random_state_alone(tiny_reward):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    tiny_reward("hps")
    assert torch.equal(before, torch.get_rng_state())


def test_unknown_reward_lists_the_folder(tmp_path):
    with pytest.raises(ValueError, match="aesthetic, bertscore, clipscore, hps"):
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
