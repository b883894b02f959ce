"""How much of a model has to be computed: nothing, all rows, or those of the scopes that changed rows of its inputs touch.

What belongs here: the decision, and the relations that it leaves for the model's SQL (the changed rows, the touched scopes). What does not: the
computing (`plinth.transform.store`), and how changed rows are found (`plinth.transform.changes`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.errors import ConfigurationError, TableMissing
from plinth.lakehouse.feed import CHANGE
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.transform.changes import changed_rows
from plinth.transform.model import SCOPE, Model
from plinth.transform.pending import Held
from plinth.transform.relations import OWN_SCHEMA, touched_name
from plinth.transform.work import Decision, Mode, Work

if TYPE_CHECKING:
    import duckdb

# Where more rows than this share of an input changed, or more scopes than this share of the rows are touched, computing everything costs less
# than picking it out: of 10 million lines the 86 % that belong to touched items take five times as long to pick as all take to read.
_ALL_SHARE = 0.3
# A table of few rows made from many (days, items) may have several rows a scope, so its scopes are counted before many rows are picked out.
_COUNTED_ROWS, _MANY_ROWS = 200_000, 1_000_000

SeenChanges = dict[tuple[TableId, str], tuple[str, int] | None]
"""What changed in an input since a content: a query and its number of rows; None where it cannot be told."""


class Extent:
    """The decision for one model of a run.

    Args:
        held: the tables of the run.
        con: a cursor of the run's database.
        seen: changes that other models of the run have asked for, kept for the next.
        lock: guards `seen`.
    """

    def __init__(
        self,
        lakehouse: Lakehouse,
        held: Mapping[TableId, Held],
        con: duckdb.DuckDBPyConnection,
        seen: SeenChanges,
        lock: threading.RLock,
    ) -> None:
        self.lakehouse = lakehouse
        self.held = held
        self._con = con
        self._changes = seen
        self._lock = lock

    def decide(self, work: Work, *, full_refresh: bool) -> Decision:
        """How much of a model has to be computed, and why.

        Raises:
            TableMissing: an input does not exist; the message says what to materialise.
            ConfigurationError: the model is one of scopes, and does not say which ones a change touches.
        """
        self._require_inputs(work.model)
        inputs = {str(table): self.held[table].content or "" for table in work.model.inputs}
        mode, reason = self._mode(work, inputs, full_refresh=full_refresh)
        return Decision(mode, reason, inputs)

    def _require_inputs(self, model: Model) -> None:
        missing = [str(table) for table in model.inputs if not self.held[table].exists]
        if missing:
            raise TableMissing(
                f"{model.table} cannot be made: {', '.join(missing)} {'do' if len(missing) > 1 else 'does'} not exist yet",
                where=", ".join(self.lakehouse.uri_of(table) for table in model.inputs if str(table) in missing),
                remedy=f"materialise {' and '.join(missing)} first",
            )

    def _mode(self, work: Work, inputs: Mapping[str, str], *, full_refresh: bool) -> tuple[Mode, str]:
        model, base = work.model, work.base
        if base is None:
            return Mode.ALL, "first time"
        if full_refresh:
            return Mode.ALL, "full refresh"
        if base.foreign:
            return Mode.ALL, "another tool has changed the table"
        if base.state.code != model.code:
            return Mode.ALL, "the model's code changed"
        moved = [table for table in model.inputs if base.state.inputs.get(str(table)) != inputs[str(table)]]
        if not moved:
            return Mode.NOTHING, "neither inputs nor code changed"
        names = ", ".join(str(table) for table in moved)
        if model.strategy != SCOPE:
            return Mode.ALL, f"{names} changed"
        blind = [str(table) for table in moved if table not in work.watched]
        if blind:
            return Mode.ALL, f"{', '.join(blind)} changed, of which the model does not ask for the changed rows"
        return self._scopes(work, moved, names)

    def _scopes(self, work: Work, moved: Sequence[TableId], names: str) -> tuple[Mode, str]:
        """Finds the touched scopes, as a table of their own."""
        con, base = self._con, work.base
        assert base is not None
        if not work.touched_sql:
            raise ConfigurationError(
                f"{work.model.table} does not say which scopes a change touches",
                expected="a block {% call touched() %} … {% endcall %} before scoped(…)",
                where=work.model.unique_id,
                remedy="add it, or set strategy='full'",
            )
        for table, view in work.watched.items():
            since = base.state.inputs.get(str(table), "") if table in moved else None
            changed = self._changed(table, since)
            if changed is None:
                return Mode.ALL, f"it cannot be told which rows of {table} changed"
            relation, rows = changed
            if rows > _ALL_SHARE * max(self.held[table].rows, 1):
                return Mode.ALL, f"{rows:,} changed rows of {table} are too many to follow"
            con.execute(f"CREATE OR REPLACE VIEW {view} AS {relation}")
        scope = ", ".join(quote(name) for name in work.model.scope)
        name = touched_name(work.model.unique_id)
        con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT DISTINCT {scope} FROM ({work.touched_sql})")
        count = int((con.execute(f"SELECT count(*) FROM {name}").fetchone() or (0,))[0])
        there = self._scopes_there(work, base)
        if count > _ALL_SHARE * max(there, 1):
            return Mode.ALL, f"{names} changed; {count:,} scopes touched, too many of {there:,} to pick out"
        return Mode.SCOPES, f"{names} changed; {count:,} scopes touched"

    def _scopes_there(self, work: Work, base: TableVersion) -> int:
        """About how many scopes the published table has: its rows, which are never fewer, unless a count is worth its while."""
        read = sum(self.held[table].rows for table in work.model.inputs)
        if base.rows > _COUNTED_ROWS or read < _MANY_ROWS:
            return base.rows
        scope = ", ".join(f"{work.model.derived.get(name, quote(name))} AS {quote(name)}" for name in work.model.scope)
        found = self._con.execute(f"SELECT count(*) FROM (SELECT DISTINCT {scope} FROM {base.scan})").fetchone()
        return int((found or (0,))[0])

    def _changed(self, table: TableId, since: str | None) -> tuple[str, int] | None:
        """A query for the changed rows of an input and their number; read once a run, however many models ask."""
        held = self.held[table]
        if since is None:
            columns = ", ".join(f"NULL::{column.duckdb_type} AS {quote(column.name)}" for column in held.columns)
            return f"SELECT {columns}, NULL::VARCHAR AS {CHANGE} WHERE false", 0
        with self._lock:
            if (table, since) not in self._changes:
                self._changes[table, since] = self._read_changes(held, since)
            return self._changes[table, since]

    def _read_changes(self, held: Held, since: str) -> tuple[str, int] | None:
        sql = changed_rows(self.lakehouse, held, since)
        if sql is None:
            return None
        name = f"{OWN_SCHEMA}.{quote(f'changes of {held.table} since {since}')}"
        con = self._con
        con.execute(f"CREATE OR REPLACE TABLE {name} AS {sql}")
        return f"SELECT * FROM {name}", int((con.execute(f"SELECT count(*) FROM {name}").fetchone() or (0,))[0])
