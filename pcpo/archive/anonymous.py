"""Records and logs without the hosts and folders that they were made in.

The folder of the run becomes `.`, the user's own `~`, every other absolute folder `...`. Hosts are
numbered, so that jobs on the same host can be recognised. The same records give the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

_PROCESS = re.compile(rb'\b(process \d+ on )([^\s"()]+)')  # as pcpo.records.history.process has it
# A folder begins where no word, address or relative path continues.
_FOLDER = re.compile(rb"(?<![\w./:~-])(?:/[\w.@+-]+)+/")


def anonymous(records: Mapping[str, Path]) -> dict[str, bytes]:
    """The content of records by their names, without hosts and folders."""
    texts = {name: path.read_bytes() for name, path in records.items()}
    hosts = sorted({host for text in texts.values() for _, host in _PROCESS.findall(text)})
    numbered = {host: b"host%d" % number for number, host in enumerate(hosts, 1)}
    for name, text in texts.items():
        text = _PROCESS.sub(lambda found: found[1] + numbered[found[2]], text)
        if name.endswith(".log"):  # free text, where a host may be anywhere
            for host, number in numbered.items():
                text = re.sub(rb"(?<![\w.-])" + re.escape(host) + rb"(?![\w-])", number, text)
        texts[name] = without_folders(text)
    return texts


def without_folders(text: bytes) -> bytes:
    """A text without absolute folders, also in JSON's escaped form."""
    for folder, short in ((Path.cwd(), b"."), (Path.home(), b"~")):
        for written in {str(folder), json.dumps(str(folder))[1:-1]}:
            if folder.parent != folder:  # `/` would match every path
                text = re.sub(re.escape(written.encode()) + rb"(?![\w.-])", short, text)
    return _FOLDER.sub(b".../", text)
