"""A view's weekly snapshots as a Delta table, one partition for each Monday, each replaced as a whole.

What belongs here: making snapshots and committing them. What does not: which ones are due (`due`) and what stands in them (`query`). A snapshot
that comes out as it is already is left alone: its files stay, and nothing downstream starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from plinth.engine import duckdb_bytes
from plinth.features.by_spark import stage_by_spark
from plinth.features.declare import SNAPSHOT, FeatureView, FeatureViewError, FeatureViews
from plinth.features.due import as_date, due_snapshots, in_order, instant_of, mondays_of, reach_of
from plinth.features.guard import check_sql, classified, columns_read, lineage_of
from plinth.features.parts import parts_of, stage_parts
from plinth.features.query import Part, columns_of, sql_of
from plinth.features.rows import Inputs, explained, held_rows, session
from plinth.lakehouse.changes import difference
from plinth.lakehouse.door import Write, authorise, commit
from plinth.lakehouse.files import is_damage, read_files
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import StagedFile, discard
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import DataFile, Lakehouse, TableVersion
from plinth.resident import peak_bytes
from plinth.spark.engine import SparkEngine
from plinth.spark.session import open_session

if TYPE_CHECKING:
    import duckdb

_PARTITION = (SNAPSHOT,)


@dataclass(frozen=True)
class SnapshotOutcome:
    """One snapshot: whether its rows are others than before, and how many there are."""

    monday: date
    changed: bool
    rows: int


@dataclass(frozen=True)
class Materialised:
    """What came of making snapshots of a view.

    Attributes:
        snapshots: those that were computed, in order; others were left alone without a look.
        there: all snapshots that the table has now.
        lineage: for each feature the (table, column) pairs that it is made from.
        engine: `duckdb` or `spark`, which computed them.
    """

    view: FeatureView
    version: TableVersion
    snapshots: tuple[SnapshotOutcome, ...]
    there: tuple[date, ...]
    reason: str
    lineage: dict[str, list[tuple[str, str]]]
    seconds: float
    peak_memory: int
    engine: str

    @property
    def changed(self) -> bool:
        """Whether any row is another than before."""
        return any(snapshot.changed for snapshot in self.snapshots)


@dataclass(frozen=True)
class _Made:
    monday: date
    staged: tuple[StagedFile, ...]
    replaced: tuple[DataFile, ...]
    rows: int

    @property
    def changed(self) -> bool:
        return bool(self.staged or self.replaced)


def refresh(
    lakehouse: Lakehouse,
    views: FeatureViews,
    name: str,
    *,
    run: str | None = None,
    today: date | None = None,
    also: Sequence[date] = (),
    spark: SparkEngine | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Materialised:
    """Makes the snapshots of a view that are due: the newest weeks that are missing, and those that changed inputs reach.

    Args:
        also: Mondays to make besides, whether they are due or not.
        spark: for a view whose profile says `engine: spark`; by default a session of its own, opened when the first snapshot is computed.

    Raises:
        TableMissing: a table of the view has not been made yet.
        FeatureViewError: the view reads what it may not, or a day is no Monday.
        SparkFailure: Spark could not compute a snapshot.
    """
    _mondays(name, also)
    asked = _Asked(tuple(also), today or datetime.now(UTC).date())
    return _make(lakehouse, views, name, asked, run=run, spark=spark, tell=tell)


def materialise(
    lakehouse: Lakehouse,
    views: FeatureViews,
    name: str,
    mondays: Sequence[date],
    *,
    run: str | None = None,
    spark: SparkEngine | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Materialised:
    """Makes the snapshots of the given Mondays anew, whatever the table holds, in one commit.

    Raises:
        TableMissing, FeatureViewError, SparkFailure: as `refresh`; also where a day is no Monday.
    """
    _mondays(name, mondays)
    return _make(lakehouse, views, name, _Asked(tuple(mondays)), run=run, spark=spark, tell=tell)


@dataclass(frozen=True)
class _Asked:
    """Mondays to make in any case, and the day up to which those that are due are made too; None where they are not."""

    mondays: tuple[date, ...]
    due_until: date | None = None


def _mondays(name: str, days: Sequence[date]) -> None:
    for day in days:
        if day.weekday() != 0:
            raise FeatureViewError(
                f"there are no snapshots of a {day:%A}", expected="Mondays", found=day, where=f"features/{name}"
            )


def _make(
    lakehouse: Lakehouse,
    views: FeatureViews,
    name: str,
    asked: _Asked,
    *,
    run: str | None,
    spark: SparkEngine | None,
    tell: Callable[[str], None],
) -> Materialised:
    began, view = time.monotonic(), views.view(name)
    profile = lakehouse.platform.profile(view.profile)
    engine = spark or SparkEngine(lambda: open_session(lakehouse.platform, profile))
    inputs, held = Inputs.open(lakehouse, view), lakehouse.find(view.table)
    check_sql(view)
    read = columns_read(inputs, lakehouse.platform)
    lineage = lineage_of(view, read)
    columns = classified(columns_of(view), lineage, read)
    authorise(lakehouse, view.table, columns)
    there = mondays_of(held)
    with session(lakehouse, profile) as con, explained(view):
        due = due_snapshots(con, lakehouse, inputs, held, views, asked.due_until)
        reach = reach_of(con, inputs, asked.due_until)
        mondays = in_order((*asked.mondays, *(due.mondays if asked.due_until is not None else ())))
        touched = due.touched
        if held is not None and _shape(held.columns) != _shape(columns):
            # A table has one shape: what is there has to be made in it too.
            mondays, touched = in_order((*mondays, *there)), there
        tell(f"{len(mondays)} snapshots to make of {view.table}, {len(there)} there: {due.reason}")
        by = engine if profile.engine == "spark" else None
        parts = parts_of(inputs, duckdb_bytes(profile))
        if by is None and len(parts) > 1:
            tell(
                f"{view.table} is computed in {len(parts)} parts, by what its rows may take and the memory of the profile"
            )
        made = _compute(con, lakehouse, inputs, columns, mondays, held, by, parts, tell)
    # Only when every snapshot follows from these inputs may the table say so; else the next refresh looks from the older ones again.
    complete = held is None or set(touched) <= set(mondays)
    said: dict[str, Any] = {"inputs": inputs.contents, "code": view.fingerprint} if complete else {}
    said["watermark"] = None if reach is None else str(reach)
    version = _publish(lakehouse, view, columns, held, made, said, run)
    return Materialised(
        view=view,
        version=version,
        snapshots=tuple(SnapshotOutcome(each.monday, each.changed, each.rows) for each in made),
        there=mondays_of(version),
        reason=due.reason,
        lineage=lineage,
        seconds=round(time.monotonic() - began, 3),
        peak_memory=peak_bytes(),
        engine=profile.engine,
    )


def _compute(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    inputs: Inputs,
    columns: Sequence[DeltaColumn],
    mondays: Sequence[date],
    held: TableVersion | None,
    spark: SparkEngine | None,
    parts: Sequence[Part | None],
    tell: Callable[[str], None],
) -> list[_Made]:
    days, made = in_order(mondays), []
    rows: Mapping[str, str] = {}
    if spark is None and days:
        rows = held_rows(con, inputs, instant_of(days[0]), instant_of(days[-1])) if len(days) > 1 else inputs.rows()
    for number, day in enumerate(days, start=1):
        if spark is not None:
            staged = stage_by_spark(spark, con, lakehouse, inputs, instant_of(day), columns, _PARTITION)
        else:
            queries = [sql_of(inputs.view, rows, instant_of(day), part=part) for part in parts]
            staged = stage_parts(con, queries, lakehouse.uri_of(inputs.view.table), columns, _PARTITION)
        made.append(_against(con, day, staged, columns, held))
        tell(f"snapshot {day} of {inputs.view.table}, {number} of {len(days)}: {made[-1].rows} rows")
    return made


def _against(
    con: duckdb.DuckDBPyConnection,
    day: date,
    staged: tuple[StagedFile, ...],
    columns: Sequence[DeltaColumn],
    held: TableVersion | None,
) -> _Made:
    """What was staged, or nothing where the table holds the same rows of that day already."""
    rows = sum(file.rows for file in staged)
    old = [file for file in held.files if as_date(file.partition[SNAPSHOT]) == day] if held is not None else []
    if held is not None and old and rows == sum(file.rows for file in old) and _shape(held.columns) == _shape(columns):
        new_rows = read_files([file.uri for file in staged], columns)
        if not _differ(con, new_rows, read_files(old, columns), columns, held):
            discard(staged)
            return _Made(day, (), (), rows)
    return _Made(day, staged, tuple(old), rows)


def _differ(
    con: duckdb.DuckDBPyConnection, new: str, old: str, columns: Sequence[DeltaColumn], held: TableVersion
) -> bool:
    """Whether two snapshots do; from one whose file is damaged any does, which replaces it."""
    import duckdb

    try:
        return con.execute(f"SELECT 1 FROM ({difference(new, old, columns)}) LIMIT 1").fetchone() is not None
    except duckdb.Error as error:
        if not is_damage(error, held):
            raise
        return True


def _publish(
    lakehouse: Lakehouse,
    view: FeatureView,
    columns: tuple[DeltaColumn, ...],
    held: TableVersion | None,
    made: Sequence[_Made],
    said: dict[str, Any],
    run: str | None,
) -> TableVersion:
    before = held.state if held is not None else State()
    changed = any(each.changed for each in made)
    if held is not None and not changed and all(getattr(before, key) == value for key, value in said.items()):
        return held
    state = before.next(changed=changed or held is None, asset=str(view.table), run=run, **said)
    write = Write(
        held,
        columns,
        state,
        tuple(file for each in made for file in each.staged),
        tuple(file for each in made for file in each.replaced),
        _PARTITION,
    )
    return commit(lakehouse, view.table, write)


def _shape(columns: Sequence[DeltaColumn]) -> list[tuple[str, str]]:
    return sorted((column.name, column.type) for column in columns)
