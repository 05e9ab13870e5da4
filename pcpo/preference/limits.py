"""How often one address may ask: token buckets in memory, in as little of it as one likes.

Addresses are neither stored nor logged; they are forgotten when the process ends.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """At most `burst` at once, and `per_second` in the long run."""

    per_second: float
    burst: int


class Limiter:
    """`allow(key)` says whether another request of this key is within the rate."""

    def __init__(
        self, rate: Rate, keys: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._keys, self._clock = rate, keys, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (left, when)
        self._lock = threading.Lock()

    def allow(self, key: str) -> bool:
        now = self._clock()
        with self._lock:
            left, when = self._buckets.pop(key, (float(self._rate.burst), now))
            left = min(self._rate.burst, left + (now - when) * self._rate.per_second)
            allowed = left >= 1
            self._buckets[key] = (left - 1 if allowed else left, now)
            while len(self._buckets) > self._keys:  # the one that asked longest ago
                self._buckets.popitem(last=False)
        return allowed


def of_address(host: str) -> str:
    """What counts as one address: all of IPv4, the network (/64) of IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
