"""A reward whose folder lacks a file or holds half of one says so and names the folder."""

import shutil

import pytest

import pcpo.rewards


@pytest.mark.parametrize("damage", ["truncated", "missing"])
@pytest.mark.parametrize("name", pcpo.rewards.names())
def test_damaged_weights_are_named(tiny_folder, tmp_path, name, damage):
    source, options = tiny_folder(name)
    for file in sorted(source.rglob("*.safetensors")):
        folder = tmp_path / file.stem
        shutil.copytree(source, folder)
        target = folder / file.relative_to(source)
        target.write_bytes(file.read_bytes()[:-100])
        if damage == "missing":
            target.unlink()
        with pytest.raises((ValueError, OSError), match=str(folder)):
            pcpo.rewards.load(name, folder, **options)
        shutil.rmtree(folder)
