"""The point-in-time join: for each row with a time stamp, the feature row that was known then.

The rule, on both clocks: among an entity's feature rows whose event time (`as_of`) and known time (`known_at`) are both at or before the
row's time stamp, the one of the latest event time; of several, the one known last; of several still, the greatest by its values. So a
correction counts from the moment it was known, and one of an old period never hides a newer row. A row without any keeps nulls.

What belongs here: that rule over rows given as SQL. What does not: which tables are joined (`training`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.features.declare import AS_OF, KNOWN_AT

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ROW, _AT, _LATER = "_row", "_at", "_later"
_ENTITIES, _ASKED, _FOUND, _LATE = "plinth_entities", "plinth_some_entities", "plinth_found_rows", "plinth_late_rows"
_SAMPLE = 2_000
_FEW, _FEW_OF_ONE = 10, 1_000
"""Rows of an entity up to which pairs are looked at, on average over the entity rows, and of any of those that are asked."""


@dataclass(frozen=True)
class FeatureRows:
    """Feature rows to join.

    Attributes:
        relation: SQL that can stand behind FROM; it yields the keys, `as_of`, `known_at` and the features.
        keys: columns that both sides have.
        features: names in the relation, each with its name in the result.
        one_a_time: whether no entity has two rows of one event time, as in a view's snapshots; the join is then an ASOF JOIN.
        in_time: whether every row is known at its event time, as in a view's snapshots; there is no second clock to look at then.
    """

    relation: str
    keys: Sequence[str]
    features: Mapping[str, str]
    one_a_time: bool = False
    in_time: bool = False


def join(con: duckdb.DuckDBPyConnection, entities: pa.Table, at: str, rows: FeatureRows) -> pa.Table:
    """The features of each entity row as they were known at its time stamp, in the order of the entity rows.

    Args:
        entities: the keys, the time stamp and whatever else.
        at: name of the time stamp's column.
    """
    # DuckDB takes an Arrow table for one row, and would compare every pair of rows, as it does below this threshold.
    con.execute("SET asof_loop_join_threshold = 0")
    narrow = _narrow(entities, at, rows)
    con.register(_ENTITIES, narrow)
    con.register(_ASKED, _some(narrow))
    try:
        if not rows.one_a_time:
            return _in_order(con.execute(_ruled(rows)).to_arrow_table())
        # For an ASOF JOIN no time at all is later than every row (tried with 1.5.5): such entity rows go the other way too.
        if rows.in_time and entities[at].null_count == 0:
            return _in_order(con.execute(_newest(rows)).to_arrow_table())
        found = _on_both_clocks(con, rows)
        if found.num_rows != entities.num_rows:
            # Two rows of one entity and event time after all: what is asked comes back once for each question, by the rule that tells them apart.
            found = con.execute(_ruled(rows)).to_arrow_table()
        return _in_order(found)
    finally:
        con.unregister(_ASKED)
        con.unregister(_ENTITIES)


def _some(narrow: pa.Table) -> pa.Table:
    """Some of the entity rows, always the same ones; all where they are few."""
    import numpy as np

    if narrow.num_rows <= _SAMPLE:
        return narrow
    return narrow.take(np.random.default_rng(0).choice(narrow.num_rows, _SAMPLE, replace=False))


def _narrow(entities: pa.Table, at: str, rows: FeatureRows) -> pa.Table:
    """What the join needs of the entity rows: the sort behind it then moves little."""
    import numpy as np
    import pyarrow as pa

    columns = {key: entities[key] for key in rows.keys}
    return pa.table({**columns, _AT: entities[at], _ROW: np.arange(entities.num_rows)})


def _newest(rows: FeatureRows) -> str:
    """The newest row by event time, where nothing else decides."""
    return (
        f"SELECT e.{_ROW}, {_values(rows)} FROM {_ENTITIES} AS e "
        f"ASOF LEFT JOIN {rows.relation} AS f ON {_equal(rows)} AND e.{_AT} >= f.{AS_OF}"
    )


def _on_both_clocks(con: duckdb.DuckDBPyConnection, rows: FeatureRows) -> pa.Table:
    """The same where a row may be known late: first the event time of the row that each entity row gets, then that row's values.

    The first moves keys and times alone: with six values along, a second look at 5 million rows cost as much as the join.
    """
    try:
        chosen = _of_pairs(con, rows) if _few_pairs(con, rows) else _by_asof(con, rows)
        # No entity has two rows of one event time, so that time tells which row it is.
        return con.execute(
            f"SELECT e.{_ROW}, {_values(rows)} FROM ({chosen}) AS e "
            f"LEFT JOIN {rows.relation} AS f ON {_equal(rows)} AND e.{AS_OF} = f.{AS_OF}"
        ).to_arrow_table()
    finally:
        con.execute(f"DROP TABLE IF EXISTS {_FOUND}")
        con.execute(f"DROP TABLE IF EXISTS {_LATE}")


def _few_pairs(con: duckdb.DuckDBPyConnection, rows: FeatureRows) -> bool:
    """Whether entities have so few rows that looking at every pair costs less than sorting both sides, which an ASOF JOIN does.

    Both numbers are estimates: they decide what it costs, never what comes out. All rows over the entities that are asked for are no less than what one
    of these has on average; that is nearly free. Where it is few, some of the entity rows are counted with their rows, as those that are asked for often
    may be those that have many: a pass over the keys, which takes a twentieth of a join.
    """
    keys = ", ".join(f"e.{quote(key)}" for key in rows.keys)
    asked = f"SELECT approx_count_distinct(hash({keys})) FROM {_ENTITIES} AS e"
    all_rows, entities = con.execute(f"SELECT (SELECT count(*) FROM {rows.relation} AS f), ({asked})").fetchone() or (
        0,
        0,
    )
    if all_rows > _FEW * entities:
        return False
    counted = f"SELECT count(*) AS n FROM {_ASKED} AS e JOIN {rows.relation} AS f ON {_equal(rows)} GROUP BY e.{_ROW}"
    total, most = con.execute(f"SELECT coalesce(sum(n), 0), coalesce(max(n), 0) FROM ({counted})").fetchone() or (0, 0)
    return bool(total <= _FEW * _SAMPLE and most <= _FEW_OF_ONE)


def _of_pairs(con: duckdb.DuckDBPyConnection, rows: FeatureRows) -> str:
    """The newest that counts of all pairs."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_LATE} AS SELECT e.{_ROW}, max(f.{AS_OF}) AS {AS_OF} "
        f"FROM {_ENTITIES} AS e JOIN {rows.relation} AS f ON {_counts(rows)} GROUP BY e.{_ROW}"
    )
    keys = ", ".join(f"n.{quote(key)}" for key in rows.keys)
    return f"SELECT n.{_ROW}, {keys}, l.{AS_OF} FROM {_ENTITIES} AS n LEFT JOIN {_LATE} AS l USING ({_ROW})"


def _by_asof(con: duckdb.DuckDBPyConnection, rows: FeatureRows) -> str:
    """The newest by event time, and all rows of the entity where that was not known yet, which is seldom: an ASOF JOIN has only one inequality."""
    late = f"e.{_AT} IS NULL OR f.{AS_OF} IS NOT NULL AND (f.{KNOWN_AT} IS NULL OR f.{KNOWN_AT} > e.{_AT})"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_FOUND} AS SELECT e.*, f.{AS_OF}, {late} AS {_LATER} FROM {_ENTITIES} AS e "
        f"ASOF LEFT JOIN {rows.relation} AS f ON {_equal(rows)} AND e.{_AT} >= f.{AS_OF}"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_LATE} AS SELECT e.{_ROW}, max(f.{AS_OF}) AS {AS_OF} "
        f"FROM (FROM {_FOUND} WHERE {_LATER}) AS e JOIN {rows.relation} AS f ON {_counts(rows)} GROUP BY e.{_ROW}"
    )
    keys = ", ".join(f"n.{quote(key)}" for key in rows.keys)
    return (
        f"SELECT n.{_ROW}, {keys}, CASE WHEN n.{_LATER} THEN l.{AS_OF} ELSE n.{AS_OF} END AS {AS_OF} "
        f"FROM {_FOUND} AS n LEFT JOIN {_LATE} AS l USING ({_ROW})"
    )


def _ruled(rows: FeatureRows) -> str:
    """The rule as it stands: all rows that count, and the greatest of them."""
    packed = ", ".join(f"{quote(name)} := f.{quote(name)}" for name in rows.features)
    values = ", ".join(f"b._packed.{quote(name)} AS {quote(named)}" for name, named in rows.features.items())
    return (
        f"WITH _best AS (SELECT e.{_ROW}, max(struct_pack(_as_of := f.{AS_OF}, _known := f.{KNOWN_AT}, {packed})) AS _packed "
        f"FROM {_ENTITIES} AS e JOIN {rows.relation} AS f ON {_counts(rows)} "
        f"GROUP BY e.{_ROW}) SELECT e.{_ROW}, {values} FROM {_ENTITIES} AS e LEFT JOIN _best AS b USING ({_ROW})"
    )


def _counts(rows: FeatureRows) -> str:
    """Which rows count for an entity row."""
    return f"{_equal(rows)} AND f.{AS_OF} <= e.{_AT} AND f.{KNOWN_AT} <= e.{_AT}"


def _values(rows: FeatureRows) -> str:
    return ", ".join(f"f.{quote(name)} AS {quote(named)}" for name, named in rows.features.items())


def _in_order(found: pa.Table) -> pa.Table:
    """Back in the order of the entity rows, which threads do not keep: equal inputs have to give equal training sets."""
    import numpy as np
    import pyarrow as pa

    numbers = found[_ROW].to_numpy()
    order = np.empty(len(numbers), dtype=np.int64)
    order[numbers] = np.arange(len(numbers))
    return found.drop([_ROW]).combine_chunks().take(pa.array(order))


def _equal(rows: FeatureRows) -> str:
    return " AND ".join(f"e.{quote(key)} = f.{quote(key)}" for key in rows.keys)
