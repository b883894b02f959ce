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
_ENTITIES, _LATE = "plinth_entities", "plinth_late_entities"


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
    con.register(_ENTITIES, _narrow(entities, at, rows))
    try:
        if not rows.one_a_time:
            return _in_order(con.execute(_ruled(_ENTITIES, rows)).to_arrow_table())
        # For an ASOF JOIN no time at all is later than every row (tried with 1.5.5): such entity rows go the other way too.
        plain = rows.in_time and entities[at].null_count == 0
        found = con.execute(_newest(rows, plain=plain)).to_arrow_table()
        return _in_order(found if plain else _with_late_rows(con, found, rows))
    finally:
        con.unregister(_ENTITIES)


def _narrow(entities: pa.Table, at: str, rows: FeatureRows) -> pa.Table:
    """What the join needs of the entity rows: the sort behind it then moves little."""
    import numpy as np
    import pyarrow as pa

    columns = {key: entities[key] for key in rows.keys}
    return pa.table({**columns, _AT: entities[at], _ROW: np.arange(entities.num_rows)})


def _newest(rows: FeatureRows, *, plain: bool) -> str:
    """The newest row by event time; unless `plain`, also whether only the rule in full can tell if it counts."""
    values = ", ".join(f"f.{quote(name)} AS {quote(named)}" for name, named in rows.features.items())
    late = f"e.{_AT} IS NULL OR f.{AS_OF} IS NOT NULL AND (f.{KNOWN_AT} IS NULL OR f.{KNOWN_AT} > e.{_AT})"
    return (
        f"SELECT e.{_ROW}, {values}{'' if plain else f', {late} AS {_LATER}'} FROM {_ENTITIES} AS e "
        f"ASOF LEFT JOIN {rows.relation} AS f ON {_equal(rows)} AND e.{_AT} >= f.{AS_OF}"
    )


def _with_late_rows(con: duckdb.DuckDBPyConnection, found: pa.Table, rows: FeatureRows) -> pa.Table:
    """Puts the rule's answer in where the newest row was not known yet. Such rows are few, and an ASOF JOIN has only one inequality."""
    import pyarrow as pa
    import pyarrow.compute as pc

    late = pc.fill_null(found[_LATER], False)
    found = found.drop([_LATER])
    if not pc.any(late).as_py():
        return found
    con.register(_LATE, found.filter(late).select([_ROW]))
    try:
        entities = f"(SELECT e.* FROM {_ENTITIES} AS e SEMI JOIN {_LATE} USING ({_ROW}))"
        answer = con.execute(_ruled(entities, rows)).to_arrow_table()
    finally:
        con.unregister(_LATE)
    return pa.concat_tables([found.filter(pc.invert(late)), answer.cast(found.schema)])


def _ruled(entities: str, rows: FeatureRows) -> str:
    """The rule as it stands: all rows that count, and the greatest of them."""
    packed = ", ".join(f"{quote(name)} := f.{quote(name)}" for name in rows.features)
    values = ", ".join(f"b._packed.{quote(name)} AS {quote(named)}" for name, named in rows.features.items())
    return (
        f"WITH _best AS (SELECT e.{_ROW}, max(struct_pack(_as_of := f.{AS_OF}, _known := f.{KNOWN_AT}, {packed})) AS _packed "
        f"FROM {entities} AS e JOIN {rows.relation} AS f ON {_equal(rows)} AND f.{AS_OF} <= e.{_AT} AND f.{KNOWN_AT} <= e.{_AT} "
        f"GROUP BY e.{_ROW}) SELECT e.{_ROW}, {values} FROM {entities} AS e LEFT JOIN _best AS b USING ({_ROW})"
    )


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
