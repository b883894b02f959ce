"""What a key is: a public id, a secret of 256 random bits of which only the SHA-256 is kept, scopes, limits and an end.

A secret of this length cannot be guessed or found by trying, so a plain hash is enough: a slow one defends weak passwords, and would
cost more than the answer does.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from plinth.errors import PlinthError

SCOPES = {
    "recommendations:read": "recommendations of customers and sessions, and similar items",
    "promotions:read": "planned offers of customers",
    "features:read": "feature values of customers",
    "events:write": "send events",
    "catalogue:read": "tables with schema, owner and freshness",
}
"""Every scope, with what it opens."""

_FORM = re.compile(r"plinth_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[\w .:@/-]{1,80}")
_MOST = 1_000_000_000
"""Requests a second, or saved up: more than any worker answers, and a number."""
_DAYS = 36_500


class KeyRefused(PlinthError):
    """A key cannot be made or changed as asked."""


@dataclass(frozen=True)
class Key:
    """A key as it is kept.

    Attributes:
        id: public name of the key; it stands in logs.
        digest: SHA-256 of the secret.
        scopes: what it opens.
        rate: requests a second, and `burst` what may be saved up.
        expires_at: from then on it opens nothing, UTC; None: it does not end by itself.
        revoked_at: since then it opens nothing, UTC.
    """

    id: str
    name: str
    digest: bytes
    scopes: frozenset[str]
    rate: float
    burst: float
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


@dataclass(frozen=True)
class NewKey:
    """A key that has just been made, with the text that its owner sends. The text is shown once and kept nowhere."""

    key: Key
    text: str


def new_key(name: str, scopes: Iterable[str], *, rate: float, burst: float, lasts: timedelta | None) -> NewKey:
    """Makes a key.

    Raises:
        KeyRefused: a scope does not exist, none is given, or the name or a limit is out of bounds.
    """
    chosen = frozenset(scopes)
    unknown = sorted(chosen - SCOPES.keys())
    if unknown or not chosen:
        raise KeyRefused(
            "the scopes of the key are wrong",
            expected=f"some of {', '.join(SCOPES)}",
            found=", ".join(unknown) or "none",
        )
    if not _NAME.fullmatch(name):
        raise KeyRefused(
            "the name of the key is wrong", expected="1 to 80 letters, digits, blanks or . : @ / -", found=name
        )
    # Written so that what is no number fails too: every comparison with it is false.
    if not (0 < rate <= _MOST and 1 <= burst <= _MOST and (lasts is None or lasts > timedelta(0))):
        raise KeyRefused(
            "a limit of the key is wrong",
            expected=f"a rate above 0 and a burst of at least 1, both at most {_MOST:,}, and days above 0",
            found=f"rate {rate:g}, burst {burst:g}"
            + ("" if lasts is None else f", {lasts / timedelta(days=1):g} days"),
        )
    identity, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    key = Key(
        id=identity,
        name=name,
        digest=digest_of(secret.encode()),
        scopes=chosen,
        rate=rate,
        burst=burst,
        created_at=now,
        expires_at=None if lasts is None else now + lasts,
    )
    return NewKey(key, f"plinth_{identity}_{secret}")


def span_of(days: float) -> timedelta:
    """So many days, 0 among them.

    Raises:
        KeyRefused: it is no number of days, or more than a hundred years: a key that never ends is made by giving none.
    """
    if not (math.isfinite(days) and 0 <= days <= _DAYS):
        raise KeyRefused(
            "that is no span of time for a key",
            expected=f"0 to {_DAYS:,} days",
            found=f"{days:g}",
            remedy="leave the days out for a key that does not end by itself",
        )
    return timedelta(days=days)


def digest_of(secret: bytes) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret).digest()


def id_of(text: str) -> str | None:
    """The public id within a key's text, or None where the text is no key."""
    match = _FORM.fullmatch(text)
    return None if match is None else match.group(1)
