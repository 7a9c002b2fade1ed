"""Rate limits in memory: token buckets by a key that is never stored."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time


class RateLimit:
    """Allows ``burst`` calls at once and ``per_second`` in the long run, for every key on its own."""

    def __init__(self, *, burst: float, per_second: float, clock=time.monotonic) -> None:
        self._burst, self._rate, self._clock = float(burst), float(per_second), clock
        self._buckets: dict[bytes, tuple[float, float]] = {}
        self._lock = threading.Lock()
        self._salt = secrets.token_bytes(16)

    def allow(self, key: str) -> bool:
        """Take one token; False if there is none. Keys are kept as salted hashes that die with the process."""
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=16).digest()
        now = self._clock()
        with self._lock:
            if len(self._buckets) > 20000:
                self._forget(now)
            tokens, last = self._buckets.get(digest, (self._burst, now))
            tokens = min(self._burst, tokens + (now - last) * self._rate)
            allowed = tokens >= 1
            self._buckets[digest] = (tokens - allowed, now)
        return allowed

    def _forget(self, now: float) -> None:
        """Drop buckets that are full again."""
        self._buckets = {key: (tokens, last) for key, (tokens, last) in self._buckets.items() if tokens + (now - last) * self._rate < self._burst}
