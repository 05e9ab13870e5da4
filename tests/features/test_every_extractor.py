"""The rules that every extractor of the folder follows, and what distinguishes equal weights."""

import importlib

import pytest
import torch

from pcpo import features


def test_the_folder_is_the_registry():
    assert {"inception", "dinov2", "lpips", "quality_network"} == set(features.names())


@pytest.mark.parametrize("name", features.names())
def test_extractors_name_their_outputs_and_their_missing_weights(name, tmp_path):
    extractor = importlib.import_module(f"pcpo.features.{name}").Features
    assert extractor.outputs and len(set(extractor.outputs)) == len(extractor.outputs)
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}.* is missing"):
        features.load(name, tmp_path)
    with pytest.raises(ValueError, match=rf"{name}\.py gives no 'poodle', only "):
        features.load(name, tmp_path, outputs=["poodle"])


def test_a_digest_is_of_contents(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.bin").write_bytes(b"12345")
    (tmp_path / "b/assets.json").write_text("when and from where")
    first = features.digest("quality_network", tmp_path / "a")
    assert features.digest("quality_network", tmp_path / "b") == first
    assert features.digest("lpips", tmp_path / "a") != first
    (tmp_path / "b/weights.bin").write_bytes(b"12346")
    assert features.digest("quality_network", tmp_path / "b") != first
    (tmp_path / "b/weights.bin").rename(tmp_path / "b/other.bin")
    assert features.digest("quality_network", tmp_path / "b") != first


def test_a_digest_is_of_all_sources_of_an_extractor(tmp_path, monkeypatch):
    names, real = ("inception", "dinov2"), features.digests
    first = {name: features.digest(name, tmp_path) for name in names}

    def edited(files):
        return real(files) | {file: "0" for file in files if file == "features/_weights.py"}

    monkeypatch.setattr(features, "digests", edited)
    second = {name: features.digest(name, tmp_path) for name in names}
    assert [name for name in names if first[name] != second[name]] == ["inception"]


def test_convolutions_keep_float32_and_leave_the_setting_as_it_was():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    with features.float32_convolutions():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic and torch.backends.cudnn.enabled
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before
