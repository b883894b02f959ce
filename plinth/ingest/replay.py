"""Putting quarantined rows back: mended by hand, or right by now because the contract was corrected.

A replay is one commit to the bronze table that can happen once: its name is a hash of the rows, and the table's log remembers it. So a
replay that is killed between the table and the quarantine is finished by the next one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plinth.catalogue import stricter
from plinth.contracts.model import Mode, Table
from plinth.engine import connect, literal, quote
from plinth.errors import PlinthError
from plinth.ingest.held_back import HELD_BACK
from plinth.ingest.load import bronze_id
from plinth.ingest.verify import REJECTS, judge
from plinth.lakehouse import quarantine
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.merge import Changes, Rewrite, merge
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import stage
from plinth.lakehouse.tables import Lakehouse, TableVersion

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class MendedRow:
    """A row to put back: the id that it has in quarantine, and its values as texts under the bronze column names."""

    id: str
    row: dict[str, str | None]


@dataclass(frozen=True)
class Replay:
    """What a replay did: rows put back, rows that still break the contract, and rows that the table holds by now anyway."""

    replayed: int
    still_broken: dict[str, int]
    superseded: int


def replay(
    table: Table,
    lakehouse: Lakehouse,
    *,
    mended: Sequence[MendedRow] | None = None,
    rule: str | None = None,
    run: str | None = None,
) -> Replay:
    """Puts held rows back into their bronze table, those that keep the contract now.

    Args:
        mended: rows with corrected values; without them every held row is tried as it is.
        rule: only rows that broke this rule.

    A row whose key the bronze table holds by now, at least as new by the cursor, is superseded: the legacy system has mended it, and its
    version stands. An older one is replaced: the row that was held back was an update of it.

    Raises:
        TableMissing: nothing was quarantined, or the bronze table does not exist.
        PlinthError: a mended row has an id that is not held, or columns that the table has not.
    """
    held = lakehouse.open(quarantine.quarantine_id(table), zone=table.zone)
    base = lakehouse.open(bronze_id(table), zone=table.zone)
    con = connect(lakehouse.platform.profile(table.profile))
    try:
        rows = quarantine.held_rows(con, held, rule=rule)
        chosen = _with_mended(table, rows, mended, base.columns)
        if not chosen:
            return Replay(0, {}, 0)
        return _Attempt(con, table, lakehouse, held, base, run).put_back(chosen)
    finally:
        con.close()


def drop(table: Table, lakehouse: Lakehouse, *, rule: str | None = None, run: str | None = None) -> int:
    """Gives up held rows, all or those that broke one rule: they stay as evidence with the status `dropped`. Gives their number.

    Raises:
        TableMissing: nothing was ever quarantined.
    """
    held = lakehouse.open(quarantine.quarantine_id(table), zone=table.zone)
    con = connect(lakehouse.platform.profile(table.profile))
    try:
        rows = quarantine.held_rows(con, held, rule=rule)
        con.execute("CREATE TEMP TABLE plinth_dropped (id VARCHAR, mended VARCHAR)")
        if rows:
            con.executemany("INSERT INTO plinth_dropped VALUES (?, NULL)", [(row.id,) for row in rows])
            quarantine.settle(con, lakehouse, held, "plinth_dropped", quarantine.DROPPED, run=run)
        return len(rows)
    finally:
        con.close()


def _with_mended(
    table: Table, held: Sequence[quarantine.HeldRow], mended: Sequence[MendedRow] | None, columns: Sequence[DeltaColumn]
) -> list[MendedRow]:
    if mended is None:
        return [MendedRow(row.id, row.row) for row in held]
    known, names = {row.id: row.row for row in held}, {column.name for column in columns}
    for entry in mended:
        if entry.id not in known:
            raise PlinthError(
                f"no row of {table.name} with this id is held",
                expected="an id from `plinth quarantine export`",
                found=entry.id,
                remedy="export again: the row may have been replayed or dropped meanwhile",
            )
        unknown = set(entry.row) - names
        if unknown:
            raise PlinthError(
                f"a mended row of {table.name} has columns that the table has not",
                expected=", ".join(sorted(names)),
                found=", ".join(sorted(unknown)),
                where=f"row {entry.id}",
            )
    return [MendedRow(entry.id, {**known[entry.id], **entry.row}) for entry in mended]


@dataclass(frozen=True)
class _Attempt:
    con: duckdb.DuckDBPyConnection
    table: Table
    lakehouse: Lakehouse
    held: TableVersion
    base: TableVersion
    run: str | None

    def put_back(self, rows: list[MendedRow]) -> Replay:
        names = {column.name for column in self.table.columns}
        columns = tuple(column for column in self.base.columns if column.name in names)
        self.con.execute("CREATE TEMP TABLE plinth_replay (id VARCHAR, mended VARCHAR)")
        self.con.executemany("INSERT INTO plinth_replay VALUES (?, ?)", [(row.id, json.dumps(row.row)) for row in rows])
        broken = self._judge(columns)
        once = f"plinth.replay.{self._digest()}"
        published = self.base.delta.transaction_version(once) is not None
        superseded = 0 if published else self._set_aside_superseded()
        count = _number(self.con, "SELECT count(*) FROM plinth_good")
        if count and not published:
            self._publish(columns, once)
        held = self.held
        if superseded:
            held = quarantine.settle(
                self.con, self.lakehouse, held, "plinth_superseded", quarantine.DROPPED, run=self.run
            )
        if count:
            quarantine.settle(self.con, self.lakehouse, held, "plinth_good", quarantine.REPLAYED, run=self.run)
        return Replay(count, broken, superseded)

    def _judge(self, columns: tuple[DeltaColumn, ...]) -> dict[str, int]:
        """Fills `plinth_good` with the rows that keep the contract; gives the broken ones by rule."""
        text = {column.name: f"json_extract_string(mended, {literal('/' + column.name)})" for column in columns}
        failed = " ".join(
            f"WHEN {text[column.name]} IS NOT NULL AND TRY_CAST({text[column.name]} AS {column.duckdb_type}) IS NULL THEN "
            f"json_object({literal(column.name)}, json_object('value', {text[column.name]}, 'rule', {literal(column.name + '_type')}))::VARCHAR"
            for column in columns
        )
        values = quarantine.from_text("mended", columns, strict=False)
        rows = f"SELECT {values}, id, mended, CASE {failed} END AS {REJECTS} FROM plinth_replay"
        lenient = replace(self.table, quarantine_share=1.0)
        names = (*(column.name for column in columns), "id", "mended")
        verdict = judge(self.con, lenient, rows, names, rejects=True, unique=False, proven=frozenset())
        listed = ", ".join(quote(name) for name in names)
        self.con.execute(f"CREATE TEMP TABLE plinth_good AS {verdict.good or f'SELECT {listed} FROM ({rows})'}")
        return verdict.broken

    def _digest(self) -> str:
        rows = self.con.execute("SELECT id, mended FROM plinth_good ORDER BY id").fetchall()
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:32]

    def _set_aside_superseded(self) -> int:
        if not self.table.key:
            return 0
        # A row that is older in the table than the one that was held back is what an update that broke the contract was to replace.
        cursor = quote(self.table.cursor) if self.table.cursor and self.table.mode is Mode.INCREMENTAL else None
        newer = f" AND (g.{cursor} IS NULL OR t.{cursor} >= g.{cursor})" if cursor else ""
        self.con.execute(
            "CREATE TEMP TABLE plinth_superseded AS SELECT g.id, NULL::VARCHAR AS mended FROM plinth_good g "
            f"WHERE EXISTS (SELECT 1 FROM {rows_of(self.base)} t WHERE {self._same_key()}{newer})"
        )
        self.con.execute("DELETE FROM plinth_good WHERE id IN (SELECT id FROM plinth_superseded)")
        return _number(self.con, "SELECT count(*) FROM plinth_superseded")

    def _same_key(self) -> str:
        return " AND ".join(f"t.{quote(name)} = g.{quote(name)}" for name in self.table.key)

    def _rewrite(self, columns: tuple[DeltaColumn, ...]) -> Rewrite:
        """The files to publish: rows with new keys are added, rows of the table are replaced by their mended updates."""
        base = self.base
        if not self.table.key:
            names = ", ".join(quote(column.name) for column in columns)
            staged = stage(self.con, f"SELECT {names} FROM plinth_good", base.uri, columns, base.partition_by)
            return Rewrite(staged, inserted=sum(file.rows for file in staged))
        mended = {column.name for column in columns}
        # What the contract does not name, such as a column that the source has lost, stays as the table has it.
        values = ", ".join(f"{'g' if each.name in mended else 't'}.{quote(each.name)}" for each in base.columns)
        self.con.execute(
            f"CREATE TEMP TABLE plinth_put_back AS SELECT {values} FROM plinth_good g "
            f"LEFT JOIN {rows_of(base)} t ON {self._same_key()}"
        )
        changes = Changes(self.table.key, "plinth_put_back", may_repeat="false", feed=True)
        return merge(self.con, base, base.columns, changes)

    def _publish(self, columns: tuple[DeltaColumn, ...], once: str) -> None:
        base, rewrite = self.base, self._rewrite(columns)
        notes = dict(base.state.notes)
        # One that replaces an older row was not held back: that row stood for it.
        notes[HELD_BACK] = max(0, notes.get(HELD_BACK, 0) - rewrite.inserted)
        state = base.state.next(changed=True, run=self.run, notes=notes)
        # A contract that was raised since the last load counts already.
        columns = stricter(base.columns, {column.name: column.classification for column in self.table.columns})
        write = Write(
            base, columns, state, rewrite.add, rewrite.remove, base.partition_by, once=once, feed=rewrite.feed
        )
        commit(self.lakehouse, base.id, write, zone=base.zone)


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0
