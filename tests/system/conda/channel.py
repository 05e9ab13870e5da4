"""A conda channel in a folder, with the packages `python` and `pip`.

They are conda packages in form, written by hand and indexed by rattler. In substance they are this
interpreter and this pip: `python` links to the executable beside a `pyvenv.cfg`, by which a Python
takes the folder for its prefix, with packages of its own and the standard library of the original.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import platform
import sys
import tarfile
from importlib import metadata
from pathlib import Path

from rattler.index import index_fs

# In text files, in the place of the folder that a package is linked into; rattler replaces it.
PREFIX = "/placeholder_" + "x" * 100
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
SUBDIR = "linux-64"

# Every Python process of an environment notes its prefix and its command line: what a test reads
# to know in which environment a rule's command really ran.
NOTE = b"""import os, sys
if "CONDA_STANDIN_HOME" in os.environ:
    with open(os.environ["CONDA_STANDIN_HOME"] + "/processes.txt", "a") as file:
        file.write("\\t".join([sys.prefix, *sys.orig_argv]).replace("\\n", " ") + "\\n")
"""


def write_package(
    channel: Path,
    name: str,
    version: str,
    files: dict[str, bytes],
    links: dict[str, str] | None = None,
    depends: tuple[str, ...] = (),
) -> None:
    """One package: files and links by their path in the prefix; what is in bin/ may be run."""
    links = links or {}
    entries = []
    for path, content in files.items():
        entry = {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_in_bytes": len(content),
        }
        if PREFIX.encode() in content:
            entry |= {"prefix_placeholder": PREFIX, "file_mode": "text"}
        entries.append(entry)
    entries += [{"_path": path, "path_type": "softlink"} for path in links]
    index = {
        "name": name, "version": version, "build": "0", "build_number": 0, "subdir": SUBDIR,
        "arch": "x86_64", "platform": "linux", "depends": list(depends), "license": "none",
    }  # fmt: skip
    about = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths_version": 1, "paths": entries}).encode(),
        "info/files": "".join(f"{path}\n" for path in (*files, *links)).encode(),
    }
    folder = channel / SUBDIR
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{name}-{version}-0.tar.bz2", "w:bz2", compresslevel=1) as tar:
        for path, content in (about | files).items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o755 if path.startswith("bin/") else 0o644
            tar.addfile(member, io.BytesIO(content))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)


def write_python(channel: Path) -> None:
    """The package `python`: this interpreter, with no packages."""
    original = Path(sys.base_prefix).resolve() / "bin" / f"python{sys.version_info.major}"
    original = original.resolve()
    settings = f"home = {original.parent}\ninclude-system-site-packages = false\n"
    # Not sitecustomize: Debian's interpreter finds its own first.
    note = {f"{SITE}/noted.py": NOTE, f"{SITE}/noted.pth": b"import noted\n"}
    files = {"pyvenv.cfg": settings.encode(), **note}
    links = {"bin/python": str(original), "bin/python3": "python", f"bin/{original.name}": "python"}
    write_package(channel, "python", platform.python_version(), files, links)


def write_pip(channel: Path) -> None:
    """The package `pip`: the files of the pip that is installed beside this interpreter."""
    pip = metadata.distribution("pip")
    files = {
        f"{SITE}/{path}": Path(pip.locate_file(path)).read_bytes()
        for path in pip.files or ()
        if path.parts[0] != ".." and path.suffix != ".pyc"
    }
    files["bin/pip"] = f'#!/bin/sh\nexec "{PREFIX}/bin/python" -m pip "$@"\n'.encode()
    python = ".".join(platform.python_version_tuple()[:2])
    write_package(channel, "pip", pip.version, files, depends=(f"python {python}.*",))


def write_channel(channel: Path) -> None:
    """A channel with `python` and `pip`, indexed."""
    write_python(channel)
    write_pip(channel)
    (channel / "noarch").mkdir()
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False))
