"""The item model on any table of ratings, to be held against published tables.

Protocol: of each pair of user and item one rating counts, however often it stands there; a random 75/25 split of each item's ratings, k = 10, items
seen in training removed from the lists, every held-out rating relevant; MAP, nDCG, precision and recall over the users with a learnt and a held-out
rating, as nothing is known of others. EASE is learnt from what a user rated, whatever the rating: a 0 is one too. Rows without user, item or rating
are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
from scipy import sparse

from plinth.engine import literal
from plinth.errors import PlinthError
from plinth.recommend.evaluate import Truth, mean_average_precision, ndcg, precision, recall, truth_of
from plinth.recommend.item_item import ease

K = 10
_SHARE = 0.75
_MOST = 20_000
"""Items that EASE is learnt of, those with the most ratings: its inverse is dense, 1.6 GB with so many."""
_BLOCK = 1024
"""Users whose scores stand in memory at a time."""
_COLUMNS = ("user", "item", "rating")

Codes = npt.NDArray[np.int64]


class RatingsUnusable(PlinthError):
    """A file of ratings cannot be judged by."""


@dataclass(frozen=True)
class Ratings:
    """Pairs of user and item, each once, as numbers from 0 on in the order of the ids.

    Attributes:
        rows: of the file.
        incomplete: those without user, item or rating, which are left out.
        repeated: further rows of a pair.
    """

    user: Codes
    item: Codes
    rows: int
    incomplete: int
    repeated: int

    @property
    def users(self) -> int:
        """How many there are."""
        return int(self.user.max(initial=-1)) + 1

    @property
    def items(self) -> int:
        """How many there are."""
        return int(self.item.max(initial=-1)) + 1

    def counts(self) -> dict[str, int]:
        """What was read, for the report."""
        read = {"rows": self.rows, "incomplete": self.incomplete, "repeated": self.repeated}
        return {**read, "users": self.users, "items": self.items}


def read_ratings(file: Path) -> Ratings:
    """The ratings of a Parquet file; ids may be numbers or texts.

    Raises:
        RatingsUnusable: there is no such file, it is no Parquet, lacks a column, has ratings that are no numbers, or no whole row.
    """
    con = duckdb.connect()
    try:
        types = _types(con, file)
        # A NaN is how pandas writes that a number is missing.
        whole = " AND ".join(
            f'"{name}" IS NOT NULL' + (f' AND NOT isnan("{name}")' if types[name] in ("FLOAT", "DOUBLE") else "")
            for name in _COLUMNS
        )
        given = f"read_parquet({literal(str(file))})"
        rows, complete = con.execute(f"SELECT count(*), count(*) FILTER ({whole}) FROM {given}").fetchone() or (0, 0)
        pairs = con.execute(
            f'SELECT dense_rank() OVER (ORDER BY "user") - 1 AS u, dense_rank() OVER (ORDER BY item) - 1 AS i '
            f'FROM (SELECT DISTINCT "user", item FROM {given} WHERE {whole}) ORDER BY u, i'
        ).fetchnumpy()
    except duckdb.Error as problem:
        raise _unusable("the file of ratings cannot be read", "a Parquet file", problem, file) from problem
    finally:
        con.close()
    if not complete:
        raise _unusable("the file holds no rating", "rows with user, item and rating", f"{rows:,} rows", file)
    user, item = (np.asarray(pairs[name], dtype=np.int64) for name in ("u", "i"))
    return Ratings(user, item, rows, rows - complete, complete - len(user))


def ratings_figures(ratings: Ratings, *, seed: int, penalty: float, row_items: int) -> dict[str, float]:
    """The figures of EASE, and of popularity beside it.

    Raises:
        RatingsUnusable: no user has both a learnt and a held-out rating, or the penalty is not above 0.
    """
    if not penalty > 0:
        raise RatingsUnusable("EASE needs a ridge", expected="--penalty above 0", found=penalty)
    learnt = split(ratings.item, seed)
    shape = (ratings.users, ratings.items)
    cells = (ratings.user[learnt], ratings.item[learnt])
    seen = sparse.csr_matrix((np.ones(len(cells[0]), dtype=np.float32), cells), shape=shape)
    asked = np.intersect1d(ratings.user[~learnt], ratings.user[learnt])
    if not len(asked):
        raise RatingsUnusable(
            "no user has both a rating to learn from and one that is held out",
            expected="items that several users rated, and users who rated several items",
            found=f"{len(ratings.user):,} ratings of {ratings.users:,} users and {ratings.items:,} items",
            remedy="a quarter of each item's ratings is held out: an item needs four for the first",
        )
    truth = truth_of(asked, ratings.user[~learnt] * ratings.items + ratings.item[~learnt], ratings.items)
    weights = ease(seen, penalty=penalty, most=min(_MOST, ratings.items), row_items=row_items)
    popular = np.asarray(seen.sum(axis=0), dtype=np.float32).ravel()
    return {
        **_figures("", _lists(seen, asked, lambda rows: (rows @ weights).toarray()), truth),
        **_figures("popularity_", _lists(seen, asked, lambda rows: np.tile(popular, (rows.shape[0], 1))), truth),
    }


def split(item: Codes, seed: int) -> npt.NDArray[np.bool_]:
    """Which ratings are learnt from: three quarters of each item's, drawn at random, rounded up."""
    order = np.lexsort((np.random.default_rng(seed).random(len(item)), item))
    start = np.searchsorted(item[order], item[order], side="left")
    count = np.bincount(item)[item[order]]
    learnt = np.zeros(len(item), dtype=bool)
    learnt[order] = np.arange(len(item)) - start < np.ceil(_SHARE * count)
    return learnt


def _lists(
    seen: sparse.csr_matrix, asked: Codes, score: Callable[[sparse.csr_matrix], npt.NDArray[np.float32]]
) -> Codes:
    """The K items with the highest scores of each user asked about, but for those that he has seen; -1 where there are no more."""
    lists = np.full((len(asked), K), -1, dtype=np.int64)
    for first in range(0, len(asked), _BLOCK):
        rows = seen[asked[first : first + _BLOCK]]
        scores = score(rows)
        scores[rows.nonzero()] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        there = np.isfinite(np.take_along_axis(scores, best, axis=1))
        lists[first : first + _BLOCK, : best.shape[1]] = np.where(there, best, -1)
    return lists


def _figures(prefix: str, lists: Codes, truth: Truth) -> dict[str, float]:
    hits = truth.hits(lists)
    return {
        f"{prefix}map_at_{K}": mean_average_precision(hits, truth.sizes),
        f"{prefix}ndcg_at_{K}": ndcg(hits, truth.sizes),
        f"{prefix}precision_at_{K}": precision(hits),
        f"{prefix}recall_at_{K}": recall(hits, truth.sizes),
    }


def _types(con: duckdb.DuckDBPyConnection, file: Path) -> dict[str, str]:
    """The DuckDB type of each of the file's columns."""
    if not file.is_file():
        raise _unusable("there is no file of ratings", "a Parquet file of user, item and rating", "nothing", file)
    rows = con.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(str(file))})").fetchall()
    types = {str(row[0]): str(row[1]) for row in rows}
    if missing := [name for name in _COLUMNS if name not in types]:
        raise _unusable("the file of ratings lacks columns", ", ".join(missing), ", ".join(types), file)
    numeric = ("INT", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN")
    if not any(kind in types["rating"] for kind in numeric):
        raise _unusable("the ratings are no numbers", "a column rating of numbers", types["rating"], file)
    for name in ("user", "item"):
        if types[name].endswith("]") or types[name].startswith(("STRUCT", "MAP", "UNION")):
            raise _unusable(f"the column {name} holds no ids", "numbers or texts", types[name], file)
    return types


def _unusable(what: str, expected: str, found: object, file: Path) -> RatingsUnusable:
    return RatingsUnusable(what, expected=expected, found=found, where=file)
