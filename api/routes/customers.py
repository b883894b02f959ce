"""What is asked about a customer: recommendations, promotions, features, and how he stands to his items."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, Security

from api.events.batch import COUNTRY_PATTERN
from api.http.problems import NOT_FOUND, Problem
from api.keys.ring import Held
from api.routes.asked import NOT_MODIFIED, WITH_KEY, Asked, CustomerId, body, problems, reach, respond, served
from api.routes.models import CustomerItems, Features, Promotions, Recommendations
from api.served.lists import body_of, first_rows, popular
from api.served.shelf import Ready, Shelf
from api.worker import Worker
from plinth.serving.lengths import ANSWER_LENGTH, LIST_KIND

router = APIRouter(prefix="/v1/customers/{id}", tags=["customers"])

Limit = Annotated[
    int | None,
    Query(
        ge=1,
        le=1000,
        description=f"Rows; {ANSWER_LENGTH} by default, at most what was published and `api.rows`.",
        examples=[10],
    ),
]
InCountry = Annotated[
    str | None,
    Query(pattern=COUNTRY_PATTERN, description="Where a customer is of whom nothing is known.", examples=["France"]),
]


@router.get(
    "/recommendations",
    summary="What a customer is likely to want next",
    description="The published list, with the events of the last hours blended in. A customer of whom nothing is known gets what is popular.",
    responses={**body(Recommendations, "The list, best first."), **NOT_MODIFIED, **WITH_KEY, **problems(NOT_FOUND)},
)
async def recommendations(
    request: Request,
    worker: Asked,
    id: CustomerId,
    key: Annotated[Held, Security(reach, scopes=["recommendations:read"])],
    limit: Limit = None,
    country: InCountry = None,
) -> Response:
    shelf = served(worker)
    if limit is None:
        return respond(request, worker, await _sent(worker, shelf, id, country))
    rows = min(limit, worker.settings.rows)
    base = await worker.fetch_list(id)
    ready = worker.live.rows_of(id, shelf, base, rows, country)
    if ready is None:
        ready = shelf.wrap(first_rows(base[0], rows, *base[1:])) if base else _cold_start(shelf, id, country, rows)
    return respond(request, worker, ready)


async def _sent(worker: Worker, shelf: Shelf, customer: str, country: str | None) -> Ready:
    """The list of a customer as it is sent where nobody asks for a number of rows: what the fast ways out send as well."""
    if customer in worker.live.customers:
        ready = worker.live.list_of(customer, shelf, await worker.fetch_list(customer), country)
        if ready is not None:
            return ready
    found = await worker.fetch(LIST_KIND, customer)
    return _cold_start(shelf, customer, country, ANSWER_LENGTH) if found is None else shelf.wrap(found)


def _cold_start(shelf: Shelf, customer: str, country: str | None, rows: int) -> Ready:
    chosen = popular(shelf, country)
    if chosen is None:
        raise Problem(NOT_FOUND)
    return shelf.wrap(body_of({"customer": customer, "cold_start": True}, chosen[:rows]))


@router.get(
    "/promotions",
    summary="The offers that are planned for a customer",
    responses={**body(Promotions, "The offers."), **NOT_MODIFIED, **WITH_KEY, **problems(NOT_FOUND)},
)
async def promotions(
    request: Request,
    worker: Asked,
    id: CustomerId,
    key: Annotated[Held, Security(reach, scopes=["promotions:read"])],
) -> Response:
    return respond(request, worker, await document(worker, "promotions", id))


@router.get(
    "/features",
    summary="A customer's feature values",
    responses={**body(Features, "Values by view."), **NOT_MODIFIED, **WITH_KEY, **problems(NOT_FOUND)},
)
async def features(
    request: Request,
    worker: Asked,
    id: CustomerId,
    key: Annotated[Held, Security(reach, scopes=["features:read"])],
) -> Response:
    return respond(request, worker, await document(worker, "features", id))


@router.get(
    "/items",
    summary="How a customer stands to the items that he buys",
    description="Feature values of the customer with an item, of the items that come first by the declared feature of each view.",
    responses={**body(CustomerItems, "Rows by view."), **NOT_MODIFIED, **WITH_KEY, **problems(NOT_FOUND)},
)
async def items(
    request: Request,
    worker: Asked,
    id: CustomerId,
    key: Annotated[Held, Security(reach, scopes=["features:read"])],
) -> Response:
    return respond(request, worker, await document(worker, "customer_items", id))


async def document(worker: Worker, kind: str, key: str) -> Ready:
    """A stored document as an answer, or the problem that there is none."""
    shelf = served(worker)
    found = await worker.fetch(kind, key)
    if found is None:
        raise Problem(NOT_FOUND)
    return shelf.wrap(found)
