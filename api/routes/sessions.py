"""Recommendations for a visitor who is no customer, or is not known to be one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response, Security

from api.http.problems import BUSY, MALFORMED, MEDIA_TYPE_REFUSED, NOT_FOUND, TIMED_OUT, TOO_LARGE, Problem
from api.keys.ring import Held
from api.routes.asked import WITH_KEY, Asked, problems, reach, served
from api.routes.models import SessionRecommendations, SessionRequest
from api.served.lists import Suggestion, blended, body_of, popular
from api.served.shelf import Shelf
from api.worker import Worker
from plinth.recommend.session import SessionState

router = APIRouter(tags=["sessions"])

PATH, SCOPE = "/v1/recommendations", "recommendations:read"

WITH_BODY = problems(MALFORMED, TIMED_OUT, TOO_LARGE, MEDIA_TYPE_REFUSED, BUSY)


@router.post(
    PATH,
    summary="What a visitor without a customer is likely to want next",
    description="From the items seen and the events sent with the session; before there are any, what is popular in the country.",
    responses={
        200: {"model": SessionRecommendations, "description": "The list, best first."},
        **{**WITH_KEY, **WITH_BODY, **problems(NOT_FOUND)},
    },
)
async def session_recommendations(
    worker: Asked,
    asked: SessionRequest,
    key: Annotated[Held, Security(reach, scopes=[SCOPE])],
) -> Response:
    shelf = served(worker)
    rows = _rows(worker, shelf, asked)
    if rows is None:
        raise Problem(NOT_FOUND, "Nothing is known of the session, and no popular items are published.")
    body = body_of({"version": shelf.version.id, "stale": worker.stale_since is not None}, rows)
    head = {"Cache-Control": "no-store", "Plinth-Version": str(shelf.version.id)}
    return Response(body, media_type="application/json", headers=head)


def _rows(worker: Worker, shelf: Shelf, asked: SessionRequest) -> list[Suggestion] | None:
    base = popular(shelf, asked.country)
    most = min(asked.limit, worker.settings.rows)
    did = worker.live.session_of(asked.session) if asked.session else ()
    # What the caller names is on the page already; of what the session did only a purchase leaves the list.
    seen = [*did, *((item, 1.0, True) for item in asked.items)]
    if shelf.model is not None and seen:
        state = SessionState(shelf.model)
        for item, weight, taken in seen:
            state.add(item, weight, taken=taken)
        return blended(shelf, base or [], state, most)
    if base is None:
        return None
    known = {item for item, _, taken in seen if taken}
    return ([each for each in base if each.item not in known] or base)[:most]
