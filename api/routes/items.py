"""What is asked about an item."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response, Security

from api.http.problems import NOT_FOUND
from api.keys.ring import Held
from api.routes.asked import NOT_MODIFIED, WITH_KEY, Asked, ItemId, body, problems, reach, respond, served
from api.routes.customers import Limit, document
from api.routes.models import ItemFeatures, SimilarItems
from api.served.lists import first_rows

router = APIRouter(prefix="/v1/items/{id}", tags=["items"])


@router.get(
    "/similar",
    summary="Items that go with an item",
    responses={**body(SimilarItems, "The list, best first."), **NOT_MODIFIED, **WITH_KEY, **problems(NOT_FOUND)},
)
async def similar(
    request: Request,
    worker: Asked,
    id: ItemId,
    key: Annotated[Held, Security(reach, scopes=["recommendations:read"])],
    limit: Limit = None,
) -> Response:
    ready = await document(worker, "similar", id)
    if limit is not None:
        ready = served(worker).wrap(first_rows(ready.body, min(limit, worker.settings.rows)))
    return respond(request, worker, ready)


@router.get(
    "/features",
    summary="An item's feature values",
    responses={**body(ItemFeatures, "Values by view."), **NOT_MODIFIED, **WITH_KEY, **problems(NOT_FOUND)},
)
async def features(
    request: Request,
    worker: Asked,
    id: ItemId,
    key: Annotated[Held, Security(reach, scopes=["features:read"])],
) -> Response:
    return respond(request, worker, await document(worker, "item_features", id))
