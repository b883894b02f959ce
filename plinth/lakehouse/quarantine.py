"""Rows that broke their contract: kept with the rule that they broke and the run that found them, until someone mends them.

Each bronze table has one quarantine table, `ops/quarantine_<table>`, in the bronze table's own zone and with its highest
classification, since the rows hold the same data. A row is kept once however often it is read again: its `id` is a hash of
the table, the rule and the row.

The rows of a load that broke the contract by more than it allows are kept too, as refused: for people to look at, until the next load of
the table says something else. They are held back from nothing, since nothing was published, and are never replayed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.engine import literal, quote
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.merge import Changes, merge
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion

if TYPE_CHECKING:
    import duckdb

    from plinth.contracts.model import Table

HELD, REPLAYED, DROPPED, REFUSED = "held", "replayed", "dropped", "refused"

REFUSED_KEPT = 1000
"""Refused rows that are kept of each rule: a wrong rule can refuse every row of a table, and to see why takes a few."""

_LEVELS = ("public", "internal", "confidential", "restricted")


@dataclass(frozen=True)
class HeldRow:
    """One row of a quarantine table. `row` and `key` hold the values as text, under the bronze column names."""

    id: str
    rule: str
    reason: str
    row: dict[str, str | None]
    run: str | None
    quarantined_at: datetime
    status: str


def quarantine_id(table: Table) -> TableId:
    """The quarantine table of a contract table."""
    return TableId("ops", f"quarantine_{table.name}")


def quarantine_columns(table: Table) -> tuple[DeltaColumn, ...]:
    """The columns of a quarantine table; the row itself is as sensitive as the most sensitive column of the contract."""
    highest = max((column.classification for column in table.columns), key=_LEVELS.index, default="internal")
    return (
        DeltaColumn("id", "string", comment="hash of table, rule and row"),
        DeltaColumn("rule", "string", comment="the first rule that the row broke"),
        DeltaColumn("reason", "string", comment="every rule that the row broke, with the value found"),
        DeltaColumn("key", "string", highest, comment="key values as a JSON array of texts; null without a key"),
        DeltaColumn("row", "string", highest, comment="the row as a JSON object of texts"),
        DeltaColumn("run", "string", comment="the run that found it"),
        DeltaColumn("quarantined_at", "timestamp", comment="when it was found, UTC"),
        DeltaColumn("status", "string", comment="held, replayed, dropped or refused"),
        DeltaColumn("mended", "string", highest, comment="the row as it was put back, a JSON object of texts"),
    )


def row_as_text(columns: Sequence[str]) -> str:
    """SQL for a row as a JSON object of texts; every value can be cast back from its text."""
    return "json_object(" + ", ".join(f"{literal(name)}, {quote(name)}::VARCHAR" for name in columns) + ")::VARCHAR"


def key_as_text(key: Sequence[str]) -> str:
    """SQL for the key of a row as a JSON array of texts, null without a key."""
    return (
        "json_array(" + ", ".join(f"{quote(name)}::VARCHAR" for name in key) + ")::VARCHAR" if key else "NULL::VARCHAR"
    )


def row_id(table: Table) -> str:
    """SQL for the id of a broken row, from its columns `rule` and `row`."""
    return f"sha256(concat_ws(chr(31), {literal(table.name)}, rule, row))"


def hold(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    table: Table,
    broken: str,
    *,
    run: str | None,
    zone: str | None,
    status: str = HELD,
) -> TableVersion:
    """Keeps broken rows; those that are kept already, whatever became of them, are left as they are.

    What an earlier load left as refused makes room, since this load has judged the rows again.

    Args:
        broken: name of a relation with the columns `rule`, `reason`, `key` and `row`.
        status: `held`, or `refused` where the whole load was.

    Raises:
        CommitConflict, StorageFailure, ResidencyViolation: as the door.
    """
    target, columns = quarantine_id(table), quarantine_columns(table)
    enough = f"QUALIFY row_number() OVER (PARTITION BY rule ORDER BY row) <= {REFUSED_KEPT}"
    rows = f"SELECT * FROM {quote(broken)} {enough if status == REFUSED else ''}"
    con.execute(
        "CREATE OR REPLACE TEMP TABLE plinth_held AS "
        f"SELECT {row_id(table)} AS id, any_value(rule) AS rule, "
        f'any_value(reason) AS reason, any_value("key") AS "key", any_value(row) AS row, '
        f"{literal(run) if run else 'NULL'}::VARCHAR AS run, now()::TIMESTAMPTZ AS quarantined_at, {literal(status)} AS status, "
        f"NULL::VARCHAR AS mended FROM ({rows}) GROUP BY ALL"
    )
    base = lakehouse.find(target, zone=zone)
    if base is not None:
        con.execute(f"DELETE FROM plinth_held WHERE id IN (SELECT id FROM {rows_of(base)} WHERE status <> '{REFUSED}')")
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE plinth_judged_anew AS SELECT id FROM {rows_of(base)} "
            f"WHERE status = '{REFUSED}' AND id NOT IN (SELECT id FROM plinth_held)"
        )
    gone = "plinth_judged_anew" if base is not None else None
    refused = status == REFUSED
    return _publish(
        con, lakehouse, target, base, columns, "plinth_held", zone=zone, run=run, gone=gone, refused=refused
    )


def forget_refused(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, table: Table, *, run: str | None, zone: str | None
) -> None:
    """Takes out what an earlier load left as refused, since a load has found no broken row; a look at the commit where there is none.

    Raises:
        CommitConflict, StorageFailure, ResidencyViolation: as the door.
    """
    base = lakehouse.find(quarantine_id(table), zone=zone)
    if base is None or not base.state.notes.get(REFUSED):
        return
    con.execute(
        'CREATE OR REPLACE TEMP TABLE plinth_none_broken (rule VARCHAR, reason VARCHAR, "key" VARCHAR, row VARCHAR)'
    )
    hold(con, lakehouse, table, "plinth_none_broken", run=run, zone=zone)


def from_text(column: str, columns: Sequence[DeltaColumn], *, strict: bool = True) -> str:
    """SQL that turns a row kept as text back into its columns; without `strict` what does not cast becomes null."""
    cast = "CAST" if strict else "TRY_CAST"
    return ", ".join(
        f"{cast}(json_extract_string({column}, {literal('/' + entry.name)}) AS {entry.duckdb_type}) AS {quote(entry.name)}"
        for entry in columns
    )


def mended_rows(
    con: duckdb.DuckDBPyConnection, version: TableVersion, table: Table, broken: str, columns: Sequence[DeltaColumn]
) -> tuple[str, int]:
    """Broken rows for which someone put a mended form back earlier: SQL that yields those, and their number.

    The legacy system still holds the broken form. Without this a load of all rows would take the mended one out again.
    """
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE plinth_mended AS SELECT mended FROM {rows_of(version)} WHERE status = '{REPLAYED}' "
        f"AND mended IS NOT NULL AND id IN (SELECT {row_id(table)} FROM {quote(broken)})"
    )
    row = con.execute("SELECT count(*) FROM plinth_mended").fetchone()
    return f"SELECT {from_text('mended', columns)} FROM plinth_mended", int(row[0]) if row else 0


def settle(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    base: TableVersion,
    settled: str,
    status: str,
    *,
    run: str | None,
) -> TableVersion:
    """Marks held rows as replayed or dropped; they stay in the table as evidence, and as the mended form of a row still broken.

    Args:
        settled: name of a relation with `id` and `mended` (the row as it was put back, null for dropped rows).
    """
    own = {"status": f"'{status}' AS status", "mended": "s.mended AS mended"}
    names = ", ".join(own.get(column.name, f"q.{quote(column.name)}") for column in base.columns)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE plinth_held AS SELECT {names} FROM {rows_of(base)} q JOIN {quote(settled)} s USING (id)"
    )
    return _publish(con, lakehouse, base.id, base, base.columns, "plinth_held", zone=base.zone, run=run)


def held_rows(
    con: duckdb.DuckDBPyConnection,
    version: TableVersion,
    *,
    rule: str | None = None,
    limit: int | None = None,
    refused: bool = False,
) -> list[HeldRow]:
    """The rows that are still held, oldest first; with `refused` also those of a load that was refused."""
    where = f"AND rule = {literal(rule)}" if rule else ""
    until = f"LIMIT {int(limit)}" if limit is not None else ""
    rows = con.execute(
        f"SELECT id, rule, reason, row, run, quarantined_at, status FROM {rows_of(version)} "
        f"WHERE status IN ({_statuses(refused=refused)}) {where} ORDER BY quarantined_at, id {until}"
    ).fetchall()
    return [HeldRow(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5], row[6]) for row in rows]


def held_by_rule(con: duckdb.DuckDBPyConnection, version: TableVersion) -> dict[str, int]:
    """How many rows are held, by rule."""
    return {rule: rows for status, rule, rows in kept_by_rule(con, version) if status == HELD}


def kept_by_rule(con: duckdb.DuckDBPyConnection, version: TableVersion) -> list[tuple[str, str, int]]:
    """How many rows are held or refused: status, rule, rows."""
    return con.execute(
        f"SELECT status, rule, count(*) FROM {rows_of(version)} WHERE status IN ({_statuses(refused=True)}) "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()


def _statuses(*, refused: bool) -> str:
    return f"'{HELD}', '{REFUSED}'" if refused else f"'{HELD}'"


def _publish(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    target: TableId,
    base: TableVersion | None,
    columns: Sequence[DeltaColumn],
    rows: str,
    *,
    zone: str | None,
    run: str | None,
    gone: str | None = None,
    refused: bool | None = None,
) -> TableVersion:
    state = (base.state if base is not None else State()).next(changed=True, asset=str(target), run=run)
    if refused is not None:
        state = state.next(changed=False, notes={**state.notes, REFUSED: int(refused)})
    if base is None:
        staged = stage(con, f"SELECT * FROM {quote(rows)}", lakehouse.uri_of(target, zone), columns)
        return commit(lakehouse, target, Write(None, tuple(columns), state, staged), zone=zone)
    rewrite = merge(con, base, columns, Changes(("id",), rows, gone))
    if not rewrite.changed:
        return base
    return commit(lakehouse, target, Write(base, tuple(columns), state, rewrite.add, rewrite.remove), zone=zone)
