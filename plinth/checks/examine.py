"""What one version of a bronze table says to its checks: one pass for all row rules, one query for each of the others.

Findings hold counts and queries, never values of rows: they end in the run history, which is cleared for less than the table is.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from plinth.checks.derive import Check, Kind, keeps_deleted
from plinth.contracts.model import Drift, Reference, Table
from plinth.engine import quote
from plinth.lakehouse.tables import TableVersion
from plinth.masked import without_values

if TYPE_CHECKING:
    import duckdb

_HISTORY = 10
"""Earlier contents that a row count is compared with: two weeks of nightly loads without the week-ends."""


@dataclass(frozen=True)
class Load:
    """What the last load said of the legacy table.

    Attributes:
        at: when it ended, UTC; None where no load is known.
        source_rows: rows of the legacy table in the snapshot that was read; None where they were not counted.
        held_back: rows of it that are in quarantine instead.
    """

    at: datetime | None = None
    source_rows: int | None = None
    held_back: int = 0


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        found: what was found, in words.
        broken: rows that break it; None where it is not about rows.
        query: SQL that counts them again, to be run where the table may be read.
    """

    check: Check
    passed: bool
    found: str
    broken: int | None = None
    query: str | None = None


def evidence(check: Check, version: TableVersion, others: Mapping[str, TableVersion | None]) -> str:
    """Names all that a check's result follows from: the check itself and the content of the tables that it reads."""
    text = f"{check.fingerprint}@{version.content}"
    if check.reference is not None:
        other = others.get(check.reference.to_table)
        text += f"|{check.reference.to_table}@{other.content if other is not None else 'missing'}"
    return text


def examine(
    con: duckdb.DuckDBPyConnection | None,
    table: Table,
    checks: Sequence[Check],
    version: TableVersion,
    *,
    others: Mapping[str, TableVersion | None],
    load: Load,
    now: datetime | None = None,
) -> list[Finding]:
    """Runs some of a table's checks.

    Args:
        con: DuckDB with the delta extension; needed where a check reads rows (`Kind.reads_rows`).
        version: the version of the bronze table that is looked at.
        others: the bronze tables that references point at, by name; None where one does not exist yet.
        load: what the last load of the table said.

    Returns:
        One finding for each check, in their order.
    """
    reading = [check for check in checks if check.kind.reads_rows]
    found = _read(con, reading, version, others) if con is not None else {}
    for check in checks:
        if check.kind is Kind.SCHEMA:
            found[check.name] = _schema(check, table, version)
        elif check.kind is Kind.SOURCE:
            found[check.name] = _source(check, table, version, load)
        elif check.kind is Kind.HISTORY:
            found[check.name] = _history(check, table, version)
        elif check.kind is Kind.FRESHNESS:
            found[check.name] = _freshness(check, table, load, now or datetime.now(UTC))
    return [found[check.name] for check in checks]


def _read(
    con: duckdb.DuckDBPyConnection,
    checks: Sequence[Check],
    version: TableVersion,
    others: Mapping[str, TableVersion | None],
) -> dict[str, Finding]:
    found = _row_findings(con, [check for check in checks if check.kind is Kind.ROWS], version)
    for check in checks:
        if check.kind is Kind.KEY:
            found[check.name] = _key(con, check, version)
        elif check.kind is Kind.TABLE:
            found[check.name] = _table_rule(con, check, version)
        elif check.kind is Kind.REFERENCE:
            found[check.name] = _reference(con, check, version, others)
    return found


def _row_findings(con: duckdb.DuckDBPyConnection, checks: Sequence[Check], version: TableVersion) -> dict[str, Finding]:
    """All row rules in one pass; where the pass fails because one predicate does, each by itself, so that the guilty one is named."""
    import duckdb

    if not checks:
        return {}
    counts = ", ".join(f"count(*) FILTER (WHERE NOT ({check.rule.predicate}))" for check in checks if check.rule)
    try:
        row = con.execute(f"SELECT {counts} FROM {version.scan}").fetchone()
    except duckdb.Error as error:
        if len(checks) == 1:
            return {checks[0].name: Finding(checks[0], False, _uncomputed(error))}
        return {name: finding for check in checks for name, finding in _row_findings(con, [check], version).items()}
    assert row is not None
    return {check.name: _rows_broken(check, int(count), version) for check, count in zip(checks, row, strict=True)}


def _rows_broken(check: Check, count: int, version: TableVersion) -> Finding:
    assert check.rule is not None
    query = f"SELECT count(*) FROM {version.scan} WHERE NOT ({check.rule.predicate})"
    return Finding(check, count == 0, f"{count:,} rows break it" if count else "every row keeps it", count, query)


def _schema(check: Check, table: Table, version: TableVersion) -> Finding:
    held = {column.name: column.type for column in version.columns}
    stated = {column.name: column.delta_type for column in table.columns}
    missing = [name for name in stated if name not in held]
    other = [
        f"{name} is {held[name]} instead of {kind}"
        for name, kind in stated.items()
        if kind and held.get(name, kind) != kind
    ]
    extra = [name for name in held if name not in stated]
    faults = [f"{name} is missing" for name in missing] + other
    if table.drift is not Drift.EVOLVE:
        faults += [f"{name} is not in the contract" for name in extra]
    new = f", and {len(extra)} that the contract does not know yet: {', '.join(extra)}" if extra else ""
    return Finding(check, not faults, "; ".join(faults) or f"{len(stated)} columns as stated{new}")


def _key(con: duckdb.DuckDBPyConnection, check: Check, version: TableVersion) -> Finding:
    names = ", ".join(quote(name) for name in check.columns)
    nulls = " OR ".join(f"{quote(name)} IS NULL" for name in check.columns)
    query = (
        f"SELECT coalesce(sum(n - 1), 0) + coalesce(sum(n) FILTER (WHERE lacking AND n = 1), 0) FROM "
        f"(SELECT count(*) AS n, bool_or({nulls}) AS lacking FROM {version.scan} GROUP BY {names})"
    )
    count = _number(con, query)
    return Finding(
        check,
        not count,
        f"{count:,.0f} rows repeat a key or lack it" if count else "each key stands once",
        int(count or 0),
        query,
    )


def _table_rule(con: duckdb.DuckDBPyConnection, check: Check, version: TableVersion) -> Finding:
    import duckdb

    rule = check.rule
    assert rule is not None
    assert rule.query is not None
    query = rule.query.replace("{table}", version.scan)
    wanted = f"{rule.operator} {' and '.join(f'{limit:g}' for limit in rule.limits)}"
    try:
        value = _number(con, query)
    except duckdb.Error as error:
        return Finding(check, False, _uncomputed(error), query=query)
    passed = value is not None and holds(value, rule.operator or "=", rule.limits)
    return Finding(check, passed, f"{'nothing' if value is None else f'{value:g}'}, to be {wanted}", query=query)


def holds(value: float, operator: str, limits: Sequence[float]) -> bool:
    """Whether a number keeps a table rule's limit."""
    if operator == "between":
        return limits[0] <= value <= limits[1]
    return {
        "=": value == limits[0],
        "!=": value != limits[0],
        ">": value > limits[0],
        ">=": value >= limits[0],
        "<": value < limits[0],
        "<=": value <= limits[0],
    }[operator]


def _reference(
    con: duckdb.DuckDBPyConnection, check: Check, version: TableVersion, others: Mapping[str, TableVersion | None]
) -> Finding:
    reference = check.reference
    assert reference is not None
    other = others.get(reference.to_table)
    if other is None:
        return Finding(
            check, False, f"bronze/{reference.to_table} does not exist yet: materialise it, then check again"
        )
    query = _orphans(reference, version, other)
    count = int(_number(con, query) or 0)
    return Finding(
        check, not count, f"{count:,} rows point at nothing" if count else "every row points at one", count, query
    )


def _orphans(reference: Reference, version: TableVersion, other: TableVersion) -> str:
    pairs = list(zip(reference.columns, reference.to_columns, strict=True))
    stated = " AND ".join(f"t.{quote(own)} IS NOT NULL" for own, _ in pairs)
    same = " AND ".join(f"t.{quote(own)} = o.{quote(theirs)}" for own, theirs in pairs)
    return f"SELECT count(*) FROM {version.scan} t WHERE {stated} AND NOT EXISTS (SELECT 1 FROM {other.scan} o WHERE {same})"


def _source(check: Check, table: Table, version: TableVersion, load: Load) -> Finding:
    """Where the contract schedules no comparison of keys, what the source deletes stays: more rows than it has are no fault there."""
    if load.source_rows is None:
        return Finding(check, True, f"{version.rows:,} rows here; the last load did not count the legacy table")
    here = version.rows + load.held_back
    told = f"{version.rows:,} rows here and {load.held_back:,} in quarantine, {load.source_rows:,} in the legacy table"
    kept = max(0, here - load.source_rows) if keeps_deleted(table) else 0
    if kept:
        told += f"; {kept:,} stay that it has deleted, as no reconcileEvery is in the contract"
    broken = abs(here - kept - load.source_rows)
    return Finding(check, not broken, told, broken)


def _history(check: Check, table: Table, version: TableVersion) -> Finding:
    before = rows_before(version)
    if not before:
        return Finding(check, True, f"{version.rows:,} rows; there is no earlier content to compare with")
    usual = statistics.median(before)
    share = abs(version.rows - usual) / usual if usual else float(version.rows > 0)
    told = f"{version.rows:,} rows, {share:.1%} from the {usual:,.0f} of the last {len(before)} contents"
    return Finding(check, share <= (table.history_tolerance or 0.0), told)


def rows_before(version: TableVersion) -> list[int]:
    """Row counts of the contents before this one, newest first, as the commits of the log tell them."""
    counts: dict[int, int] = {}
    for commit in version.delta.history(200):
        state = commit.get("plinth")
        if isinstance(state, dict) and commit["version"] <= version.version:
            counts.setdefault(int(state.get("data_version", 0)), int(state.get("rows", 0)))
    counts.pop(version.state.data_version, None)
    return list(counts.values())[:_HISTORY]


def _freshness(check: Check, table: Table, load: Load, now: datetime) -> Finding:
    if load.at is None or table.freshness is None:
        return Finding(check, False, "no load of this table is known")
    age = now - load.at
    return Finding(
        check, age <= table.freshness, f"loaded {str(age).split('.')[0]} ago, at most {table.freshness} are promised"
    )


def _uncomputed(error: duckdb.Error) -> str:
    return f"the rule cannot be computed: {without_values(str(error).splitlines()[0])}"


def _number(con: duckdb.DuckDBPyConnection, query: str) -> float | None:
    row = con.execute(query).fetchone()
    return None if row is None or row[0] is None else float(row[0])
