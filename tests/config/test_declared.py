"""What is read of decorators without importing is what importing declares."""

import pytest
from pydantic import ValidationError

from pcpo import advantages, credit, objectives
from pcpo.config import Advantage, ConfigError, load_arm
from pcpo.config import declared as reading
from pcpo.config.arms import OBJECTIVES, RULES, Arm
from pcpo.config.experiment import ADVANTAGES


def test_names_and_families_are_those_of_the_tables():
    read = {(family, r.name) for r in RULES.all() for family in r.values}
    assert read == {(family, name) for family, rules in credit.RULES.items() for name in rules}
    assert OBJECTIVES.names() == list(objectives.OBJECTIVES)
    assert ADVANTAGES.names() == list(advantages.KINDS)


def test_what_config_asks_of_them():
    assert load_arm("lambda").needs_reference and not load_arm("pcpo").needs_reference
    assert load_arm("pcpo").applies_to("ddim") and load_arm("pcpo").applies_to("dance_sde")
    assert not load_arm("uniform").applies_to("ddim")
    assert not load_arm("pcpo_exact").applies_to("flow_grpo_sde")
    kinds = {kind: Advantage(kind=kind, epsilon=0, clip=1).grouped for kind in ADVANTAGES.names()}
    assert kinds == {
        "per_prompt_running": False, "per_group": True, "group_mean_global_std": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "there"),
    [("credit", "pcpo/credit.py: native, .* uniform"), ("objective", "ppo_clip, log_hinge")],
)
def test_the_error_of_another_name_lists_the_known_ones(key, there):
    with pytest.raises(ValidationError, match=f"{key}\n.*use one of .*{there}"):
        Arm(**(load_arm("pcpo").model_dump() | {key: "best"}))


def test_a_source_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PACKAGE", tmp_path)
    for text in ("@rule('a'\n", "@rule(NAME)\ndef f(): ...\n"):
        (tmp_path / "credit.py").write_text(text)
        reading._read.cache_clear()
        with pytest.raises(ConfigError, match="credit.py: @rule cannot be read"):
            RULES.all()
    reading._read.cache_clear()
