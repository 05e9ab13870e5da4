"""What a command imports: nothing heavy before it knows what to do, and then what it uses."""

import ast
import gc
import inspect
import re
import subprocess
import sys

import pytest

from pcpo.cli import THRESHOLD, console
from pcpo.cli.synthetic_rewards import STAGES as REWARD_STAGES
from pcpo.paths import PACKAGE
from pcpo.records.sources import exists, within

MODELS = {"torch", "diffusers", "transformers", "peft"}
STATISTICS = {"scipy", "statsmodels"}
FRAMES = {"pandas", "pyarrow"}
HEAVY = MODELS | STATISTICS | FRAMES | {"matplotlib"}

RULES = PACKAGE.parent.joinpath("rules").glob("*.smk")
COMMANDS = {name for file in RULES for name in re.findall(r"\bpcpo\.cli\.(\w+)", file.read_text())}
# A figure's kinds are read from the modules that draw them; an archive's rows are frames.
FIGURE, ARCHIVE = {"matplotlib", *FRAMES}, FRAMES


def test_a_start_imports_nothing_heavy():
    assert {"train", "evaluate", "table", "report"} < COMMANDS
    light = ", ".join(f"pcpo.cli.{name}" for name in sorted(COMMANDS - {"figure", "archive"}))
    assert run(f"import sys, {light}; print(*({HEAVY} & set(sys.modules)))") == ""


@pytest.mark.parametrize("module", ["pcpo.cli.launch", "pcpo.cli.train"])
def test_the_start_of_a_training_reads_no_configuration(module):
    absent = {"pydantic", "yaml", "pcpo.config"}
    assert run(f"import sys, {module}; print(*({absent} & set(sys.modules)))") == ""


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("pcpo.analysis.readings", MODELS - {"torch"}),  # the rule `credit`
        ("pcpo.training.processes", {"torch.distributed.tensor", "sympy"}),  # the rule `evaluate`
        ("pcpo.figures.training_in_pictures", FRAMES),  # the rule `picture`
    ],
)
def test_a_measurement_imports_no_models(module, absent):
    assert run(f"import sys, {module}; print(*({absent} & set(sys.modules)))") == ""


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("pcpo.training.loop", FRAMES | STATISTICS | {"matplotlib"}),  # until the first state
        ("pcpo.training.previews", FRAMES | STATISTICS | {"matplotlib"}),
        ("pcpo.cli.evaluation", STATISTICS | {"matplotlib"}),
        ("pcpo.evaluation.quality", MODELS - {"torch"} | {"statsmodels", "matplotlib"}),
        ("pcpo.analysis.readings", {"pcpo.policies", "pcpo.cost.architectures"}),
        ("pcpo.cli.archive", HEAVY - ARCHIVE),
        ("pcpo.cli.figure", HEAVY - FIGURE),
        ("pcpo.figures.style", FRAMES),
        ("pcpo.report", HEAVY - FRAMES | {"pcpo.stats", "pcpo.claims.cells"}),
        ("pcpo.claims.ledger", {"statsmodels", "scipy.signal", "matplotlib"}),
        ("pcpo.claims.cells", {"statsmodels", "scipy.signal", "matplotlib"}),
        ("pcpo.synthetic.quality_network", MODELS - {"torch"}),
        ("pcpo.synthetic.preference", {"diffusers", "peft"}),
        ("pcpo.synthetic.bert_embeddings", {"diffusers", "peft"}),
        ("pcpo.synthetic.recogniser", MODELS - {"torch"}),
        ("pcpo.tables.quality", STATISTICS),
        ("pcpo.tables.alignment", STATISTICS),
    ],
)
def test_our_modules_import_only_what_they_use(module, absent):
    found = {name for name in loaded(module) if within(name, absent)}
    assert not found


def loaded(start):
    """The modules that our sources import when `start` is imported: ours, and others' that they
    name. What others' modules import is not followed, nor are imports within functions."""
    seen, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if exists(name):
            packages = [name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1)]
            waiting += [*packages, *at_import(name)]
    return seen


def at_import(module):
    place = PACKAGE.parent.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    waiting, names = list(ast.parse(file.read_text()).body), set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            ours = node.module.partition(".")[0] == "pcpo"
            names |= {name for name in whole if not ours or exists(name)} | {node.module}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return names


def test_the_reading_of_sources_follows_imports_outside_functions():
    assert {"torch", "diffusers", "pcpo.policies.base", "pcpo.records.frames"} <= loaded(
        "pcpo.training.loop"
    )
    assert "pandas" in loaded("pcpo.evaluation.images")
    assert "pandas" not in loaded(
        "pcpo.records.frame_file"
    )  # within functions, and for type checkers


def test_the_collector_waits_for_the_imports():
    assert run("import gc, pcpo.cli.train; print(gc.get_threshold()[0])") == "2500000"
    before = gc.get_freeze_count()
    gc.set_threshold(2_500_000)
    console.setup()
    try:
        once = gc.get_freeze_count()
        assert once > before
        assert gc.get_threshold() == THRESHOLD
        console.setup()  # a later stage of a command: what the first one left is garbage
        assert gc.get_freeze_count() <= once
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("file", sorted(PACKAGE.joinpath("cli").glob("*.py")), ids=lambda f: f.stem)
def test_a_command_imports_before_it_sets_up(file):
    for function in ast.walk(ast.parse(file.read_text())):
        if isinstance(function, ast.FunctionDef) and function.name != "setup":
            nodes = list(ast.walk(function))
            setups = [n.lineno for n in nodes if isinstance(n, ast.Call) and named(n) == "setup"]
            imports = [n.lineno for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not setups or not imports or max(imports) < min(setups)


@pytest.mark.parametrize("stage", [*REWARD_STAGES.values()], ids=[*REWARD_STAGES])
def test_a_stage_sets_up_after_its_imports(stage):
    source = inspect.getsource(stage)
    assert ("console.setup()" in source) == ("    from pcpo" in source)


def named(call):
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
