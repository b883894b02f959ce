"""The serving tables: their columns and keys.

Items and customers are named as in gold. A list stands row by row with ranks from 1, so that SQL can ask it anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from plinth.lakehouse.maintenance import RETENTION_HOURS
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableId

EVERYWHERE = ""
"""The country of the list for visitors of whom nothing is known."""


@dataclass(frozen=True)
class ServingTable:
    """A serving table as it is declared: `key` identifies a row and gives the order of the files."""

    name: str
    description: str
    columns: tuple[DeltaColumn, ...]
    key: tuple[str, ...]

    @property
    def id(self) -> TableId:
        """Its name in the lakehouse."""
        return TableId("serving", self.name)


_RANK = DeltaColumn("rank", "integer", comment="Place in the list, from 1.")
_ITEM = DeltaColumn("item_code", "string", comment="Item.")

RECOMMENDATIONS = ServingTable(
    "recommendations",
    "What each customer is likely to buy next, best first, and why.",
    (
        DeltaColumn("customer_no", "long", comment="Customer."),
        _RANK,
        _ITEM,
        DeltaColumn("score", "double", comment="The ranker's score; comparable within one list."),
        DeltaColumn("reason", "string", comment="Why the item stands here, for people."),
    ),
    ("customer_no", "rank"),
)
SIMILAR_ITEMS = ServingTable(
    "similar_items",
    "The items that go with an item, best first.",
    (
        _ITEM,
        _RANK,
        DeltaColumn("similar_item_code", "string", comment="Item that goes with it."),
        DeltaColumn("score", "double", comment="How well, from 0 to 1."),
    ),
    ("item_code", "rank"),
)
POPULAR_ITEMS = ServingTable(
    "popular_items",
    "What is bought most, everywhere and in each country: the answer for those of whom nothing is known.",
    (
        DeltaColumn("country", "string", comment="Name of the country; empty for everywhere."),
        _RANK,
        _ITEM,
        DeltaColumn("score", "double", comment="Share of the customers of the last 28 days who bought it."),
    ),
    ("country", "rank"),
)
PROMOTION_PLAN = ServingTable(
    "promotion_plan",
    "Who gets which offer under budgets, contact limits and consent: the plan with the highest expected incremental profit.",
    (
        DeltaColumn("customer_no", "long", comment="Customer."),
        DeltaColumn("promotion_id", "long", comment="Promotion."),
        DeltaColumn("promotion_name", "string", comment="Its name for people."),
        DeltaColumn("promotion_type", "string", comment="percent_off, amount_off or free_shipping."),
        DeltaColumn("starts_on", "date", comment="First day for which it is planned."),
        DeltaColumn("ends_on", "date", comment="Last day, included."),
        DeltaColumn("channel", "string", comment="email, sms or post."),
        DeltaColumn("place", "integer", comment="1 for the customer's best offer."),
        DeltaColumn("untreated", "double", comment="Chance to buy in its days without a contact."),
        DeltaColumn("uplift", "double", comment="By how much a contact changes that chance."),
        DeltaColumn("redemption", "double", comment="Chance that it is redeemed."),
        DeltaColumn("order_value", "double", comment="Expected value of the order, in GBP."),
        DeltaColumn("expected_gain", "double", comment="Expected margin that the contact brings, in GBP."),
        DeltaColumn("expected_cost", "double", comment="Expected cost of offer and contact, in GBP."),
        DeltaColumn("expected_profit", "double", comment="Their difference."),
        DeltaColumn(
            "is_proposal", "boolean", comment="Whether nobody has announced it: a repeat of the last one of its type."
        ),
        DeltaColumn("planned_on", "date", comment="Day of the plan."),
    ),
    ("customer_no", "promotion_id"),
)

PURCHASE_PROPENSITY = ServingTable(
    "purchase_propensity",
    "How likely each customer who ever ordered is to buy within the next 28 days.",
    (
        DeltaColumn("customer_no", "long", comment="Customer."),
        DeltaColumn(
            "probability", "double", comment="Calibrated chance of an order within 28 days from as_of, 0 to 1."
        ),
        DeltaColumn("as_of", "date", comment="First of the 28 days; what came before it is known."),
        DeltaColumn("model_version", "integer", comment="Version of models/propensity that says so."),
    ),
    ("customer_no",),
)

SERVING_TABLES = (RECOMMENDATIONS, SIMILAR_ITEMS, POPULAR_ITEMS, PROMOTION_PLAN)
"""Those that `serving/online` publishes."""
TABLES = (*SERVING_TABLES, PURCHASE_PROPENSITY)
"""All that there are; the propensity is for SQL, and no document is made of it."""


_KEPT_HOURS = {PURCHASE_PROPENSITY.id: 36 * 24}
"""Chances are judged when the four weeks are over that they are about, and a week later at the latest."""


def kept_hours(table: TableId) -> int:
    """For how long the files of a table's older versions are kept, where nobody asks for another time."""
    return _KEPT_HOURS.get(table, RETENTION_HOURS)
