"""Which items stand in the same baskets, counted by Spark: the pairs grow with the square of a basket, and are the one part of a training that no
machine's memory is sure to hold.

What belongs here: the counting as one query, and its answer as the matrix that `item_item` makes in memory, to the last bit. What does not: EASE, whose Gram
matrix of decayed weights is dense and bounded by its number of items, and which sums floats, whose last bits depend on their order.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import sparse

from plinth.platform import Platform
from plinth.profile import Profile
from plinth.recommend.item_item import Common, baskets_in_common
from plinth.spark.engine import SparkEngine
from plinth.spark.session import open_session

# DuckDB's dialect, which both engines run to the same values: counts are whole numbers, and the weight goes through the same doubles in the same order.
_COMMON = """
WITH counts AS (SELECT item, count(*) AS baskets FROM held GROUP BY item),
common AS (
    SELECT a.item AS item, b.item AS other, count(*) AS baskets
    FROM held AS a JOIN held AS b ON a.basket = b.basket AND a.item <> b.item GROUP BY a.item, b.item
),
weighed AS (
    SELECT c.item AS item, c.other AS other,
           CAST(c.baskets / sqrt(CAST(n.baskets AS DOUBLE) * CAST(m.baskets AS DOUBLE)) * c.baskets / (c.baskets + {shrink}) AS FLOAT) AS weight
    FROM common AS c JOIN counts AS n ON n.item = c.item JOIN counts AS m ON m.item = c.other
),
ranked AS (SELECT item, other, weight, row_number() OVER (PARTITION BY item ORDER BY weight DESC, other) AS place FROM weighed)
SELECT item, other, weight FROM ranked WHERE place <= {row_items}
"""


def common_for(platform: Platform, profile: Profile, spark: SparkEngine | None = None) -> Common:
    """How baskets in common are counted within a profile: by Spark where that is its engine, else in memory.

    Args:
        spark: by default a session of its own, opened when something is first counted.
    """
    if profile.engine != "spark":
        return baskets_in_common
    return by_spark(spark or SparkEngine(lambda: open_session(platform, profile)))


def by_spark(engine: SparkEngine) -> Common:
    """The counting as `baskets_in_common` does it, with Spark."""

    def common(baskets: sparse.csr_matrix, *, row_items: int, shrink: float = 10.0) -> sparse.csr_matrix:
        found = engine.answer(common_sql(row_items, shrink), {"held": held_table(baskets)})
        return matrix_of(found, baskets.shape[1])

    return common


def common_sql(row_items: int, shrink: float) -> str:
    """The query over `held(basket, item)` that yields item, other and weight, the `row_items` largest of each item."""
    return _COMMON.format(row_items=int(row_items), shrink=f"CAST({float(shrink)!r} AS DOUBLE)")


def held_table(baskets: sparse.csr_matrix) -> pa.Table:
    """The rows (basket, item) of a matrix of ones."""
    rows = np.repeat(np.arange(baskets.shape[0], dtype=np.int32), np.diff(baskets.indptr))
    return pa.table({"basket": rows, "item": baskets.indices.astype(np.int32)})


def matrix_of(found: pa.Table, items: int) -> sparse.csr_matrix:
    """The rows (item, other, weight) as a matrix of items by items, its columns in order."""
    row, column, weight = (found[name].to_numpy() for name in ("item", "other", "weight"))
    matrix = sparse.csr_matrix((weight.astype(np.float32), (row, column)), shape=(items, items))
    matrix.sort_indices()
    return matrix
