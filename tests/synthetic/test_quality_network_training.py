import numpy as np
import torch

from pcpo.features.quality_network import load_network
from pcpo.synthetic import drawing
from pcpo.synthetic.quality_network import (
    attribute_hits,
    attribute_labels,
    held_out_accuracy,
    train_quality_network,
)


def test_a_short_training_beats_chance_and_repeats(tmp_path):
    for name in ("one", "two"):
        train_quality_network(tmp_path / name, steps=20, batch=64, drawings=900)
    accuracy = held_out_accuracy(tmp_path / "one", count=360)
    assert set(accuracy) == {"colour", "shape", "activity"}
    assert accuracy["colour"] > 0.6  # chance is 0.2
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_hits_compare_the_most_likely_class_with_the_caption():
    scenes = [drawing.Scene(2, 7, 1), drawing.Scene(4, 0)]
    labels = attribute_labels(scenes)
    assert labels.tolist() == [[2, 7, 1], [4, 0, drawing.NO_ACTIVITY]]

    def always_the_first_scene(pixels: torch.Tensor) -> list[torch.Tensor]:
        heads = [torch.zeros(len(pixels), count) for count in (5, 9, 4)]
        for head, label in zip(heads, labels[0], strict=True):
            head[:, label] = 1
        return heads

    images = drawing.draw(scenes, np.random.default_rng(0))
    hits = attribute_hits(always_the_first_scene, images, scenes)
    assert hits.tolist() == [[True, True, True], [False, False, False]]


def test_the_saved_network_is_the_trained_one(tmp_path):
    train_quality_network(tmp_path / "quality_network", steps=1, batch=8, drawings=180)
    network = load_network(tmp_path / "quality_network")
    assert not network.training
    assert [head.out_features for head in network.heads] == [5, 9, 4]
