"""Why an item is recommended, in words for people.

What belongs here: the reason of each recommended pair, from what is known at the moment. What does not: the ranking.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from plinth.recommend.features import places_of
from plinth.recommend.log import Array
from plinth.recommend.snapshot import Snapshot


def reasons_for(snapshot: Snapshot, customers: Array, items: Array) -> list[str]:
    """The reasons of pairs: bought before, goes with what was bought, or popular where the customer lives."""
    place = places_of(snapshot.purchases, customers, items)
    partner = _partners(snapshot, customers, items)
    goods, texts = snapshot.log.goods, []
    for pair, (customer, item) in enumerate(zip(customers.tolist(), items.tolist(), strict=True)):
        if place[pair] >= 0:
            texts.append(
                _bought(int(snapshot.purchases.baskets[place[pair]]), float(snapshot.purchases.last[place[pair]]))
            )
        elif partner[pair] >= 0:
            code = partner[pair]
            texts.append(f"goes with {goods.descriptions[code] or goods.labels[code]}")
        else:
            texts.append(popular_in(_country_of(snapshot, customer, item)))
    return texts


def popular_in(country: str | None) -> str:
    """The reason of an item that many buy."""
    return f"popular in {country}" if country else "popular"


def _bought(baskets: int, days: float) -> str:
    times = "once" if baskets == 1 else f"{baskets} times"
    whole = int(days)
    ago = "today" if whole == 0 else "1 day ago" if whole == 1 else f"{whole} days ago"
    return f"bought before {times}, last {ago}"


def _country_of(snapshot: Snapshot, customer: int, item: int) -> str | None:
    code = int(snapshot.log.country[customer])
    if code < 0 or snapshot.trade.by_country[code, item] < 1:
        return None
    return str(snapshot.log.countries[code])


def _partners(snapshot: Snapshot, customers: Array, items: Array) -> Array:
    """The item of the customer that speaks most for each pair; -1 where none does."""
    speaks = (snapshot.models.ease.T.tocsr() + snapshot.models.baskets.T.tocsr()).tocsr()
    found = np.full(len(items), -1, dtype=np.int64)
    for first in range(0, len(items), 20_000):
        part = slice(first, first + 20_000)
        said = sparse.csr_matrix(speaks[items[part]].multiply(snapshot.taste[customers[part]]))
        rows = np.repeat(np.arange(said.shape[0]), np.diff(said.indptr))
        order = np.lexsort((said.indices, said.data, rows))
        positive = order[said.data[order] > 0]
        found[part][rows[positive]] = said.indices[positive]  # the last assignment of a row is its largest
    return found
