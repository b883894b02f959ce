"""The catalogue: which tables there are, whose they are, what is in them, how fresh they are."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response, Security

from api.http.problems import NOT_FOUND
from api.keys.ring import Held
from api.routes.asked import NOT_MODIFIED, WITH_KEY, Asked, body, problems, reach, respond, served
from api.routes.customers import document
from api.routes.models import TableDescription, TablePage
from api.served.shelf import Shelf
from api.worker import Worker

router = APIRouter(prefix="/v1/tables", tags=["catalogue"])

_NAME = r"^[A-Za-z0-9_.-]{1,128}$"
Name = Annotated[str, Path(pattern=_NAME, examples=["sales_daily"])]
LayerName = Annotated[str, Path(pattern=_NAME, examples=["gold"])]
After = Annotated[
    str,
    Query(
        pattern=r"^[A-Za-z0-9_./-]{0,260}$",
        description="Last table of the page before.",
        examples=["gold/customer_360"],
    ),
]


@router.get(
    "",
    summary="The tables of the lakehouse, by name",
    description="In pages by key: tables that come or go meanwhile neither shift nor repeat the others. `next` is the path of the next page.",
    responses={**body(TablePage, "A page."), **NOT_MODIFIED, **WITH_KEY},
)
async def tables(
    request: Request,
    worker: Asked,
    key: Annotated[Held, Security(reach, scopes=["catalogue:read"])],
    after: After = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="Tables a page; at most `api.rows`.", examples=[50])] = 20,
) -> Response:
    shelf = served(worker)
    rows = min(limit, worker.settings.rows)
    found = await _page(worker, shelf, after, rows + 1)
    more = len(found) > rows
    following = f"/v1/tables?{urlencode({'after': found[rows - 1][0], 'limit': rows})}" if more else None
    listed = b",".join(each for _, each in found[:rows])
    said = b"null" if following is None else b'"%s"' % following.encode()
    response = respond(request, worker, shelf.wrap(b'{"tables":[%s],"next":%s}' % (listed, said)))
    if following is not None:
        response.raw_headers.append((b"link", f'<{following}>; rel="next"'.encode()))
    return response


async def _page(worker: Worker, shelf: Shelf, after: str, rows: int) -> list[tuple[str, bytes]]:
    if "table" in shelf.whole:
        held = shelf.documents.get("table", {})
        return [(name, held[name]) for name in islice((name for name in sorted(held) if name > after), rows)]
    return await worker.on_pool(partial(worker.store.scan, "table", after, rows, version=shelf.version.id))


@router.get(
    "/{layer}/{name}",
    summary="One table: schema, owner, freshness",
    responses={**body(TableDescription, "The table."), **NOT_MODIFIED, **WITH_KEY, **problems(NOT_FOUND)},
)
async def table(
    request: Request,
    worker: Asked,
    layer: LayerName,
    name: Name,
    key: Annotated[Held, Security(reach, scopes=["catalogue:read"])],
) -> Response:
    return respond(request, worker, await document(worker, "table", f"{layer}/{name}"))
