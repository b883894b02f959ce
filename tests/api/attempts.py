"""What Schemathesis sends to one operation: what the document allows and what it does not, and now and then what is known to be there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

_KNOWN_BODIES = {
    "/v1/events": {"events": [{"id": "s1", "customer": "1", "item": "10001", "kind": "view"}]},
    "/v1/recommendations": {"items": ["10001"]},
    "/v1/features": {"pairs": [{"customer": "1", "item": "10001"}]},
}


def attempts(operation: Any, examples: int, send: Callable[[Any], int]) -> set[int]:
    """The statuses of the answers.

    Args:
        send: sends a case, holds the answer to the document, and gives its status.
    """
    statuses: set[int] = set()
    known = {"id": "10001" if operation.path.startswith("/v1/items") else "1", "layer": "gold", "name": "interactions"}
    positive = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    negative = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of(positive, negative), somebody=st.booleans(), plain=st.booleans())
    def attempt(case: Any, somebody: bool, plain: bool) -> None:
        if somebody:
            case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
        if plain:
            # Without a query or a header of its own, as most requests are: those that have a direct answer get it.
            case.query, case.headers, case.cookies = {}, {}, {}
        if somebody and plain and operation.path in _KNOWN_BODIES:
            case.body, case.media_type = _KNOWN_BODIES[operation.path], "application/json"
        statuses.add(send(case))

    attempt()
    return statuses
