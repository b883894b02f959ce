"""From a legacy table to its bronze table: one consistent read, judged, and published by one commit.

The order keeps every fault harmless: rows are staged (invisible), judged, the broken ones are put into quarantine, and last the door
publishes rows and watermark together. Killed anywhere, the table is as it was, and the next run reads the same rows again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plinth.contracts.drift import UNREVIEWED, settle_drift
from plinth.contracts.model import Column, Table
from plinth.engine import connect, quote
from plinth.errors import ContractViolation, StorageFailure
from plinth.ingest.by_spark import Choice, choose, snapshots
from plinth.ingest.held_back import held_back
from plinth.ingest.outcome import Outcome
from plinth.ingest.plan import Plan, as_wide_as_held, key_enforced, plan_load
from plinth.ingest.publish import Marks, Published, RowsBehind, publish
from plinth.ingest.read import LANDED, Opener, Read, Reshaped, Target, read, scratch_folder
from plinth.ingest.verify import BROKEN, Verdict, judge
from plinth.lakehouse.quarantine import REFUSED, forget_refused, hold, mended_rows
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.resident import peak_bytes

if TYPE_CHECKING:
    import duckdb

    from plinth.sources import Source
    from plinth.sources.source import Probe
    from plinth.spark.engine import SparkEngine

Progress = Callable[[str], None]

# Of a value in a compressed column, for the size of a table that nobody has loaded yet: 1.3 of the benchmark's order lines, 0.8 of the sample's invoice lines.
_BYTES_A_VALUE = 1.25


def bronze_id(table: Table) -> TableId:
    """The bronze table of a contract table."""
    return TableId("bronze", table.name)


def unchanged(table: Table, source: Source, lakehouse: Lakehouse) -> bool:
    """Whether a cheap look at the source says what it said at the last load; False where there was none.

    Raises:
        SourceUnavailable: the source did not answer.
    """
    base = lakehouse.find(bronze_id(table), zone=table.zone)
    return base is not None and base.state.probe == source.probe(table).as_text()


def ingest(
    table: Table,
    source: Source,
    lakehouse: Lakehouse,
    *,
    run: str | None = None,
    full: bool = False,
    progress: Progress | None = None,
    spark: SparkEngine | None = None,
) -> Outcome:
    """Brings a bronze table up to its legacy table.

    Args:
        table: the contract of the table.
        source: the open legacy system.
        run: identifier that the commit carries.
        full: read all rows, also where the cursor would allow less.
        progress: told in words what is being done.
        spark: for tables whose profile is one of Spark's; a session of this process's own by default.

    Raises:
        SourceUnavailable: the source did not answer or was cut off; nothing was published. A retry may help.
        ClusterUnavailable, SparkFailure, DriverMissing: Spark was to read the table and could not; nothing was published.
        SourceUnreadable: the table is not there, or holds what the contract's types cannot.
        SchemaDrift: columns differ from the contract and its policy is `freeze`, or a type narrowed.
        ContractViolation: more rows are broken than the contract allows; nothing was published.
        CommitConflict: another writer was first; nothing was published. A retry helps.
        StorageFailure: the zone or the scratch folder could not be written.
        ResidencyViolation: the zone is not cleared for a column.
    """
    started = time.monotonic()
    base = lakehouse.find(bronze_id(table), zone=table.zone)
    profile = lakehouse.platform.profile(table.profile or lakehouse.platform.source(table.source).profile)
    # One thread for looks and small reads, see `read`; it is given the others where there is work for them.
    con = connect(
        profile.model_copy(update={"threads": 1}), scratch=lakehouse.platform.path(lakehouse.platform.stores.scratch)
    )
    try:
        with source.asking(con) as look:
            found = source.describe_table(table, look)
        amended, drift = settle_drift(table, found, landed_columns(base))
        probe = source.probe_before(amended)
        with scratch_folder(lakehouse) as scratch:
            amended = as_wide_as_held(_absent_as_held(amended, base), found, base, source.dialect)
            expected = (
                base.size if base is not None else int(_BYTES_A_VALUE * len(found.columns) * (found.row_estimate or 0))
            )
            target = Target(lakehouse, amended, bronze_id(table), base, scratch, expected, profile.threads)
            plan = plan_load(table, amended, base, full=full)
            load = _Load(
                con,
                source,
                target,
                Marks(run, plan.code),
                key_enforced(amended, found),
                progress or _silent,
                probe,
                spark,
            )
            outcome = load.run(plan)
    finally:
        con.close()
    return replace(outcome, drift=drift, seconds=round(time.monotonic() - started, 3), peak_memory=peak_bytes())


def landed_columns(base: TableVersion | None) -> tuple[Column, ...]:
    """The columns that the bronze table holds though no contract named them, as they landed."""
    return tuple(
        Column(
            column.name,
            column.metadata.get("plinth.physical_name", column.name),
            column.metadata.get("plinth.physical_type"),
            delta_type=column.type,
            description=column.comment,
            classification=column.classification,
            tags=(UNREVIEWED,),
        )
        for column in (base.columns if base is not None else ())
        if LANDED in column.metadata
    )


def _absent_as_held(table: Table, base: TableVersion | None) -> Table:
    """A column that the source lost keeps the type that the bronze table has for it."""
    held = {column.name: column.type for column in base.columns} if base is not None else {}
    columns = tuple(
        replace(column, delta_type=held.get(column.name, column.delta_type)) if column.absent else column
        for column in table.columns
    )
    return replace(table, columns=columns)


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True)
class _Load:
    """One load under way."""

    con: duckdb.DuckDBPyConnection
    source: Source
    target: Target
    marks: Marks
    unique: bool
    tell: Progress
    probe: Probe | None
    spark: SparkEngine | None

    def run(self, plan: Plan) -> Outcome:
        choice = choose(self.target.lakehouse.platform, self.target.table, self.source.address, plan)
        self.tell(f"reading rows since {plan.since}" if plan.since else f"reading all rows ({plan.reason})")
        if choice.reason:
            self.tell(f"by {choice.reason}")
        try:
            found = _guarded_read(self.con, self.source, self._opener(choice), self.target, plan, self.probe)
        except Reshaped:
            return self.run(Plan(None, "the table's files have to be replaced", plan.code))
        self.tell(f"{found.rows:,} rows read, judging them")
        verdict = _judge(self.con, self.target, found, unique=self.unique, run=self.marks.run)
        good, held = _hold(self.con, self.target, found, verdict, self.marks.run)
        self.tell("publishing")
        try:
            published = publish(self.con, self.target, found, good, self.marks, held)
        except RowsBehind as behind:
            outcome = self.run(Plan(None, str(behind), plan.code))
            return replace(outcome, notes={**outcome.notes, "rows_behind_lookback": behind.rows})
        outcome = _outcome(self.target, found, verdict, published)
        return replace(outcome, engine=choice.engine, engine_reason=choice.reason)

    def _opener(self, choice: Choice) -> Opener:
        return snapshots(self.source, self.target, self.spark) if choice.engine == "spark" else self.source.snapshot


def _hold(
    con: duckdb.DuckDBPyConnection, target: Target, found: Read, verdict: Verdict, run: str | None
) -> tuple[str | None, int]:
    """Puts the broken rows into quarantine: SQL for the rows to publish, and how many of the source's rows are held back."""
    base, names = target.base, ", ".join(quote(column.name) for column in found.columns)
    count = 0
    if not found.complete and base is not None:
        good = verdict.good or f"SELECT {names} FROM ({found.landing.sql})"
        count = held_back(con, target.lakehouse, target.table, base, found.columns, good, broken=bool(verdict.broken))
    if not verdict.broken:
        forget_refused(con, target.lakehouse, target.table, run=run, zone=target.table.zone)
        return verdict.good, count
    version = hold(con, target.lakehouse, target.table, BROKEN, run=run, zone=target.table.zone)
    mended, number = mended_rows(con, version, target.table, BROKEN, found.columns)
    if found.complete:
        count = sum(verdict.broken.values()) - number
    return (f"{verdict.good} UNION ALL ({mended})" if number else verdict.good), count


def _guarded_read(
    con: duckdb.DuckDBPyConnection, source: Source, opener: Opener, target: Target, plan: Plan, probe: Probe | None
) -> Read:
    """Reads, and says whose fault a failure was: the source's, the scratch folder's or the data's."""
    import duckdb

    try:
        return read(con, opener, target, plan, probe)
    except duckdb.Error as error:
        if "No space left" in str(error) or isinstance(error, duckdb.OutOfMemoryException):
            raise StorageFailure(
                "the load did not fit into its memory and scratch folder; the table is as it was",
                found=str(error).splitlines()[0],
                where=target.lakehouse.platform.path(target.lakehouse.platform.stores.scratch),
                remedy="free the disk, point stores.scratch to a larger one, or give the table a larger profile",
            ) from error
        raise source.explain(error, target.table) from error


def _judge(con: duckdb.DuckDBPyConnection, target: Target, found: Read, *, unique: bool, run: str | None) -> Verdict:
    names = tuple(column.name for column in found.columns)
    proven = frozenset(
        rule.name
        for rule in target.table.rules
        if len(rule.columns) == 1
        and rule.predicate == f"{quote(rule.columns[0])} IS NOT NULL"
        and found.landing.has_no_nulls(rule.columns[0])
    )
    try:
        return judge(con, target.table, found.landing.sql, names, rejects=found.rejects, unique=unique, proven=proven)
    except BaseException as error:
        if isinstance(error, ContractViolation):
            # Which rows they are stands nowhere else: nothing of this load is published, and its staged files go.
            hold(con, target.lakehouse, target.table, BROKEN, run=run, zone=target.table.zone, status=REFUSED)
        found.landing.give_up()
        raise


def _outcome(target: Target, found: Read, verdict: Verdict, published: Published) -> Outcome:
    version, counts = published.version, published.counts
    return Outcome(
        table=str(target.id),
        changed=target.base is None or version.content != target.base.content,
        version=version.version,
        content=version.content,
        mode=target.table.mode.value,
        rows_read=found.rows,
        inserted=counts.inserted if counts is not None else None,
        updated=counts.updated if counts is not None else None,
        deleted=counts.deleted if counts is not None else None,
        rows_before=target.base.rows if target.base is not None else 0,
        quarantined=verdict.broken,
        rows=version.rows,
        source_rows=found.source_rows,
        size=version.size,
        watermark=found.watermark,
        notes=found.notes,
        columns=version.columns,
    )
