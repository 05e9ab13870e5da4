"""SIGTERM as a request: a cluster's warning before the kill."""

from __future__ import annotations

import contextlib
import signal
from typing import Self


class StopRequest:
    """Within the block SIGTERM sets `requested`; afterwards the caller's handler is restored."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> Self:
        with contextlib.suppress(ValueError):  # only the main thread gets signals
            self._before = signal.signal(signal.SIGTERM, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_before"):
            signal.signal(signal.SIGTERM, self._before)

    def _request(self, *_: object) -> None:
        self.requested = True
