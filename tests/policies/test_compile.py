"""A compiled denoiser trains as an eager one does, and stays exactly on-policy."""

import pytest

from pcpo.config import load_arm
from pcpo.training.loop import train
from pcpo.training.observer import Observer
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from tests.small import PROMPTS, brightness, experiment, policy


@pytest.mark.slow
def test_compiled_and_eager_agree_and_the_first_update_is_on_policy(models, tmp_path):
    """With a KL term, whose reference runs the same network with the adapter switched off."""
    rows = {}
    for compiled in (False, True):
        chosen = experiment(8, epochs=2, execution={"compile": compiled})
        own = policy(models, chosen, train=True)
        rows[compiled] = []
        folder = RunFolder(tmp_path / str(compiled), "same")
        run = Run(chosen, load_arm("pcpo"), 0, own, brightness, PROMPTS)
        train(run, folder, [Observer(update=rows[compiled].append)], lambda line: None)
    for eager, compiled in zip(rows[False], rows[True], strict=True):
        for key in ("loss", "kl", "grad_norm", "reward_mean"):
            assert compiled[key] == pytest.approx(eager[key], rel=1e-3, abs=1e-9)
        if compiled["update"] == 1:
            assert compiled["log_ratio_std"] == compiled["log_ratio_mean"] == 0
        else:
            assert compiled["log_ratio_std"] > 0
