"""The training command: CUDA's errors in the user's terms, and prompts that CLIP cuts."""

from types import SimpleNamespace

import pytest
import torch

import pcpo.cost.plan
from pcpo.cli.evaluation import cut_prompts
from pcpo.cli.train import out_of_memory
from pcpo.config import load_experiment


def test_out_of_memory_names_the_setting_and_the_size_that_fits(monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=24e9)
    )
    monkeypatch.setattr(pcpo.cost.plan, "suggest_micro_batch", lambda experiment, gigabytes: 4)
    chosen = load_experiment(1, "paper")
    with (
        pytest.raises(
            ValueError, match=r"24 GB .* lower batch.micro_batch, now 8 \(the plan suggests 4\)"
        ) as caught,
        out_of_memory(chosen),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert "config/scale/paper.yaml" in str(caught.value)


def test_a_lost_gpu_is_an_error_with_how_to_resume():
    with (
        pytest.raises(ValueError, match="start again: the run resumes from its last saved state"),
        out_of_memory(load_experiment(1, "paper")),
    ):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure", 719)


def test_prompts_that_clip_cuts_are_counted_and_refused_where_the_paper_drops_them(models):
    model = models["sd15"].path
    short = ["red circle", "blue star"]
    long = [*short, "circle " * 100]
    assert cut_prompts(model, "hpd", "hpd.txt", short) == ""
    message = cut_prompts(model, "hpd", "hpd.txt", long)
    assert message.startswith("hpd.txt: 1 of 3 prompts have more than")
    assert "line 3" in message
    with pytest.raises(ValueError, match=r"mjhq.txt: more than 77 CLIP tokens in line 3"):
        cut_prompts(model, "mjhq", "mjhq.txt", long)
