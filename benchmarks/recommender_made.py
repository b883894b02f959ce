"""A made-up trade for the quick forms of the recommender's benchmarks: customers with habits, items that go together, a season.

What belongs here: events of which the structure is known. What does not: the sample warehouse, which is a world of its own.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

START = datetime(2024, 1, 1)
_THEMES = ("GARDEN", "KITCHEN", "CHRISTMAS", "PARTY", "VINTAGE", "NURSERY", "TRAVEL", "OFFICE")
_THINGS = ("MUG", "BOWL", "SIGN", "LAMP", "CARD", "BAG", "CLOCK", "TIN", "FRAME", "BOX", "CANDLE", "RIBBON")
_COUNTRIES = ("United Kingdom", "Germany", "France")


def made_items(items: int) -> pa.Table:
    """Items of themes; each theme's stand together and share a word."""
    theme = [_THEMES[n % len(_THEMES)] for n in range(items)]
    things = [
        f"{_THINGS[(n // len(_THEMES)) % len(_THINGS)]} NO {n // (len(_THEMES) * len(_THINGS))}" for n in range(items)
    ]
    return pa.table(
        {
            "item": [f"{10000 + n}" for n in range(items)],
            "description": [f"{a} {b}" for a, b in zip(theme, things, strict=True)],
            "price": [1.0 + (n * 7 % 50) / 4 for n in range(items)],
        }
    )


def made_events(customers: int, items: int, days: int, seed: int, *, first_customer: int = 10_000) -> pa.Table:
    """Events of customers who mostly buy within two themes, and buy some items again and again."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.5, 1 / 40, customers)
    baskets = rng.poisson(rate * days) + 1
    owner = np.repeat(np.arange(customers), baskets)
    moment = rng.uniform(0, days * 86_400, len(owner)).astype(np.int64)
    size = 2 + rng.poisson(5, len(owner))
    basket = np.repeat(np.arange(len(owner)), size)
    likes = rng.integers(0, len(_THEMES), (customers, 2))
    taste = likes[owner[basket], rng.integers(0, 2, len(basket))]
    # Popularity falls with the rank within a theme; half of the draws fall on the few that this customer always takes.
    within = np.floor(items // len(_THEMES) * rng.power(0.45, len(basket))).astype(np.int64)
    habit = (owner[basket] * 7919 + taste * 31 + rng.integers(0, 5, len(basket))) % (items // len(_THEMES))
    item = (np.where(rng.random(len(basket)) < 0.5, habit, within) * len(_THEMES) + taste).astype(np.int64)
    stamps = (np.datetime64(START, "us") + (moment * 1_000_000).astype("timedelta64[us]"))[basket]
    return pa.table(
        {
            "customer": pa.array(owner[basket] + first_customer, pa.int64()),
            "basket": pa.array(basket).cast(pa.string()),
            "item": pa.array(item + 10_000).cast(pa.string()),
            "time": pa.array(stamps, pa.timestamp("us")),
            "country": pa.array(np.array(_COUNTRIES)[owner[basket] % 3]),
        }
    )


def made_end(days: int) -> datetime:
    """The moment after the last day of `made_events`."""
    return START + timedelta(days=days)
