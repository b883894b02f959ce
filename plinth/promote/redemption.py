"""What share of the buyers who were contacted redeems an offer, by its type.

What belongs here: the shares, as past trials show them. What does not: who buys (`uplift`), and what a redemption costs (`offers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from plinth.promote.columns import numbers
from plinth.promote.learners import Arms

if TYPE_CHECKING:
    import pyarrow as pa


def offer_types(pairs: pa.Table) -> list[str]:
    """The type of each pair's promotion: percent_off, free_shipping or amount_off."""
    percent, shipping = numbers(pairs, "is_percent_off"), numbers(pairs, "is_free_shipping")
    return [
        "percent_off" if p else "free_shipping" if s else "amount_off" for p, s in zip(percent, shipping, strict=True)
    ]


def redemption_shares(trial: pa.Table, arms: Arms) -> dict[str, float]:
    """The share of treated buyers who redeem, by type; a type with few of them leans on the share of all (as if 20 more had been seen)."""
    types = np.array(offer_types(trial))
    redeemed = numbers(trial, "redeemed")
    buyers = (arms.treated == 1) & (arms.bought == 1)
    overall = float(redeemed[buyers].mean()) if buyers.any() else 1.0
    return {
        name: float((redeemed[buyers & (types == name)].sum() + 20 * overall) / ((buyers & (types == name)).sum() + 20))
        for name in ("percent_off", "amount_off", "free_shipping")
    }
