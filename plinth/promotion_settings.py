"""The section `promotions` of `platform.yaml`: what a plan of contacts may cost, whom it may bother how often, and what things are worth.

What belongs here: the keys, their bounds and defaults. What does not: the plan (`plinth.promote`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Channel = Literal["email", "sms", "post"]
Pounds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
CONTACT_COST: Mapping[Channel, float] = {"email": 0.02, "sms": 0.06, "post": 0.85}


class Promotions(BaseModel):
    """The terms of `serving/promotion_plan`, money in GBP.

    Attributes:
        margin: share of an order's value that is left after the goods are paid; without it gold/item_catalog says, and where no cost is known 0.4.
        contact_cost: one contact, by channel. A channel that is left out is not used.
        shipping_cost: what free shipping costs when it is redeemed.
        contact_limit: contacts that a customer may get within any `contact_period_days`, those already made included.
        total_budget: what all promotions together may cost; without it only each promotion's own budget counts.
        propose_repeats: whether ended promotions are planned once more where none runs or is announced. Nobody has promised those yet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin: float | None = Field(default=None, ge=0, le=1)
    contact_cost: dict[Channel, Pounds] = Field(default={**CONTACT_COST}, min_length=1)
    shipping_cost: Pounds = 4.5
    contact_limit: int = Field(default=1, ge=0)
    contact_period_days: int = Field(default=21, ge=1)
    total_budget: Pounds | None = None
    propose_repeats: bool = True
