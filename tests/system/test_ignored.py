"""What a run makes is not taken for sources: by git, whatever kind of thing it is."""

import shutil
import subprocess

import pytest

from pcpo.records.git import ask
from tests.system.pipeline import ROOT

MADE = ("results", "data", ".snakemake", ".venv")


@pytest.mark.parametrize("kind", ["folder", "link", "link to nothing"])
def test_what_a_run_makes_is_ignored_as_a_folder_and_as_a_link(tmp_path, kind):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    (tmp_path / "pcpo" / "data").mkdir(parents=True)  # a package's own
    (tmp_path / "pcpo" / "data" / "file").touch()
    for name in MADE:
        real = tmp_path.parent / f"{tmp_path.name}_elsewhere" / name
        if kind != "link to nothing":
            real.mkdir(parents=True)
            (real / "file").touch()
        if kind == "folder":
            real.rename(tmp_path / name)
        else:
            (tmp_path / name).symlink_to(real)
    status = ask(tmp_path, "status", "--porcelain", "--untracked-files=all")
    assert status.split() == ["??", ".gitignore", "??", "pcpo/data/file"]
