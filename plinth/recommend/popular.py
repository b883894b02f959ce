"""What is popular, everywhere and by country: what a stranger is offered.

What belongs here: shares of customers of the newest days. What does not: popularity as a feature (`trade`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plinth.recommend.log import Array
from plinth.recommend.snapshot import Snapshot

_DRAW = (
    20.0  # customers of the whole that each country's share is drawn towards: a country of five customers says little
)


@dataclass(frozen=True)
class Popular:
    """Share of customers who bought each item in the newest 28 days: of all, and of each country."""

    everywhere: Array
    countries: dict[str, Array]
    sellable: Array

    def share(self, country: str | None) -> Array:
        """The shares of a country; of all where it is unknown."""
        return self.everywhere if country is None else self.countries.get(country, self.everywhere)

    def best(self, country: str | None, k: int) -> tuple[Array, Array]:
        """Codes and shares of the most popular items that may be recommended, best first."""
        share = np.where(self.sellable, self.share(country), -1.0)
        order = np.argsort(-share, kind="stable")[:k]
        order = order[share[order] >= 0]
        return order, share[order]


def popular_of(snapshot: Snapshot) -> Popular:
    """The shares as of a snapshot."""
    newest = snapshot.log.between(snapshot.at - 28.0, snapshot.at)
    buyers = np.unique(newest.customer)
    everywhere = snapshot.trade.popularity / max(1, len(buyers))
    at_home = np.bincount(snapshot.log.country[buyers] + 1, minlength=len(snapshot.log.countries) + 1)[1:]
    return Popular(
        everywhere=everywhere,
        countries={
            str(name): (snapshot.trade.by_country[code] + _DRAW * everywhere) / (at_home[code] + _DRAW)
            for code, name in enumerate(snapshot.log.countries)
        },
        sellable=snapshot.sellable,
    )
