"""Which modules may import which, read from the sources."""

import sys

import pytest

from pcpo.paths import PACKAGE
from pcpo.records import sources

MODULES = {
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in PACKAGE.rglob("*.py")
}
TRAINER = {
    "pcpo.training.loop",
    "pcpo.training.run_folder",
    "pcpo.trajectory",
    "pcpo.policies",
    "pcpo.samplers",
}


def imported(module):
    return sources.imports(MODULES[module])


def reached(*starts):
    """Every module that importing and using `starts` can load, ours and others' top-level names."""
    seen, waiting = set(), list(starts)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in MODULES:
            waiting += imported(name)
            # Importing a module runs the packages that it is in.
            waiting += [name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1)]
    return {name if name in MODULES else name.split(".")[0] for name in seen}


def below(*packages):
    assert {*packages} <= {*MODULES}
    return within(MODULES, packages)


def within(names, packages):
    return sorted(name for name in names if sources.within(name, packages))


@pytest.mark.parametrize(
    "module",
    [
        "pcpo.config",
        "pcpo.paths",
        "pcpo.figures.registry",
        "pcpo.tables",
        "pcpo.workflow.devices",
        "pcpo.prompts.needs",
        "pcpo.training.trained_code",
        "pcpo.training.identity",
        "pcpo.workflow.inputs",
        "pcpo.workflow.resources",
        "pcpo.workflow.targets",
    ],
)
def test_a_snakefile_parse_loads_only_what_it_needs(module):
    others = {name for name in reached(module) if not name.startswith("pcpo")}
    assert others - sys.stdlib_module_names <= {"pydantic", "yaml"}


REPORT = (
    *("pcpo.report", "pcpo.metrics", "pcpo.stats", "pcpo.tables", "pcpo.figures", "pcpo.claims"),
    *("pcpo.analysis.curves", "pcpo.analysis.phases", "pcpo.analysis.reward_levels"),
    *("pcpo.records.frames", "pcpo.records.frame_file", "pcpo.archive", "pcpo.preference"),
)


@pytest.mark.parametrize("module", below(*REPORT))
def test_reports_need_no_torch_and_no_trainer(module):
    assert not within(reached(module), {"torch", "diffusers", "pcpo.rewards", *TRAINER})


@pytest.mark.parametrize("module", below("pcpo.rewards", "pcpo.features"))
def test_rewards_and_features_know_nothing_of_training_or_configuration(module):
    assert not within(reached(module), {"pcpo.config", "pcpo.cli", *TRAINER})


@pytest.mark.parametrize("module", ["pcpo.credit", "pcpo.objectives", *below("pcpo.samplers")])
def test_the_mathematics_knows_no_policy(module):
    assert not within(reached(module), {"pcpo.policies", "pcpo.training.loop", "pcpo.rewards"})


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith("pcpo.cli")])
def test_only_commands_import_commands(module):
    assert not within(imported(module), {"pcpo.cli"})


@pytest.mark.parametrize(
    "module", [m for m in MODULES if not m.startswith(("pcpo.cli", "pcpo.synthetic"))]
)
def test_the_method_does_not_import_synthetic_data(module):
    assert not within(imported(module), {"pcpo.synthetic"})


def test_the_reading_of_imports_sees_through_modules_and_functions():
    assert {"torch", "diffusers", "pcpo.prompts.draws", "numpy"} <= reached("pcpo.training.loop")
    assert "pcpo.policies.base" in reached("pcpo.cli.train")  # imported within a function
