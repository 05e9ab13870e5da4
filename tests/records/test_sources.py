"""Sources by imports: what counts, what does not, and that no part of the package is forgotten."""

import pytest

from pcpo.records import sources
from pcpo.records.sources import imports, members, sources_of
from pcpo.training.trained_code import image_sources, training_sources

FILES = {
    "__init__": "",
    "leaf": "import torch",
    "direct": "from pcpo import leaf",
    "absolute": "import pcpo.leaf",
    "name": "from pcpo.leaf import something",
    "relative": "from . import leaf",
    "inside": "def late():\n    try:\n        from pcpo.leaf import x\n    finally:\n        pass",
    "handler": "try:\n    pass\nexcept OSError:\n    from pcpo import leaf",
    "case": "match 1:\n    case 1:\n        from pcpo import leaf",
    "far": "class A:\n    def f(self):\n        import pcpo.direct",
    "ring": "from pcpo import ring, leaf",
    "typed": "if TYPE_CHECKING:\n    from pcpo import leaf",
    "typed_else": "if TYPE_CHECKING:\n    pass\nelse:\n    from pcpo import leaf",
    "text": '"""Example:\n\nfrom pcpo import leaf\n"""',
    "broken": "from pcpo import (",
    "settings": "from pcpo.config import files",
    "part/__init__": "from pcpo import leaf",
    "part/one": "from .two import x",
    "part/two": "",
    "of_part": "from pcpo.part.one import x",
    "of_package": "from pcpo.part import x",
    "config/__init__": "from pcpo import leaf",
    "config/files": "from pcpo import leaf",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pcpo")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(f"{text}\n")
    return folder


@pytest.fixture
def package(folder, monkeypatch):
    monkeypatch.setattr(sources, "PACKAGE", folder)
    return folder


@pytest.mark.parametrize(
    ("start", "others"),
    [
        *((name, {"leaf"}) for name in ("direct", "absolute", "name", "relative", "inside")),
        *((name, {"leaf"}) for name in ("handler", "case", "ring", "typed_else")),
        ("far", {"direct", "leaf"}),
        *((name, set()) for name in ("leaf", "typed", "text", "broken", "settings")),
        ("of_part", {"part/one", "part/two"}),  # not what the package's __init__ imports
        ("of_package", {"part/__init__", "leaf"}),
        ("config.files", {"leaf"}),  # what is named counts, plumbing or not
    ],
)
def test_what_a_module_depends_on(package, start, others):
    own = start.replace(".", "/")
    assert set(sources_of(f"pcpo.{start}")) == {f"{name}.py" for name in {own, *others}}


def test_what_is_left_out_is_not_followed(package):
    assert sources_of("pcpo.far", without=["pcpo.direct"]) == ("far.py",)
    assert sources_of("pcpo.of_part", without=["pcpo.part"]) == ("of_part.py",)


def test_a_module_that_there_is_not_is_named(package):
    with pytest.raises(ValueError, match="there is no module 'pcpo.nothing' in "):
        sources_of("pcpo.leaf", "pcpo.nothing")


def test_other_peoples_modules_are_among_the_imports(package):
    assert imports(package / "leaf.py") == {"torch"}


def test_a_package_and_its_modules(package):
    assert members("pcpo.part") == ("pcpo.part", "pcpo.part.one", "pcpo.part.two")


def test_what_is_stated_is_there():
    for name in sources.PLUMBING:
        assert sources.exists(name), name


def test_a_training_depends_on_the_method_and_not_on_how_its_records_are_written():
    found = set(training_sources("hps"))
    assert found >= {
        *("advantages.py", "credit.py", "objectives.py", "trajectory.py", "prompts/draws.py"),
        *("training/loop.py", "training/learner.py", "training/ema.py", "training/validation.py"),
        *("training/processes.py", "evaluation/generation.py", "prompts/needs.py"),
        *("policies/__init__.py", "policies/base.py", "policies/compiler.py", "policies/flux.py"),
        *("policies/embeddings.py", "policies/stable_diffusion.py"),
        *("policies/stable_diffusion_3.py", "samplers/__init__.py", "samplers/ddim.py"),
        *("samplers/flow.py", "samplers/flow_sde.py", "samplers/flow_cps.py"),
        *("rewards/__init__.py", "rewards/_base.py", "rewards/_jpeg.py"),
        *("rewards/hps.py", "rewards/_open_clip.py", "rewards/_files.py"),
    }
    rooms = {name.split("/")[0] for name in found}
    assert not rooms & {"config", "records", "cli", "cost", "assets", "synthetic", "workflow"}
    assert not found & {"training/run_folder.py", "rewards/ocr.py", "rewards/_blip.py"}


def test_an_image_depends_on_no_part_of_the_trainer():
    found = set(image_sources())
    assert found >= {"evaluation/generation.py", "samplers/ddim.py", "policies/flux.py"}
    assert not [name for name in found if name.startswith(("training/", "rewards/"))]
    assert found <= set(training_sources())
