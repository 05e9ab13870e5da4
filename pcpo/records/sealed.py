"""Files that contain a SHA-256 of their own bytes: a flipped bit is found before a number is read.

The writer of a file puts `UNSEALED` in the place of the sum, once or more, and `seal` replaces it
by the sum of all bytes. `check_seal` takes the sum out again and compares. So no format needs a
second file for the sum, and the sum covers the whole file: header, footer, names and values.
"""

from __future__ import annotations

import re

from pcpo.records.digest import of_bytes

_SEAL = re.compile(rb"sha256:[0-9a-f]{64}")


def _sum(data: bytes) -> bytes:
    return b"sha256:" + of_bytes(data).encode()


# As long as a sum, and never in a file by chance.
UNSEALED = _sum(b"the checksum of this file").decode()


def seal(data: bytes) -> bytes:
    """The bytes of a file with its sum in the place of `UNSEALED`; ValueError if it has none."""
    if UNSEALED.encode() not in data:
        raise ValueError("there is no place for a checksum")
    return data.replace(UNSEALED.encode(), _sum(data))


def check_seal(data: bytes) -> None:
    """Raise ValueError unless these are the bytes that `seal` returned."""
    found = _SEAL.findall(data)
    if not found:
        raise ValueError("it has no checksum: another program or an older version of pcpo wrote it")
    own = found[-1]  # the last: a text before it may look like a sum
    if _sum(data.replace(own, UNSEALED.encode())) != own:
        raise ValueError("it is not as it was written: its SHA-256 differs")
