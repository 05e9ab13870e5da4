"""A configuration that a test may edit."""

import shutil

import pytest
import yaml

from pcpo.config import arms, files


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """A copy of config/ that a test may edit: `edited(file, key path, value)`."""
    folder = tmp_path / "config"
    shutil.copytree("config", folder)
    monkeypatch.setattr(files, "CONFIG", folder)
    arms.blocks_of.cache_clear()

    def edit(file, path, value):
        data = yaml.safe_load((folder / file).read_text()) if (folder / file).exists() else {}
        node = data
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = value
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(yaml.safe_dump(data))

    edit.folder = folder
    yield edit
    arms.blocks_of.cache_clear()
