"""A reward whose folder lacks a file, or holds half or a hostile one, says so and names it."""

import os
import shutil

import pytest
import torch
from open_clip import factory

import pcpo.rewards
from tests.rewards.tiny_models import WITH_WEIGHTS


@pytest.mark.parametrize("damage", ["truncated", "missing"])
@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_damaged_weights_are_named(tiny_folder, tmp_path, name, damage):
    source, options = tiny_folder(name)
    for file in sorted(source.rglob("*.safetensors")):
        folder = tmp_path / file.stem
        shutil.copytree(source, folder)
        target = folder / file.relative_to(source)
        target.write_bytes(file.read_bytes()[:-100])
        if damage == "missing":
            target.unlink()
        with pytest.raises((ValueError, OSError), match=str(folder)):
            pcpo.rewards.load(name, folder, **options)
        shutil.rmtree(folder)


class Payload:
    """Pickles to a call that creates the folder `path`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("name", "file", "option"),
    [
        ("aesthetic", "sac+logos+ava1-l14-linearMSE.pth", "head"),
        ("imagereward", "ImageReward.pt", "checkpoint"),
        ("clipscore", "open_clip_pytorch_model.bin", None),
        ("pickscore", "pytorch_model.bin", None),
        ("bertscore", "encoder/pytorch_model.bin", None),
    ],
)
def test_a_pickle_that_would_run_code_is_refused(tiny_folder, tmp_path, name, file, option):
    source, options = tiny_folder(name)
    folder, mark = tmp_path / "folder", tmp_path / "code was run"
    shutil.copytree(source, folder)
    if option is None:
        for safe in (folder / file).parent.glob("*.safetensors"):
            safe.unlink()
    else:
        options = options | {option: file}
    torch.save({"state_dict": Payload(mark)}, folder / file)
    with pytest.raises(ValueError, match=rf"'{name}'.*more than tensors.*mkdir.*safetensors"):
        pcpo.rewards.load(name, folder, **options)
    assert not mark.exists()
    torch.load(folder / file, weights_only=False)  # where it is let in, the payload works
    assert mark.exists()


def test_hps_checkpoint_that_would_run_code_is_refused(tmp_path, monkeypatch):
    small = {"embed_dim": 8, "vision_cfg": {"width": 64, "layers": 1}, "text_cfg": {"layers": 1}}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-H-14", small)
    mark = tmp_path / "code was run"
    torch.save({"state_dict": Payload(mark)}, tmp_path / "HPS_v2.1_compressed.pt")
    with pytest.raises(ValueError, match=r"'hps'.*more than tensors.*mkdir"):
        pcpo.rewards.load("hps", tmp_path)
    assert not mark.exists()
