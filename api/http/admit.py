"""Who may ask: the key of a request, its scopes and its rate, told from the head alone, before a body is read.

What belongs here: the check and its problems. What does not: which scope a route needs (`api.routes`), and the keys (`api.keys`).
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from typing import Any

from api.http.problems import NOT_AUTHENTICATED, RATE_LIMITED, SCOPE_MISSING, STORE_UNAVAILABLE, Problem
from api.keys.ring import Held
from api.worker import Worker

_ADMITTED = "plinth.admitted"


def admit(scope: MutableMapping[str, Any], worker: Worker, needed: Sequence[str]) -> Held:
    """The key of the request, if it is valid, has the scopes, and has a request left. Of each request it takes one, however often it is asked.

    Raises:
        Problem: it is not, or the keys are not known yet.
    """
    before: Held | None = scope.get(_ADMITTED)
    if before is not None:
        return before
    if not worker.ring.known:
        raise Problem(STORE_UNAVAILABLE, "The keys are not known yet.", headers={"Retry-After": "1"})
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    key = worker.ring.find(sent[0]) if len(sent) == 1 else None
    if key is None:
        raise Problem(NOT_AUTHENTICATED, headers={"WWW-Authenticate": "Bearer"})
    scope["plinth.key"] = key.id
    missing = [each for each in needed if each not in key.scopes]
    if missing:
        raise Problem(
            SCOPE_MISSING,
            f"The scope {missing[0]} is needed.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{missing[0]}"'},
        )
    if not key.take():
        raise Problem(
            RATE_LIMITED,
            f"The key may send {key.limit:g} requests a second.",
            headers={"Retry-After": str(max(1, math.ceil(key.wait())))},
        )
    scope[_ADMITTED] = key
    return key
