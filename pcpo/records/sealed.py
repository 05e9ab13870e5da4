"""Files that carry a SHA-256 of their own bytes: a flipped bit is found before a number is read.

The writer of a file puts `UNSEALED` where the sum is to stand, once or more, and `seal` puts the
sum of all bytes there. `check_seal` takes it out again and compares. So a file needs no second one
beside it, whatever its format, and the sum covers all of it: header, footer, names and values.
"""

from __future__ import annotations

import hashlib
import re

_SEAL = re.compile(rb"sha256:[0-9a-f]{64}")


def _sum(data: bytes) -> bytes:
    return b"sha256:" + hashlib.sha256(data).hexdigest().encode()


# As long as any sum, and in no file by chance.
UNSEALED = _sum(b"the checksum of this file").decode()


def seal(data: bytes) -> bytes:
    """The bytes of a file with its sum in the place of `UNSEALED`; ValueError without a place."""
    if UNSEALED.encode() not in data:
        raise ValueError("there is no place for a checksum")
    return data.replace(UNSEALED.encode(), _sum(data))


def check_seal(data: bytes) -> None:
    """Raise ValueError unless these are the bytes that `seal` gave."""
    found = _SEAL.findall(data)
    if not found:
        raise ValueError("it has no checksum: another program or an older version of pcpo wrote it")
    own = found[-1]  # a text in it may look like one: the sum of a file stands after its texts
    if _sum(data.replace(own, UNSEALED.encode())) != own:
        raise ValueError("it is not as it was written: its SHA-256 differs")
