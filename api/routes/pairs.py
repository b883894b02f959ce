"""Feature values of many pairs of a customer and an item in one request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response, Security
from pydantic import BaseModel, ConfigDict, Field

from api.events.batch import Identity
from api.http.problems import INVALID, Fault, Problem
from api.keys.ring import Held as Key
from api.routes.asked import WITH_KEY, Asked, reach, served
from api.routes.models import MOMENT, example
from api.routes.sessions import WITH_BODY
from api.served.pairs import OF_CUSTOMERS, OF_ITEMS, OF_PAIRS, Held, body_of_pairs, needed

router = APIRouter(tags=["customers"])

PATH, SCOPE = "/v1/features", "features:read"


class CustomerWithItem(BaseModel):
    """A customer and an item that features are asked for."""

    model_config = ConfigDict(extra="forbid")

    customer: Identity
    item: Identity


class FeatureRequest(BaseModel):
    """Pairs whose feature values are asked for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"pairs": [{"customer": "12347", "item": "85123A"}]}]}
    )

    pairs: list[CustomerWithItem] = Field(min_length=1, max_length=10_000, description="At most `api.batch`.")


class FeaturesOfPair(BaseModel):
    """How a customer stands to an item that was asked for."""

    customer: str
    item: str
    features: dict[str, Any] = Field(
        description="By view of pairs: values by feature, or null where the item is not among those that `/v1/customers/{id}/items` gives of the customer."
    )


class PairFeatures(BaseModel):
    """The feature values of pairs, as of the newest data."""

    model_config = example(
        version=12, stale=False, as_of="2026-07-29T17:04:31",
        customers={"12347": {"customer": {"days_since_order": 12.3, "orders_decay_90": 3.1}}},
        items={"85123A": {"item": {"orders_30d": 41, "price": 2.95}}},
        pairs=[{"customer": "12347", "item": "85123A", "features": {"customer_item": {"orders": 4, "order_share": 0.4}}}],
    )  # fmt: skip

    version: int = Field(description="The version that all of them are of.")
    stale: bool = Field(description="Whether the store was away.")
    as_of: str | None = Field(description=f"{MOMENT} Null where nothing is known of any.")
    customers: dict[str, dict[str, Any] | None] = Field(
        description="Of each customer asked for: by view, then by feature."
    )
    items: dict[str, dict[str, Any] | None] = Field(description="Of each item asked for: by view, then by feature.")
    pairs: list[FeaturesOfPair] = Field(description="In the order of the question.")


@router.post(
    PATH,
    summary="The feature values of many customers with many items",
    description=(
        "For whoever ranks candidates by a model of his own: at most `api.batch` pairs. The values of each customer and each item come once, those of the "
        "pairs in the order of the question, all of one version and as of one moment."
    ),
    responses={
        200: {"model": PairFeatures, "description": "Values by view; null where nothing is known."},
        **{**WITH_KEY, **WITH_BODY},
    },
)
async def pair_features(
    worker: Asked,
    asked: FeatureRequest,
    key: Annotated[Key, Security(reach, scopes=[SCOPE])],
) -> Response:
    if len(asked.pairs) > worker.settings.batch:
        raise Problem(INVALID, faults=[Fault("/pairs", f"At most {worker.settings.batch} pairs are taken at once.")])
    shelf = served(worker)
    pairs = [(each.customer, each.item) for each in asked.pairs]
    found = {kind: await worker.fetch_many(shelf, kind, keys) for kind, keys in needed(pairs).items()}
    held = Held(found[OF_CUSTOMERS], found[OF_ITEMS], found[OF_PAIRS])
    body = body_of_pairs(pairs, held, version=shelf.version.id, stale=worker.stale_since is not None)
    head = {"Cache-Control": "no-store", "Plinth-Version": str(shelf.version.id)}
    return Response(body, media_type="application/json", headers=head)
