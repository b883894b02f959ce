"""The bodies of answers, for the OpenAPI document: what a client may rely on, with an example of each.

Stored bodies go out as they were published and are not made from these; the suite holds what is published to them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.events.batch import Country, Identity

_ROW = {"item": "85123A", "score": 0.61, "reason": "bought before", "description": "WHITE HANGING HEART T-LIGHT HOLDER"}

MOMENT = "The moment, in the trade's local time: everything that was known before it counts."


def example(**values: Any) -> ConfigDict:
    """A model's settings with an example of it for the document."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class RecommendedItem(BaseModel):
    """One row of a list, best first."""

    item: str
    score: float = Field(description="Comparable within one list only.")
    reason: str | None = Field(default=None, description="Why it stands here, for people.")
    description: str | None = None


class Recommendations(BaseModel):
    """What a customer is likely to want next."""

    model_config = example(customer="12347", items=[_ROW])

    customer: str
    items: list[RecommendedItem]
    session_events: int | None = Field(
        default=None, description="Events of the last hours that changed the list; absent where there were none."
    )
    cold_start: bool | None = Field(
        default=None,
        description="True where nothing is stored of the customer: the popular list, and what the events say.",
    )


class SimilarItems(BaseModel):
    """Items that go with an item."""

    model_config = example(item="85123A", items=[{"item": "22804", "score": 0.42, "description": "PINK HANGING HEART"}])

    item: str
    items: list[RecommendedItem]


class Offer(BaseModel):
    """A promotion that is planned for a customer."""

    promotion: str
    name: str | None = None
    type: str | None = None
    starts_on: str | None = None
    ends_on: str | None = None
    expected_profit: float | None = None
    is_proposal: bool | None = Field(
        default=None,
        description="True where nobody has announced it: an ended promotion that the plan would repeat, with the days it would have. No promise to a "
        "customer before somebody announces it.",
    )


class Promotions(BaseModel):
    """The offers of a customer under the plan's budget, limits and consents."""

    model_config = example(
        customer="12347",
        offers=[
            {
                "promotion": "P-31", "name": "Summer garden", "type": "percent_off",
                "starts_on": "2026-08-01", "ends_on": "2026-08-14", "expected_profit": 1.84,
                "is_proposal": False,
            }
        ],
        planned_on="2026-07-30",
    )  # fmt: skip

    customer: str
    offers: list[Offer] = Field(description="Those that have not ended.")
    planned_on: str | None = Field(default=None, description="Day of the plan.")


class Features(BaseModel):
    """A customer's feature values as of the newest data, as the declared views compute them."""

    model_config = example(
        customer="12347",
        as_of="2026-07-29T17:04:31",
        features={"customer": {"days_since_order": 12.3, "orders_decay_90": 3.1}},
    )

    customer: str
    as_of: str = Field(description=MOMENT)
    features: dict[str, Any] = Field(description="By view, then by feature.")


class ItemFeatures(BaseModel):
    """An item's feature values as of the newest data: the moment is that of the customers' values."""

    model_config = example(
        as_of="2026-07-29T17:04:31",
        features={"item": {"orders_30d": 41, "orders_30d_year_ago": 38, "price": 2.95, "bought_with_28d": 212}},
        item="85123A",
    )

    item: str
    as_of: str = Field(description=MOMENT)
    features: dict[str, Any] = Field(description="By view, then by feature.")


class CustomerItem(BaseModel):
    """How a customer stands to one item."""

    item: str
    values: dict[str, Any] = Field(description="By feature.")


class CustomerItems(BaseModel):
    """How a customer stands to the items that he buys: the first ones by the feature that each view names."""

    model_config = example(
        as_of="2026-07-29T17:04:31",
        customer="12347",
        features={
            "customer_item": [{"item": "85123A", "values": {"orders": 4, "orders_decay_90": 1.7, "order_share": 0.4}}]
        },
    )

    customer: str
    as_of: str = Field(description=MOMENT)
    features: dict[str, list[CustomerItem] | None] = Field(
        description="By view: rows, the one with the greatest value first."
    )


class TableDescription(BaseModel):
    """A table of the lakehouse."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "table": "gold/sales_daily", "layer": "gold", "name": "sales_daily", "description": "Sales by day.",
                    "owner": "team:commerce", "rows": 604, "version": 12, "updated_at": "2026-07-29T04:10:00Z",
                    "columns": [{"name": "day", "type": "date", "description": "Day of trade.", "classification": "internal"}],
                }
            ]
        },
    )  # fmt: skip

    table: str
    layer: str | None = None
    name: str | None = None
    owner: str | None = None
    description: str | None = None
    columns: list[dict[str, Any]] = Field(default=[], description="Schema: name, type, description, classification.")
    rows: int | None = None
    version: int | None = Field(default=None, description="Delta version.")
    updated_at: str | None = Field(default=None, description="When its newest version was written: its freshness.")


class TablePage(BaseModel):
    """A page of the catalogue."""

    model_config = example(
        tables=[{"table": "gold/sales_daily", "owner": "team:commerce", "columns": []}],
        next="/v1/tables?after=gold%2Fsales_daily&limit=1",
    )

    tables: list[TableDescription]
    next: str | None = Field(description="Path of the next page, or null on the last one.")


class SessionRequest(BaseModel):
    """A visitor without a customer: what was looked at, and where the visitor is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"session": "s-81", "items": ["85123A", "22423"], "country": "France", "limit": 10}]
        },
    )

    session: Identity | None = Field(default=None, description="Events sent with this session count as well.")
    items: list[Identity] = Field(default=[], max_length=50, description="Items seen, oldest first.")
    country: Country | None = None
    limit: int = Field(default=20, ge=1, le=1000)


class SessionRecommendations(BaseModel):
    """What a visitor is likely to want next."""

    model_config = example(items=[_ROW], version=12, stale=False)

    items: list[RecommendedItem]
    version: int = Field(description="The version that the list was made from.")
    stale: bool = Field(description="Whether the store was away when it was made.")


class Alive(BaseModel):
    """The process answers."""

    model_config = example(status="alive")

    status: Literal["alive"]


class Readiness(BaseModel):
    """Whether requests should come here, and what they get."""

    model_config = example(
        status="ready", version=12, label="", published_at="2026-07-29T04:30:00Z", age_seconds=5400.0,
        verified_at="2026-07-29T05:30:00Z", verified_seconds=1800.0, stale_seconds=None,
        events=True, documents={"recommendations": 5852, "similar": 4619}, whole=["item", "recommendations", "similar"],
    )  # fmt: skip

    status: Literal["ready", "stale", "nothing published", "draining", "store away"] = Field(
        description="`ready` and `stale` (the store is away, the last version is served) come with 200, the others with 503."
    )
    version: int | None = None
    label: str | None = None
    published_at: datetime | None = None
    age_seconds: float | None = Field(default=None, description="Since the served version was published.")
    verified_at: datetime | None = Field(
        default=None,
        description="When a publish last found the served version to be what the tables say: later than `published_at` where nothing had changed.",
    )
    verified_seconds: float | None = Field(default=None, description="Since then.")
    stale_seconds: float | None = Field(default=None, description="Since when the store does not answer.")
    events: bool = Field(default=False, description="Whether events change lists: the version has an item model.")
    documents: dict[str, int] = Field(default={}, description="Documents in this worker's copy, by kind.")
    whole: list[str] = Field(default=[], description="Kinds that are in the copy whole, and outlive the store.")


class ErrorItem(BaseModel):
    """One thing that is wrong with a request."""

    where: str
    detail: str


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 describes it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[ErrorItem] | None = None
