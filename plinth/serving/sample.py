"""Holding what is served against the tables: some documents are read back and compared with their rows, by other code than made them.

What belongs here: the drawing of the sample, and the comparison. What does not: making documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plinth.engine import connect, quote
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.serving.documents import KEPT, OFFERS, PLAN, POPULAR, RECOMMENDATIONS, SENT, SIMILAR
from plinth.serving.lengths import LIST_KIND, REST_KIND
from plinth.serving.lists import Setting

if TYPE_CHECKING:
    import duckdb

    from plinth.online import OnlineStore


@dataclass(frozen=True)
class Listed:
    """A serving table whose rows, or some of them, stand as lists in documents.

    Attributes:
        row: names in a document's row what stands in the table's columns.
        only: the rows that belong into this kind of document, as a condition on the table `r`.
    """

    kind: str
    table: TableId
    key: str
    order: str
    rows: str
    row: Mapping[str, str]
    only: str = "true"


_LIST_ROW = {"item": "item_code", "score": "score", "reason": "reason"}
LISTED = (
    Listed(LIST_KIND, RECOMMENDATIONS, "customer_no", "rank", "items", _LIST_ROW, SENT),
    Listed(REST_KIND, RECOMMENDATIONS, "customer_no", "rank", "items", _LIST_ROW, KEPT),
    Listed("similar", SIMILAR, "item_code", "rank", "items", {"item": "similar_item_code", "score": "score"}),
    Listed("popular", POPULAR, "country", "rank", "items", {"item": "item_code", "score": "score"}),
    Listed(OFFERS.name, PLAN, "customer_no", "place", "offers",
           {"promotion": "promotion_id", "expected_profit": "expected_profit"}),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What a look at the sample came to: how many documents were compared, and those that differ, as kind and key."""

    compared: int
    differing: Sequence[tuple[str, str]]
    counts: Mapping[str, tuple[int, int]]

    @property
    def passed(self) -> bool:
        """Whether every document says what its rows say, and there is one for each key."""
        return not self.differing and all(served == rows for served, rows in self.counts.values())


def compare(setting: Setting, store: OnlineStore, *, size: int = 100) -> Finding:
    """Compares documents of the current version with the versions of the tables that it was made from.

    Args:
        size: documents of each kind; the same ones for the same version.

    Raises:
        StoreUnavailable: the store does not answer, or nothing was published.
    """
    version = store.current()
    if version is None:
        return Finding(0, [("nothing", "is published")], {})
    platform = setting.lakehouse.platform
    con = connect(setting.profile, scratch=platform.path(platform.stores.scratch))
    compared, differing, counts = 0, [], {}
    try:
        for listed in LISTED:
            if str(listed.table) not in version.inputs:
                continue
            expected = _expected(
                con, setting.lakehouse, listed, int(version.inputs[str(listed.table)]), version.id, size
            )
            served = store.read_many(listed.kind, list(expected), version.id)
            compared += len(expected)
            differing += [
                (listed.kind, key) for key, rows in expected.items() if _said(served.get(key), listed) != rows
            ]
            counts[listed.kind] = (version.documents.get(listed.kind, 0), _keys(con))
    finally:
        con.close()
    return Finding(compared, differing, counts)


def _expected(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, listed: Listed, version: int, seed: int, size: int
) -> dict[str, list[dict[str, Any]]]:
    rows = rows_of(lakehouse.open(listed.table, version=version))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE plinth_keys AS SELECT DISTINCT {quote(listed.key)} AS key FROM {rows} r WHERE {listed.only}"
    )
    columns = ", ".join(f"r.{quote(column)}" for column in listed.row.values())
    found = con.execute(
        f"SELECT k.key::VARCHAR, {columns} FROM (SELECT key FROM plinth_keys ORDER BY hash(key::VARCHAR || '{seed}') LIMIT {size}) k "
        f"JOIN {rows} r ON r.{quote(listed.key)} = k.key WHERE {listed.only} ORDER BY k.key, {listed.order}"
    ).fetchall()
    expected: dict[str, list[dict[str, Any]]] = {}
    for key, *values in found:
        expected.setdefault(key, []).append(_comparable(dict(zip(listed.row, values, strict=True))))
    return expected


def _keys(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("SELECT count(*) FROM plinth_keys").fetchone()
    return int(row[0]) if row else 0


def _said(body: bytes | None, listed: Listed) -> list[dict[str, Any]] | None:
    if body is None:
        return None
    return [_comparable({name: row[name] for name in listed.row}) for row in json.loads(body)[listed.rows]]


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    # An identifier is text in a document, whatever it is in its table.
    return {name: value if isinstance(value, float) else str(value) for name, value in row.items()}
