"""Places where files cannot be written: a small disk, a folder that is mounted read-only."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAY_MOUNT = os.geteuid() == 0 and shutil.which("mount") is not None


@pytest.fixture
def mounted(tmp_path):
    """Mount a folder, with options of `mount`, for the time of a test; skips where it may not."""
    folders = []

    def mount(folder, *options):
        folder.mkdir(parents=True, exist_ok=True)
        if not MAY_MOUNT:
            pytest.skip("mounting a small disk or a read-only folder needs root")
        done = subprocess.run(["mount", *options, folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount: {done.stderr.strip()}")
        folders.append(folder)
        return folder

    yield mount
    for folder in reversed(folders):
        if f" {folder} " in Path("/proc/self/mounts").read_text():
            subprocess.run(["umount", folder], check=True)
