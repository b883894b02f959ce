"""The tables that the recommender fills: lists of customers, of items and of countries.

What belongs here: asking the champion, portion by portion, and handing its rows to the writer. What does not: ranking (`plinth.recommend`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.profile import Profile
from plinth.registry import Registry
from plinth.serving.champion import RECOMMENDER
from plinth.serving.lengths import LIST_LENGTH, POPULAR_LENGTH, SIMILAR_LENGTH
from plinth.serving.standing import open_standing, standing_of
from plinth.serving.tables import EVERYWHERE, POPULAR_ITEMS, RECOMMENDATIONS, SIMILAR_ITEMS, ServingTable
from plinth.serving.write import Origin, Served, write

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from plinth.recommend.recommender import Recommender

CUSTOMERS = TableId("gold", "customer_360")
_PORTION = 5000
_DIGITS = 6
"""Of a score: what lies beyond differs between machines, and would make equal lists look changed."""

_CODE = "2"
"""Grows when the same model and tables give other rows."""


@dataclass(frozen=True)
class Setting:
    """Where a serving table is made: the lakehouse, the models, what the work may take, and the run that does it."""

    lakehouse: Lakehouse
    registry: Registry
    profile: Profile
    run: str | None = None


Rows = Callable[["Recommender", "duckdb.DuckDBPyConnection"], Iterator["pa.Table"]]


def make_recommendations(setting: Setting) -> Served:
    """Brings serving/recommendations up to the champion, the newest purchases and today's customers.

    Raises:
        TableMissing: gold/customer_360, or a table of purchases and items, has not been made yet.
        CommitConflict, StorageFailure, ModelTampered, ModelRefused: the table is as it was.
    """
    customers = setting.lakehouse.open(CUSTOMERS)
    return _make(setting, RECOMMENDATIONS, lambda model, con: _of_customers(model, con, customers), customers)


def make_similar_items(setting: Setting) -> Served:
    """Brings serving/similar_items up to the champion and the newest purchases; raises as `make_recommendations`."""
    return _make(setting, SIMILAR_ITEMS, lambda model, con: _of_items(model))


def make_popular_items(setting: Setting) -> Served:
    """Brings serving/popular_items up to the champion and the newest purchases; raises as `make_recommendations`."""
    return _make(setting, POPULAR_ITEMS, lambda model, con: _of_countries(model))


def _make(setting: Setting, table: ServingTable, rows: Rows, *inputs: TableVersion) -> Served:
    standing = standing_of(setting.lakehouse, setting.registry.champion(RECOMMENDER))
    read: Mapping[str, str] = {str(each.id): each.content for each in inputs}
    origin = Origin({**standing.inputs, **read}, _CODE, setting.run)
    base = setting.lakehouse.find(table.id)
    if base is not None and origin.made(base):
        return Served(table, base)
    platform = setting.lakehouse.platform
    con = connect(setting.profile, extensions=("delta",), scratch=platform.path(platform.stores.scratch))
    try:
        opened = open_standing(con, setting.lakehouse, setting.registry, standing, setting.profile)
        # Where there was nothing to train on there is no champion, and the lists are empty.
        found = iter(()) if opened is None else rows(opened.recommender, con)
        until = None if opened is None else opened.until.isoformat()
        return write(con, setting.lakehouse, table, base, found, replace(origin, until=until))
    finally:
        con.close()


def _of_customers(model: Recommender, con: duckdb.DuckDBPyConnection, customers: TableVersion) -> Iterator[pa.Table]:
    import pyarrow as pa

    sql = f"SELECT customer_no::BIGINT AS customer_no, country FROM {rows_of(customers)} ORDER BY customer_no"
    people = con.execute(sql).to_arrow_table()
    for start in range(0, people.num_rows, _PORTION):
        part = people.slice(start, _PORTION)
        numbers = part["customer_no"].to_pylist()
        homes = {number: home for number, home in zip(numbers, part["country"].to_pylist(), strict=True) if home}
        found = model.recommend(numbers, LIST_LENGTH, countries=homes)
        yield _table(
            customer_no=found["customer"].cast(pa.int64()),
            rank=found["rank"],
            item_code=found["item"],
            score=found["score"],
            reason=found["reason"],
        )


def _of_items(model: Recommender) -> Iterator[pa.Table]:
    found = model.similar(SIMILAR_LENGTH)
    yield _table(
        item_code=found["item"], rank=found["rank"], similar_item_code=found["similar_item"], score=found["score"]
    )


def _of_countries(model: Recommender) -> Iterator[pa.Table]:
    found = model.popular(POPULAR_LENGTH)
    import pyarrow.compute as pc

    country = pc.fill_null(found["country"], EVERYWHERE)
    yield _table(country=country, rank=found["rank"], item_code=found["item"], score=found["score"])


def _table(**columns: pa.ChunkedArray) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.table({**columns, "score": pc.round(columns["score"], _DIGITS)})
