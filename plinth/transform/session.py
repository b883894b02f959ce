"""One dbt invocation, from pinned inputs to staged models.

dbt renders and runs the models; this session answers what their SQL asks (`changed`, `touched`, `scoped`) and stages the rows, as many as
`plinth.transform.extent` says have to be computed. All tables are pinned when the run starts. dbt calls from several threads, one model each; what
they share is guarded by a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from plinth.catalogue import strictest
from plinth.engine import duckdb_memory, literal, load_extension, quote, reach_stores
from plinth.errors import PlinthError
from plinth.lakehouse.door import authorise
from plinth.lakehouse.merge import Rewrite
from plinth.lakehouse.schema import DeltaColumn, columns_of
from plinth.lakehouse.scopes import in_scopes, row_column
from plinth.lakehouse.staged_apart import new_folder
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.profile import Profile
from plinth.spark.engine import Input, SparkEngine
from plinth.spark.session import open_session
from plinth.transform.choice import Choice
from plinth.transform.choosing import Meter, choice_for, limits_of, noted
from plinth.transform.descent import Lineage, check_descent
from plinth.transform.extent import Extent, SeenChanges
from plinth.transform.model import Model, model_of, relations_of, settle_columns, table_of
from plinth.transform.pending import Held, Pending
from plinth.transform.relations import OWN_SCHEMA, relation_name, show, touched_name
from plinth.transform.store import compute_all, compute_by_spark, compute_scopes
from plinth.transform.work import Decision, Mode, ModelOutcome, Work

if TYPE_CHECKING:
    import duckdb


class Session:
    """The state of one run.

    Args:
        run: identifier that the commits carry.
        full_refresh: compute every model anew.
        profile: whose limits DuckDB has at first; models whose choice is `auto` may widen them.
        short: models that have run out of memory just before, by table, and the profile in which they did.
        spark: for models whose profile says so; by default one that opens its own session when the first of them is computed.
        lineage: of the models by table, see `plinth.transform.descent`; a model that is not in it counts as one that cannot be told.

    Attributes:
        read: every table that the run's models and tests read or make, by dbt's name of the model or source.
        works: the models of the run, by dbt's name.
    """

    def __init__(
        self,
        lakehouse: Lakehouse,
        *,
        run: str | None = None,
        full_refresh: bool = False,
        lineage: Mapping[str, Lineage | None] | None = None,
        spark: SparkEngine | None = None,
        profile: str | None = None,
        short: Mapping[str, str] | None = None,
    ) -> None:
        self.lakehouse = lakehouse
        self.run = run
        self.full_refresh = full_refresh
        self.lineage = lineage
        self.profile = profile
        self.short = short or {}
        self.limits: Profile | None = None
        self.spark = (
            spark if spark is not None else SparkEngine(lambda: open_session(lakehouse.platform, self._spark_profile()))
        )
        self.held: dict[TableId, Held] = {}
        self.works: dict[str, Work] = {}
        self.read: dict[str, TableId] = {}
        self.failures: dict[str, PlinthError] = {}
        self.outcomes: tuple[ModelOutcome, ...] = ()
        self.started = False
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._changes: SeenChanges = {}
        self._lock = threading.RLock()

    def connect(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Takes over the in-memory DuckDB of the run."""
        load_extension(connection, "delta")
        reach_stores(connection)
        connection.execute(f"SET TimeZone = 'UTC'; CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA}")
        self._connection = connection

    def start(self, nodes: Mapping[str, Mapping[str, Any]], macros: Mapping[str, Any], selected: Sequence[str]) -> None:
        """Pins every table that the selected models and tests read, and makes a view of each.

        Args:
            nodes: models, tests and sources of the manifest by unique id.
            macros: macros of the manifest by unique id.
            selected: unique ids of what runs.
        """
        relations = relations_of(nodes)
        for name in selected:
            node = nodes.get(name, {})
            for needed in (name, *(node.get("depends_on") or {}).get("nodes", ())):
                if needed in relations:
                    self.read[needed] = table_of(relations[needed])
        con = self._cursor()
        for table in dict.fromkeys(self.read.values()):
            self.held[table] = Held(table, self.lakehouse.find(table))
            if self.held[table].exists:
                show(con, self.held[table])
        models = {
            name: model_of(relations[name], nodes, macros)
            for name in selected
            if name in relations and relations[name]["resource_type"] == "model"
        }
        # In an order in which they can be made: publishing follows it.
        upstream = {name: relations[name]["depends_on"]["nodes"] for name in models}
        for name in TopologicalSorter(upstream).static_order():
            if name in models:
                model = models[name]
                self.works[name] = Work(model, self.held[model.table].base, self._choice(model))
        self._widen(con)
        self.started = True

    def watch(self, model: str, table: TableId) -> str:
        """Notes that a model wants the changed rows of an input; gives the relation that will hold them."""
        name = f"{OWN_SCHEMA}.{quote(f'changes of {table} for {model}')}"
        if self.started:
            self.works[model].watched[table] = name
        return name

    def touched(self, model: str, sql: str) -> None:
        """Notes the query that yields the scopes which the changed rows touch."""
        if self.started:
            self.works[model].touched_sql = sql

    def scoped(self, model: str, table: TableId, expressions: Mapping[str, str]) -> str:
        """The relation from which the model reads an input: the input itself, or its rows of the touched scopes.

        Args:
            expressions: SQL over the input's columns for the scope columns that it has not by name.
        """
        relation = relation_name(table)
        if not self.started or self.decide(model).mode is not Mode.SCOPES:
            return relation
        work = self.works[model]
        wanted = {name: expressions.get(name, row_column(name)) for name in work.model.scope}
        condition = in_scopes(self._cursor(), touched_name(model), wanted, self.held[table].columns)
        rows = f"SELECT t.* FROM {relation} t WHERE {condition}"
        name = f"{OWN_SCHEMA}.{quote(f'rows of {table} for {model}, {len(work.scoped)}')}"
        work.scoped[name] = rows
        return name

    def decide(self, model: str) -> Decision:
        """How much of a model has to be computed; decided once, when its SQL or its materialisation first asks.

        Raises:
            TableMissing: an input does not exist; the message says what to materialise.
        """
        work = self.works[model]
        if work.decision is None:
            work.decision = Extent(self.lakehouse, self.held, self._cursor(), self._changes, self._lock).decide(
                work, full_refresh=self.full_refresh
            )
        return work.decision

    def store(self, model: str, sql: str) -> str:
        """Computes and stages a model as far as needed; gives what was done, in words.

        Raises:
            PlinthError: the inputs, the columns, their classification or the storage did not allow it; nothing was published.
        """
        try:
            return self._store(self.works[model], sql)
        except PlinthError as error:
            self.failures[model] = error
            raise

    def _store(self, work: Work, sql: str) -> str:
        decision, model = self.decide(work.model.unique_id), work.model
        if decision.mode is Mode.NOTHING:
            return decision.reason
        con = self._cursor()
        for name, rows in work.scoped.items():
            # Rows that the model reads more than once are kept: what they are picked from may be large.
            con.execute(f"CREATE OR REPLACE {'TABLE' if sql.count(name) > 1 else 'VIEW'} {name} AS {rows}")
        columns = settle_columns(model, columns_of(con, sql))
        # Before the first byte is staged: staged files lie in the zone already.
        authorise(self.lakehouse, model.table, columns)
        lineage = (self.lineage or {}).get(str(model.table))
        inputs = {table: strictest(self.lakehouse.platform, table, self.held[table].columns) for table in model.inputs}
        check_descent(model, columns, lineage, inputs)
        with Meter(con) as meter:
            changes, folder, rewrite = self._computed(con, work, decision, columns, sql)
        state = self._state(work, decision, rewrite, meter)
        held = Held(model.table, work.base, Pending(columns, model.partition_by, state, rewrite, changes, folder))
        with self._lock:
            self.held[model.table] = held
            show(con, held)
        return _in_words(decision, held)

    def _computed(
        self,
        con: duckdb.DuckDBPyConnection,
        work: Work,
        decision: Decision,
        columns: tuple[DeltaColumn, ...],
        sql: str,
    ) -> tuple[str | None, str | None, Rewrite]:
        """Computes and stages; gives the run's own table of the changed rows and Spark's folder, where there are such, and what differs."""
        model, changes = work.model, f"{OWN_SCHEMA}.{quote(f'changes of {work.model.table} in this run')}"
        if decision.mode is Mode.SCOPES and work.base is not None:
            touched = f"SELECT * FROM {touched_name(model.unique_id)}"
            return changes, None, compute_scopes(con, model, columns, sql, touched, work.base, changes)
        if work.choice.engine == "spark":
            folder = new_folder(self.lakehouse, model.table)
            inputs = self._inputs(model)
            return None, folder, compute_by_spark(self.spark, con, model, columns, sql, folder, inputs, work.base)
        return None, None, compute_all(con, model, columns, sql, self.lakehouse.uri_of(model.table), work.base)

    def _state(self, work: Work, decision: Decision, rewrite: Rewrite, meter: Meter) -> State:
        """The state of the commit to come. What few scopes take says nothing of all rows, so only these are measured."""
        model, before = work.model, work.base.state if work.base is not None else State()
        measured = before.measured
        if decision.mode is Mode.ALL:
            rows = work.base.rows if work.base is not None else 0
            rows += sum(file.rows for file in rewrite.add) - sum(file.rows for file in rewrite.remove)
            measured = noted(measured, meter.measured(self._rows_in(model), rows, work.choice))
        return before.next(
            changed=work.base is None or rewrite.changed,
            asset=str(model.table),
            run=self.run,
            inputs=decision.inputs,
            code=model.code,
            measured=measured,
        )

    def _choice(self, model: Model) -> Choice:
        base = self.held[model.table].base
        history = base.state.measured if base is not None else ()
        return choice_for(
            self.lakehouse.platform, model.profile, self._rows_in(model), history, self.short.get(str(model.table))
        )

    def _rows_in(self, model: Model) -> int:
        return sum(self.held[table].rows for table in model.inputs if table in self.held)

    def _widen(self, con: duckdb.DuckDBPyConnection) -> None:
        """Gives DuckDB the limits of the largest profile that a model was given, less what Spark's JVM needs where a model goes there."""
        choices = [work.choice for work in self.works.values()]
        if any(choice.auto for choice in choices):
            self.limits = limits_of(self.lakehouse.platform, self.profile, choices)
            con.execute(
                f"SET memory_limit = {literal(duckdb_memory(self.limits))}; SET threads = {self.limits.threads}"
            )

    def _spark_profile(self) -> Profile:
        """The largest profile of the models that Spark computes: they share a session."""
        platform = self.lakehouse.platform
        names = [work.choice.profile for work in self.works.values() if work.choice.engine == "spark"]
        return max((platform.profile(name) for name in names), key=lambda profile: profile.memory)

    def _inputs(self, model: Model) -> list[Input]:
        """What a model reads, for Spark: pinned versions, or what this run has staged."""
        found = []
        for table in model.inputs:
            held = self.held[table]
            version = held.base.version if held.base is not None and held.files is None else None
            found.append(Input(table, held.columns, self.lakehouse.uri_of(table), version, held.files or ()))
        return found

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        assert self._connection is not None, "dbt opens the connection before it renders anything"
        return self._connection.cursor()


def _in_words(decision: Decision, held: Held) -> str:
    rewrite = held.pending.rewrite if held.pending is not None else None
    done = f"+{rewrite.inserted:,} ~{rewrite.updated:,} -{rewrite.deleted:,}" if rewrite is not None else ""
    return f"{held.rows:,} rows ({done}), {decision.mode.value}: {decision.reason}"
