"""Events of visitors, taken in batches."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response, Security

from api.events.batch import EventBatch, EventReceipt
from api.http.problems import INVALID, Fault, Problem
from api.keys.ring import Held
from api.routes.asked import WITH_KEY, Asked, reach
from api.routes.sessions import WITH_BODY

router = APIRouter(tags=["events"])

PATH, SCOPE = "/v1/events", "events:write"


@router.post(
    PATH,
    summary="Send what customers and visitors did",
    description=(
        "All or nothing, at most `api.batch` events. The answer comes when they are durable and have changed the lists of their customers "
        "and sessions. An event is known by its id: sent again, whatever happened to the first answer, it counts once."
    ),
    responses={
        200: {"model": EventReceipt, "description": "Every event of the batch is durable."},
        **{**WITH_KEY, **WITH_BODY},
    },
)
async def events(
    worker: Asked,
    batch: EventBatch,
    key: Annotated[Held, Security(reach, scopes=[SCOPE])],
) -> Response:
    if len(batch.events) > worker.settings.batch:
        fault = Fault("/events", f"At most {worker.settings.batch} events are taken at once.")
        raise Problem(INVALID, faults=[fault])
    result = await worker.append([event.stored() for event in batch.events])
    receipt = EventReceipt(accepted=result.accepted, repeated=result.repeated)
    return Response(receipt.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})
