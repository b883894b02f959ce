"""The SQL of a view as of an instant: the one text that offline snapshots and online values are both computed by.

What belongs here: the time rule (a row counts when it happened before the instant and was known before it), windows, and putting a view's
expressions together. What does not: where rows come from (`rows`) and what is done with the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plinth.engine import literal, quote
from plinth.features.declare import AS_OF, KNOWN_AT, SNAPSHOT, Feature, FeatureSource, FeatureView, FeatureViewError
from plinth.lakehouse.schema import DeltaColumn, duckdb_type

if TYPE_CHECKING:
    import duckdb

Entity = Mapping[str, int | str]
"""Values of some or all of a view's entity columns."""


@dataclass(frozen=True)
class Part:
    """Some of a view's entities: those whose `key` has this hash as a value of the DuckDB type `kind`; `number` of `of`, counted from 0."""

    key: str
    kind: str
    number: int
    of: int

    def condition(self, alias: str = "") -> str:
        """DuckDB's SQL over rows that have the key. Sources may have it in several types, whose hashes differ."""
        return f"hash(CAST({alias}{quote(self.key)} AS {self.kind})) % {self.of} = {self.number}"


_DAY = 86_400_000_000.0
_AT_SHARE = "(total - 1) * CAST(share AS DOUBLE)"
_FUNCTIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    # A decimal, not a double: sums of decimals do not depend on the order of the rows, so a snapshot of all entities by many threads and
    # the online value of one entity are equal to the last digit. 19 digits and not 18, as DuckDB keeps a product of two short decimals in 18.
    "decay": (("age", "days"), "CAST(exp(-age / days) AS DECIMAL(19, 12))"),
    "exact": (("x",), "CAST(x AS DECIMAL(19, 9))"),
    # The sample's standard deviation from exact sums: DuckDB's own goes through doubles, row by row.
    "spread": (
        ("x",),
        "sqrt(greatest(CAST(sum(CAST(x AS DECIMAL(19, 9)) * CAST(x AS DECIMAL(19, 9))) AS DOUBLE) "
        "- pow(CAST(sum(CAST(x AS DECIMAL(19, 9))) AS DOUBLE), 2) / count(x), 0) / nullif(greatest(count(x) - 1, 0), 0))",
    ),
    # DuckDB keeps all values of a median or quantile in memory outside of its limit, and cannot spill them: of 5 million doubles 108 MiB, of which it
    # counts 2. The window that gives each value its place spills. The same doubles in the same order as DuckDB's, so that the bits are the same.
    "quantile_at": (
        ("x", "share", "place", "total"),
        f"(max(CAST(x AS DOUBLE)) FILTER (place = 1 + CAST(floor({_AT_SHARE}) AS BIGINT)) * (1 - (max({_AT_SHARE}) - floor(max({_AT_SHARE})))) "
        f"+ max(CAST(x AS DOUBLE)) FILTER (place = 1 + CAST(ceil({_AT_SHARE}) AS BIGINT)) * (max({_AT_SHARE}) - floor(max({_AT_SHARE}))))",
    ),
}


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Gives a connection the functions that declarations may use.

    `decay(age, days)` is the weight e^(-age/days) with 12 exact places, `exact(x)` a number with 9, whose sum and mean no order of the rows changes,
    and `spread(x)` the sample's standard deviation of such numbers, null of fewer than two. `quantile_at(x, share, place, total)` is
    `quantile_cont(x, share)` of rows that carry the place of their `x` in the group, counted from 1 with nulls last, and how many have one.
    """
    for name, (parameters, body) in _FUNCTIONS.items():
        con.execute(f"CREATE OR REPLACE TEMP MACRO {name}({', '.join(parameters)}) AS {body}")


def spelled_out(sql: str) -> str:
    """A query in which the functions of `prepare` stand as what they mean, for an engine that does not know them; in DuckDB's dialect.

    Raises:
        FeatureViewError: it is no SQL.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        tree = parse_one(sql, dialect="duckdb")
    except SqlglotError as error:
        raise FeatureViewError("the SQL of a feature view cannot be read", found=error) from error
    # From the leaves up, so that an argument is spelled out before it is put into a body.
    for node in reversed(list(tree.find_all(exp.Anonymous))):
        parameters, body = _FUNCTIONS.get(node.name.lower(), ((), ""))
        if not body:
            continue
        given = dict(zip(parameters, node.expressions, strict=True))
        meaning = parse_one(body, dialect="duckdb")
        for column in list(meaning.find_all(exp.Column)):
            column.replace(exp.paren(given[column.name].copy()))
        node.replace(meaning)
    return tree.sql(dialect="duckdb")


def source_rows(source: FeatureSource, relation: str) -> str:
    """SQL that yields the rows of a source, with the columns that it declares and both times.

    Args:
        relation: SQL that can stand behind FROM and yields rows of the source's table.
    """
    columns = ", ".join(f"{expression} AS {quote(name)}" for name, expression in source.columns.items())
    return (
        f"SELECT {columns}, CAST({source.event_time} AS TIMESTAMP) AS event_time, "
        f"CAST({source.known} AS TIMESTAMP) AS known_time FROM {relation} WHERE ({source.where})"
    )


def sql_of(
    view: FeatureView,
    rows: Mapping[str, str],
    at: datetime,
    *,
    entity: Entity | None = None,
    part: Part | None = None,
) -> str:
    """SQL that yields a view's features as of an instant, one row for each entity with any row before it.

    Args:
        rows: for each source, SQL that can stand behind FROM and yields what `source_rows` does.
        entity: only this entity, or all that share the given key columns.
        part: only these entities.

    Raises:
        FeatureViewError: `entity` names no key column of the view.
    """
    wanted = _narrowed(view, entity)
    parts = [
        f"{quote(name)} AS ({_counting(source, rows[name], at, wanted, part)})" for name, source in view.sources.items()
    ]
    parts += [f"{quote(name)} AS ({_dated(sql, at)})" for name, sql in view.queries.items()]
    groups = _groups(view)
    parts += [f"{name} AS ({_dated(_group(view, group), at)})" for name, group in groups.items()]
    parts += [f"_entities AS ({_entities(view)})", f"_known AS ({_known(view)})"]
    keys = ", ".join(
        f"CAST(e.{quote(key)} AS {duckdb_type(entry.type)}) AS {quote(key)}" for key, entry in view.entity.items()
    )
    values = ", ".join(
        f"CAST({_value(name, feature, group)} AS {duckdb_type(feature.type)}) AS {quote(name)}"
        for group, features in groups.items()
        for name, feature in features.items()
    )
    joins = " ".join(f"LEFT JOIN {name} USING ({_keys(view)})" for name in (*groups, "_known"))
    condition = " AND ".join(
        [f"e.{quote(key)} IS NOT NULL" for key in view.keys]
        + [f"e.{quote(key)} = {value}" for key, value in wanted.items()]
        + ([part.condition("e.")] if part is not None else [])
    )
    return (
        f"WITH {', '.join(parts)} "
        f"SELECT {keys}, CAST({instant(at)} AS DATE) AS {SNAPSHOT}, {instant(at)} AS {AS_OF}, {KNOWN_AT}, {values} "
        f"FROM _entities AS e {joins} WHERE {condition}"
    )


def columns_of(view: FeatureView) -> tuple[DeltaColumn, ...]:
    """The columns that `sql_of` yields, in their order, with what the declaration says of them."""
    own = (
        DeltaColumn(SNAPSHOT, "date", comment="Monday of the snapshot."),
        DeltaColumn(
            AS_OF,
            "timestamp_ntz",
            comment="Instant that the row is as of: only what happened and was known before it counts.",
        ),
        DeltaColumn(
            KNOWN_AT, "timestamp_ntz", comment="When the newest row that counts was known; always before `as_of`."
        ),
    )
    keys = tuple(DeltaColumn(key, entry.type, comment=entry.description) for key, entry in view.entity.items())
    ordered = [name for features in _groups(view).values() for name in features]
    return (
        *keys,
        *own,
        *(DeltaColumn(name, view.features[name].type, comment=view.features[name].description) for name in ordered),
    )


def instant(at: datetime) -> str:
    """A point in time as an SQL literal."""
    return f"TIMESTAMP '{at.isoformat(sep=' ')}'"


def window_start(at: datetime, window: timedelta) -> datetime:
    """Where a window that ends at an instant begins; the first moment of the calendar where that lies before it."""
    return at - window if at - datetime.min >= window else datetime.min


def _narrowed(view: FeatureView, entity: Entity | None) -> dict[str, str]:
    wanted = dict(entity or {})
    for key in wanted:
        if key not in view.entity:
            raise FeatureViewError(
                f"{key!r} is no key column of the feature view {view.name}", expected=", ".join(view.keys), found=key
            )
    return {
        key: f"CAST({literal(str(value))} AS {duckdb_type(view.entity[key].type)})" for key, value in wanted.items()
    }


def _counting(source: FeatureSource, relation: str, at: datetime, wanted: Mapping[str, str], part: Part | None) -> str:
    """The rows of a source that count at an instant, with their age in days."""
    now = instant(at)
    conditions = [f"event_time < {now}", f"known_time < {now}"]
    if source.window is not None:
        conditions.append(f"event_time >= {instant(window_start(at, source.window))}")
    conditions += [f"{quote(key)} = {value}" for key, value in wanted.items() if key in source.scope]
    conditions += [part.condition()] if part is not None and part.key in source.scope else []
    return f"SELECT *, (epoch_us({now}) - epoch_us(event_time)) / {_DAY} AS age FROM {relation} WHERE {' AND '.join(conditions)}"


def _dated(sql: str, at: datetime) -> str:
    """What a declaration calls `$as_of` as a literal: COPY takes no parameters."""
    return sql.replace("$as_of", instant(at))


def _groups(view: FeatureView) -> dict[str, dict[str, Feature]]:
    """Features by what they are aggregated over: one pass for each set of rows and window."""
    groups: dict[tuple[str, object], dict[str, Feature]] = {}
    for name, feature in view.features.items():
        groups.setdefault((feature.rows, feature.window), {})[name] = feature
    return {f"_group_{number}": group for number, group in enumerate(groups.values(), start=1)}


def _group(view: FeatureView, features: Mapping[str, Feature]) -> str:
    first = next(iter(features.values()))
    values = ", ".join(f"{feature.expression} AS {quote(name)}" for name, feature in features.items())
    window = f" WHERE age <= {first.window.total_seconds() / 86400}" if first.window is not None else ""
    return f"SELECT {_keys(view)}, {values} FROM {quote(first.rows)}{window} GROUP BY {_keys(view)}"


def _entities(view: FeatureView) -> str:
    """Every entity that has a row in what any feature is made from, in or outside of its window."""
    used = dict.fromkeys(feature.rows for feature in view.features.values())
    return f"SELECT DISTINCT * FROM ({' UNION ALL '.join(f'SELECT {_keys(view)} FROM {quote(rows)}' for rows in used)})"


def _known(view: FeatureView) -> str:
    """When the newest row was known that an entity's features are made from; of sources that are not its own, the newest of all."""
    own = {name: source for name, source in view.sources.items() if source.scope}
    whole = [f"(SELECT max(known_time) FROM {quote(name)})" for name in view.sources if name not in own]
    parts = [f"n{number}.known_time" for number, _ in enumerate(own)]
    joins = " ".join(
        f"LEFT JOIN (SELECT {_list(source.scope)}, max(known_time) AS known_time FROM {quote(name)} GROUP BY {_list(source.scope)}) n{number} "
        f"USING ({_list(source.scope)})"
        for number, (name, source) in enumerate(own.items())
    )
    return f"SELECT {_list(view.keys, 'k')}, greatest({', '.join([*parts, *whole])}) AS {KNOWN_AT} FROM _entities AS k {joins}"


def _value(name: str, feature: Feature, group: str) -> str:
    value = f"{group}.{quote(name)}"
    if feature.default is None:
        return value
    default = literal(feature.default) if isinstance(feature.default, str) else str(feature.default).lower()
    return f"coalesce({value}, {default})"


def _keys(view: FeatureView) -> str:
    return _list(view.keys)


def _list(names: tuple[str, ...], alias: str | None = None) -> str:
    return ", ".join(f"{alias}.{quote(name)}" if alias else quote(name) for name in names)
