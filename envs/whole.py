"""Ends with 1, naming them, if packages of a lock are not installed here with all their files.

python envs/whole.py requirements.lock
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path


def is_whole(name: str, version: str) -> bool:
    """Whether a package is here in this version, each recorded file with its recorded size."""
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    if package.version != version or not package.files:  # its record is written last
        return False
    for file in package.files:
        path = Path(str(file.locate()))
        if file.size is not None and not (path.is_file() and path.stat().st_size == file.size):
            return False
    return True


def main(lock: Path) -> int:
    wanted = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.M)
    broken = [name for name, version in wanted if not is_whole(name, version)]
    if broken:
        print(f"not complete in {sys.prefix}: {', '.join(broken)}", file=sys.stderr)
    return int(bool(broken) or not wanted)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
