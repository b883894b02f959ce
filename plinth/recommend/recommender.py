"""A trained recommender: lists for customers, similar and popular items, the item model, and its files.

What belongs here: answering from what was learnt. What does not: learning (`train`), and judging (`evaluate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import sparse

from plinth.recommend.features import places_of
from plinth.recommend.item_item import truncated
from plinth.recommend.log import Array, Log, codes_of
from plinth.recommend.popular import Popular, popular_of
from plinth.recommend.ranker import blocks
from plinth.recommend.reasons import popular_in, reasons_for
from plinth.recommend.session import ItemModel, SessionState
from plinth.recommend.settings import RecommenderSettings
from plinth.recommend.snapshot import ItemModels, Snapshot, look
from plinth.threads import capped

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

LISTS = pa.schema(
    [
        ("customer", pa.int64()),
        ("rank", pa.int32()),
        ("item", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
    ]
)
_SIMILAR = 100


@dataclass(frozen=True)
class Recommender:
    """What was learnt at a moment.

    Attributes:
        at: the moment, in days since 1970-01-01; nothing of it or later was seen.
        log: the purchases before it.
        models: the item-item models.
        sellable: items that may be recommended.
        ranker: the second stage.
        seed, threads: of the training; `threads` also caps what answering takes.
    """

    at: float
    log: Log
    models: ItemModels
    sellable: Array
    ranker: HistGradientBoostingClassifier
    settings: RecommenderSettings
    seed: int
    threads: int

    @cached_property
    def snapshot(self) -> Snapshot:
        """What is known of customers and items at the moment."""
        return look(self.log, self.at, self.models, self.sellable, self.settings)

    @cached_property
    def popularity(self) -> Popular:
        """What is offered to a customer of whom nothing is known."""
        return popular_of(self.snapshot)

    def recommend(
        self,
        customers: Sequence[int] | Sequence[str],
        k: int,
        *,
        new_only: bool = False,
        reasons: bool = True,
        countries: Mapping[int | str, str] | None = None,
    ) -> pa.Table:
        """The best items for customers.

        Args:
            customers: as in the events; one that never bought gets what is popular.
            k: length of the lists; a list is shorter only where the catalogue is.
            new_only: without what the customer bought before.
            reasons: whether to say why; it takes about as long as ranking.
            countries: where a customer lives who never bought.

        Returns:
            customer, rank (from 1), item, score (0 to 1, higher is likelier; not calibrated), reason.
        """
        with capped(self.threads):
            codes = codes_of(self.log.customers, np.asarray(customers, dtype=self.log.customers.dtype))
            known, strangers = np.flatnonzero(codes >= 0), np.flatnonzero(codes < 0)
            parts = [self._ranked(codes[known], known, k, new_only, reasons)]
        homes = countries or {}
        parts += [self._popular_list(each, k, homes.get(customers[each])) for each in strangers.tolist()]
        place, rank, item, score = (np.concatenate([part[column] for part in parts]) for column in range(4))
        reason = [text for part in parts for text in part[4]]
        order = np.lexsort((rank, place))
        labels = np.asarray(customers, dtype=self.log.customers.dtype)[place[order]]
        return pa.table(
            {
                "customer": pa.array(labels),
                "rank": pa.array(rank[order], pa.int32()),
                "item": pa.array(self.log.goods.labels[item[order]], pa.string()),
                "score": pa.array(score[order], pa.float64()),
                "reason": pa.array([reason[each] for each in order.tolist()], pa.string()),
            }
        )

    def similar(self, k: int) -> pa.Table:
        """The items most like each item: bought together, by the same customers, or described alike.

        Returns:
            item, rank (from 1), similar_item, score (0 to 1).
        """
        rows = truncated(self._alike, k)
        item = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        order = np.lexsort((rows.indices, -rows.data, item))
        rank = np.arange(len(order)) - rows.indptr[item[order]] + 1
        labels = self.log.goods.labels
        return pa.table(
            {
                "item": pa.array(labels[item[order]], pa.string()),
                "rank": pa.array(rank, pa.int32()),
                "similar_item": pa.array(labels[rows.indices[order]], pa.string()),
                "score": pa.array(rows.data[order].astype(float), pa.float64()),
            }
        )

    def popular(self, k: int) -> pa.Table:
        """What is bought most, everywhere (country null) and in each country.

        Returns:
            country, rank (from 1), item, score (share of the customers of the last 28 days who bought it, drawn towards the whole where
            a country has few).
        """
        names = [None, *self.log.countries.tolist()]
        lists = [self.popularity.best(name, k) for name in names]
        return pa.table(
            {
                "country": pa.array(
                    [name for name, best in zip(names, lists, strict=True) for _ in best[0]], pa.string()
                ),
                "rank": pa.array([n + 1 for best in lists for n in range(len(best[0]))], pa.int32()),
                "item": pa.array([str(self.log.goods.labels[code]) for best in lists for code in best[0]], pa.string()),
                "score": pa.array([float(score) for best in lists for score in best[1]], pa.float64()),
            }
        )

    @cached_property
    def item_model(self) -> ItemModel:
        """The model that follows a session: rows of the items that go into one basket.

        An item that is not for sale has a row, since somebody may still look at it, and stands in none: nothing leads to it.
        """
        weights = sparse.csr_matrix(self.models.together @ sparse.diags(self.sellable.astype(np.float32)))
        weights.eliminate_zeros()
        weights.sort_indices()
        popularity = np.where(self.sellable, self.popularity.share(None), 0.0)
        return ItemModel(
            items=self.log.goods.labels,
            pointer=weights.indptr.astype(np.int32),
            columns=weights.indices.astype(np.int32),
            weights=weights.data.astype(np.float32),
            popularity=popularity.astype(np.float32),
        )

    def for_session(self, items: Sequence[str], k: int, *, country: str | None = None) -> list[tuple[str, float]]:
        """The list of somebody unknown: what goes with the items of his session, else what is popular where he is."""
        state = SessionState(self.item_model)
        for item in items:
            state.add(item)
        if state.known:
            return [each for each in state.top(k) if each[1] > 0]
        codes, scores = self.popularity.best(country, k + len(items))
        found = [(str(self.log.goods.labels[code]), float(score)) for code, score in zip(codes, scores, strict=True)]
        return [each for each in found if each[0] not in set(items)][:k]

    def save(self, folder: Path) -> None:
        """Writes the recommender into an empty or new folder, as plain files whose bytes depend on what was learnt alone."""
        from plinth.recommend.store import save

        save(self, folder)

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> Recommender:
        """Reads what `save` wrote, without pickle.

        Raises:
            ModelRefused: a file is missing or is not what it should be.
        """
        from plinth.recommend.store import load

        return load(folder, threads)

    @cached_property
    def _alike(self) -> sparse.csr_matrix:
        strong = self.models.ease.maximum(0.0)
        total = _by_row_best(strong) + _by_row_best(self.models.baskets) + 0.5 * self.models.text
        sellable = sparse.diags(self.sellable.astype(np.float32))
        return truncated(_by_row_best(sparse.csr_matrix(total @ sellable)), _SIMILAR)

    def _ranked(
        self, customers: Array, places: Array, k: int, new_only: bool, reasons: bool
    ) -> tuple[Array, Array, Array, Array, list[str]]:
        where = [np.empty(0, dtype=np.int64)]
        ranks, items, scores = list(where), list(where), [np.empty(0)]
        texts: list[str] = []
        done = 0
        for block in blocks(self.snapshot, customers):
            row, item = block.candidates.row, block.candidates.item
            score = self.ranker.predict_proba(block.features)[:, 1] if len(item) else np.empty(0)
            if new_only:
                fresh = places_of(self.snapshot.purchases, block.customers[row], item) < 0
                row, item, score = row[fresh], item[fresh], score[fresh]
            order = np.lexsort((item, -score, row))
            rank = np.arange(len(order)) - np.searchsorted(row, row, side="left")
            order, rank = order[rank < k], rank[rank < k]
            where.append(places[done + row[order]])
            ranks.append(rank + 1)
            items.append(item[order])
            scores.append(score[order])
            if reasons:
                texts += reasons_for(self.snapshot, block.customers[row[order]], item[order])
            done += len(block.customers)
        found = tuple(np.concatenate(each) for each in (where, ranks, items, scores))
        return found[0], found[1], found[2], found[3], texts if reasons else [""] * len(found[0])

    def _popular_list(self, place: int, k: int, country: str | None) -> tuple[Array, Array, Array, Array, list[str]]:
        codes, scores = self.popularity.best(country, k)
        known = country if country in set(self.log.countries.tolist()) else None
        return np.full(len(codes), place), np.arange(len(codes)) + 1, codes, scores, [popular_in(known)] * len(codes)


def _by_row_best(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    best = np.asarray(matrix.max(axis=1).todense()).ravel()
    scale = np.divide(1.0, best, out=np.zeros_like(best), where=best > 0)
    return sparse.csr_matrix(sparse.diags(scale) @ matrix)
