"""The keys as a worker holds them: who sends this request, and has the key a request left in this second?

What belongs here: authentication and the token bucket, both in memory and a few microseconds. What does not: where keys are kept
(`api.keys.table`), and which scope a route needs.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from api.keys.key import Key

_PREFIX = b"Bearer plinth_"
_ID = slice(len(_PREFIX), len(_PREFIX) + 16)
_SECRET = slice(len(_PREFIX) + 17, None)
_LENGTH = len(_PREFIX) + 16 + 1 + 43
_NEVER = float("inf")
_NO_DIGEST = bytes(32)


class Held:
    """A valid key in memory with its bucket: `tokens` grow by `rate` a second up to `burst`, and each request takes one."""

    __slots__ = ("burst", "digest", "ends", "filled_at", "id", "rate", "scopes", "tokens")

    def __init__(self, key: Key) -> None:
        self.id = key.id
        self.digest = key.digest
        self.scopes = key.scopes
        self.rate = key.rate
        self.burst = key.burst
        self.tokens = key.burst
        self.filled_at = time.monotonic()
        self.ends = _NEVER if key.expires_at is None else key.expires_at.timestamp()

    def take(self, tokens: float = 1.0, now: float | None = None) -> bool:
        """Takes from the bucket, or False where too little is left; `now` is the monotonic clock's."""
        now = time.monotonic() if now is None else now
        left = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if left < tokens:
            self.tokens = left
            return False
        self.tokens = left - tokens
        return True

    def wait(self, tokens: float = 1.0) -> float:
        """Seconds until so many tokens are there."""
        return max(0.0, (tokens - self.tokens) / self.rate)


class Ring:
    """All valid keys. `renew` puts in what the table says now; buckets of keys that stay keep what they hold."""

    def __init__(self) -> None:
        self._held: dict[bytes, Held] = {}
        self._keys: Sequence[Key] | None = None
        self.known = False

    def renew(self, keys: Sequence[Key]) -> None:
        """Takes the table's keys; what is revoked or gone opens nothing from here on.

        The same sequence as the last time costs nothing: this goes on between requests, twice a second, with as many keys as there are.
        """
        if keys is self._keys:
            return
        self._keys = keys
        now = datetime.now(UTC)
        before, held = self._held, {}
        for key in keys:
            if key.state(now) != "valid":
                continue
            each = Held(key)
            old = before.get(key.id.encode())
            if old is not None:
                each.tokens, each.filled_at = min(old.tokens, each.burst), old.filled_at
            held[key.id.encode()] = each
        self._held, self.known = held, True

    def find(self, authorization: bytes | None) -> Held | None:
        """The key that an Authorization header holds, or None where it holds no valid one.

        The secret's hash is compared in constant time, also with a digest that none has where the id is unknown.
        """
        if authorization is None or len(authorization) != _LENGTH or not authorization.startswith(_PREFIX):
            return None
        held = self._held.get(authorization[_ID])
        digest = hashlib.sha256(authorization[_SECRET]).digest()
        if not hmac.compare_digest(_NO_DIGEST if held is None else held.digest, digest) or held is None:
            return None
        return held if held.ends > time.time() else None
