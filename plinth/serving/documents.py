"""From serving tables to documents: each body is the JSON that the API sends, byte for byte.

What belongs here: the SQL that makes bodies, and its inputs. What does not: the catalogue's documents (`catalogue`) and publishing
(`publish`). DuckDB writes the JSON, keys in alphabetical order and without spaces: equal rows give equal bytes, and a hundred thousand lists
take a second or two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.lakehouse.door import authorise
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.online import Document
from plinth.serving.lengths import ANSWER_LENGTH, LIST_KIND, REST_KIND

if TYPE_CHECKING:
    import duckdb

ONLINE = TableId("serving", "online")
CATALOG = TableId("gold", "item_catalog")
RECOMMENDATIONS = TableId("serving", "recommendations")
SIMILAR = TableId("serving", "similar_items")
POPULAR = TableId("serving", "popular_items")
PLAN = TableId("serving", "promotion_plan")

_FETCH = 2000


@dataclass(frozen=True)
class Kind:
    """A kind of document: `sql` yields key and body in the order of the keys, from the tables that it uses and their columns."""

    name: str
    sql: str
    uses: Mapping[TableId, Sequence[str]]


def _list_rows(name: str, condition: str) -> Kind:
    sql = f"""
    SELECT r.customer_no::VARCHAR AS key, to_json({{'customer': r.customer_no::VARCHAR, 'items': list(
        {{'description': c.description, 'item': r.item_code, 'reason': r.reason, 'score': r.score}} ORDER BY r.rank)}}) AS body
    FROM "serving/recommendations" r LEFT JOIN "gold/item_catalog" c ON c.item_code = r.item_code
    WHERE {condition} GROUP BY r.customer_no ORDER BY key
    """
    columns = ("customer_no", "rank", "item_code", "score", "reason")
    return Kind(name, sql, {RECOMMENDATIONS: columns, CATALOG: ("item_code", "description")})


SENT, KEPT = f"r.rank <= {ANSWER_LENGTH}", f"r.rank > {ANSWER_LENGTH}"
"""Which rows of a list go into the document that is sent, and which into the one that is kept beside it for more rows and for events."""
RECOMMENDED = _list_rows(LIST_KIND, SENT)
RECOMMENDED_REST = _list_rows(REST_KIND, KEPT)
ALIKE = Kind(
    "similar",
    """
    SELECT r.item_code AS key, to_json({'item': r.item_code, 'items': list(
        {'description': c.description, 'item': r.similar_item_code, 'score': r.score} ORDER BY r.rank)}) AS body
    FROM "serving/similar_items" r LEFT JOIN "gold/item_catalog" c ON c.item_code = r.similar_item_code
    GROUP BY r.item_code ORDER BY key
    """,
    {SIMILAR: ("item_code", "rank", "similar_item_code", "score"), CATALOG: ("item_code", "description")},
)
BOUGHT_MOST = Kind(
    "popular",
    """
    SELECT r.country AS key, to_json({'country': nullif(r.country, ''), 'items': list(
        {'description': c.description, 'item': r.item_code, 'score': r.score} ORDER BY r.rank)}) AS body
    FROM "serving/popular_items" r LEFT JOIN "gold/item_catalog" c ON c.item_code = r.item_code
    GROUP BY r.country ORDER BY key
    """,
    {POPULAR: ("country", "rank", "item_code", "score"), CATALOG: ("item_code", "description")},
)
ITEMS = Kind(
    "item",
    """
    SELECT c.item_code AS key, to_json({'description': c.description, 'item': c.item_code,
        'price': coalesce(c.list_price::DOUBLE, round(c.average_price::DOUBLE, 2))}) AS body
    FROM "gold/item_catalog" c ORDER BY key
    """,
    {CATALOG: ("item_code", "description", "list_price", "average_price")},
)
OFFERS = Kind(
    "promotions",
    """
    SELECT r.customer_no::VARCHAR AS key, to_json({'customer': r.customer_no::VARCHAR, 'offers': list(
        {'ends_on': r.ends_on, 'expected_profit': r.expected_profit, 'is_proposal': r.is_proposal, 'name': r.promotion_name, 'promotion': r.promotion_id::VARCHAR,
         'starts_on': r.starts_on, 'type': r.promotion_type} ORDER BY r.place), 'planned_on': max(r.planned_on)}) AS body
    FROM "serving/promotion_plan" r
    GROUP BY r.customer_no ORDER BY key
    """,
    {
        PLAN: (
            *("customer_no", "promotion_id", "promotion_name", "promotion_type"),
            *("starts_on", "ends_on", "place", "expected_profit", "is_proposal", "planned_on"),
        )
    },
)
KINDS = (RECOMMENDED, RECOMMENDED_REST, ALIKE, BOUGHT_MOST, ITEMS, OFFERS)


def open_kind(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, kind: Kind, read: Mapping[TableId, TableVersion]
) -> None:
    """Gives a connection the tables of a kind, at the versions given and with no column more than it uses.

    Raises:
        ResidencyViolation: a column may not be where the serving layer is.
    """
    for table, wanted in kind.uses.items():
        version = read[table]
        columns = [column for column in version.columns if column.name in wanted]
        authorise(lakehouse, ONLINE, columns)
        names = ", ".join(quote(name) for name in wanted)
        con.execute(f"CREATE OR REPLACE TEMP VIEW {quote(str(table))} AS SELECT {names} FROM {rows_of(version)}")


def documents_of(con: duckdb.DuckDBPyConnection, kind: Kind) -> Iterator[Document]:
    """The documents of a kind whose tables are open, in the order of their keys."""
    con.execute(kind.sql)
    while rows := con.fetchmany(_FETCH):
        for key, body in rows:
            yield Document(kind.name, key, body.encode("utf-8"))
