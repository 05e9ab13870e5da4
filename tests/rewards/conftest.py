"""Every reward with a tiny random model, built once a session."""

import pytest

import pcpo.rewards
from tests.rewards.tiny_models import BUILDERS


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """name -> (folder, options); the folder is None for a reward without weights."""
    built = {}

    def build(name: str):
        if name not in built:
            folder = tmp_path_factory.mktemp("rewards") / name
            folder.mkdir()
            options = BUILDERS[name](folder)
            built[name] = (folder if any(folder.iterdir()) else None, options)
        return built[name]

    return build


@pytest.fixture(scope="session")
def tiny_reward(tiny_folder):
    """(name, **options) -> the loaded reward."""

    def load(name: str, **options):
        folder, needed = tiny_folder(name)
        return pcpo.rewards.load(name, folder, **(needed | options))

    return load
