"""The item model on any table of ratings, to be held against published tables.

Protocol: a random 75/25 split of each item's ratings, k = 10, items seen in training removed from the lists, every held-out rating relevant;
MAP, nDCG, precision and recall over the users with a held-out rating. EASE is learnt from what a user rated, whatever the rating.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy import sparse

from plinth.recommend.evaluate import mean_average_precision, ndcg, precision, recall, truth_of
from plinth.recommend.item_item import ease

_K = 10
_SHARE = 0.75


def ratings_figures(file: Path, *, seed: int, penalty: float, row_items: int) -> dict[str, float]:
    """The figures of EASE, and of popularity beside it, on a Parquet file of user, item and rating."""
    table = pq.read_table(file, columns=["user", "item", "rating"])
    users, user = np.unique(table.column("user").to_numpy(zero_copy_only=False), return_inverse=True)
    items, item = np.unique(table.column("item").to_numpy(zero_copy_only=False), return_inverse=True)
    learnt = _split(item, seed)
    shape = (len(users), len(items))
    seen = sparse.csr_matrix((np.ones(int(learnt.sum()), dtype=np.float32), (user[learnt], item[learnt])), shape=shape)
    seen.data[:] = 1.0
    pairs = user[~learnt].astype(np.int64) * len(items) + item[~learnt]
    asked = np.unique(pairs // len(items))
    truth = truth_of(asked, pairs, len(items))
    weights = ease(seen, penalty=penalty, most=len(items), row_items=row_items)
    popular = np.asarray(seen.sum(axis=0)).ravel()
    figures = {}
    for name, scores in (("", (seen[asked] @ weights).toarray()), ("popularity_", np.tile(popular, (len(asked), 1)))):
        scores[seen[asked].nonzero()] = -np.inf
        hits = truth.hits(np.argsort(-scores, axis=1, kind="stable")[:, :_K])
        figures |= {
            f"{name}map_at_{_K}": mean_average_precision(hits, truth.sizes),
            f"{name}ndcg_at_{_K}": ndcg(hits, truth.sizes),
            f"{name}precision_at_{_K}": precision(hits),
            f"{name}recall_at_{_K}": recall(hits, truth.sizes),
        }
    return figures


def _split(item: np.ndarray, seed: int) -> np.ndarray:
    """Which ratings are learnt from: three quarters of each item's, drawn at random, rounded up."""
    order = np.lexsort((np.random.default_rng(seed).random(len(item)), item))
    start = np.searchsorted(item[order], item[order], side="left")
    count = np.bincount(item)[item[order]]
    learnt = np.zeros(len(item), dtype=bool)
    learnt[order] = np.arange(len(item)) - start < np.ceil(_SHARE * count)
    return learnt
