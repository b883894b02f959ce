"""The rows that a view is computed from: of the lakehouse at pinned versions, or handed over in memory.

What belongs here: opening a view's tables, and the rows of each source. What does not: which of them count at an instant (`query`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from plinth.engine import connect, quote
from plinth.errors import TableMissing
from plinth.features.declare import FILE, FeatureView, FeatureViewError
from plinth.features.query import instant, prepare, source_rows, window_start
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class Inputs:
    """A view's tables, each at one version: whatever is asked of it, the answers belong together."""

    view: FeatureView
    versions: Mapping[TableId, TableVersion]

    @classmethod
    def open(cls, lakehouse: Lakehouse, view: FeatureView, pinned: Mapping[str, TableVersion] | None = None) -> Inputs:
        """The newest version of each table, but for those that are pinned, by `<layer>/<name>`.

        Raises:
            TableMissing: a table of the view has not been made yet.
        """
        given = pinned or {}
        return cls(view, {table: given.get(str(table)) or lakehouse.open(table) for table in view.tables})

    @property
    def contents(self) -> dict[str, str]:
        """The content of each table, as a commit's state holds it."""
        return {str(table): version.content for table, version in self.versions.items()}

    def rows(self) -> dict[str, str]:
        """For each source, SQL in brackets that yields its rows."""
        return {
            name: f"({source_rows(source, rows_of(self.versions[source.table_id]))})"
            for name, source in self.view.sources.items()
        }

    def newest(self, con: duckdb.DuckDBPyConnection, until: datetime) -> tuple[datetime, datetime] | None:
        """The first and the last instant at which a row happened and was known, of sources that are not ahead; None where there is no row.

        Args:
            until: rows from then on are left out: a slip of the keyboard in a date must not move the end of what is known.
        """
        times = " UNION ALL ".join(
            f"SELECT min(greatest(event_time, known_time)) AS low, max(greatest(event_time, known_time)) AS high FROM {rows} "
            f"WHERE event_time < {instant(until)} AND known_time < {instant(until)} AND isfinite(event_time) AND isfinite(known_time)"
            for name, rows in self.rows().items()
            if not self.view.sources[name].ahead
        )
        low, high = con.execute(f"SELECT min(low), max(high) FROM ({times})").fetchone() or (None, None)
        return None if low is None or high is None else (low, high)


def held_rows(
    con: duckdb.DuckDBPyConnection,
    inputs: Inputs,
    first: datetime,
    last: datetime,
    *,
    prefix: str = "held_",
    shared: bool = False,
) -> dict[str, str]:
    """Copies what counts at any instant from `first` to `last` into the connection, so that many instants read the files once.

    Args:
        prefix: of the tables' names; one of its own for each view whose rows are held at the same time.
        shared: whether cursors of the connection are to see them too, which a temporary table keeps from them.
    """
    held = {}
    for name, rows in inputs.rows().items():
        window = inputs.view.sources[name].window
        since = f" AND event_time >= {instant(window_start(first, window))}" if window is not None else ""
        end = instant(last)
        con.execute(
            f"CREATE OR REPLACE {'' if shared else 'TEMP '}TABLE {quote(prefix + name)} AS "
            f"SELECT * FROM {rows} WHERE event_time < {end} AND known_time < {end}{since}"
        )
        held[name] = quote(prefix + name)
    return held


def given_rows(con: duckdb.DuckDBPyConnection, view: FeatureView, events: Mapping[str, pa.Table]) -> dict[str, str]:
    """Rows in memory as the view's sources; a source that is not given has none.

    Args:
        events: for each source the columns that it declares and `event_time`; `known_time` is the event time where it is left out.

    Raises:
        FeatureViewError: a table is no source of the view, or lacks a column.
    """
    for name in events:
        if name not in view.sources:
            raise FeatureViewError(
                f"the feature view {view.name} has no source {name!r}", expected=", ".join(view.sources), found=name
            )
    rows = {}
    for name, source in view.sources.items():
        table = events.get(name)
        if table is None:
            raise FeatureViewError(
                f"no rows are given for the source {name} of the feature view {view.name}",
                expected="a table for each source, without rows where nothing happened",
                found=", ".join(events) or "none",
            )
        missing = [column for column in (*source.columns, "event_time") if column not in table.column_names]
        if missing:
            raise FeatureViewError(
                f"rows of the source {name} of the feature view {view.name} lack columns",
                expected=", ".join(missing),
                found=", ".join(table.column_names),
            )
        con.register(f"given_{name}", table)
        known = "" if "known_time" in table.column_names else ", event_time AS known_time"
        rows[name] = f"(SELECT *{known} FROM {quote('given_' + name)})"
    return rows


@contextmanager
def explained(view: FeatureView) -> Iterator[None]:
    """Turns what DuckDB says of a declaration's SQL into the error of the declaration.

    Raises:
        FeatureViewError: an expression or query names a column, function or type that there is not, or is no SQL.
    """
    import duckdb

    try:
        yield
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise FeatureViewError(
            f"the SQL of the feature view {view.name} cannot be run",
            expected="columns that its sources declare, and DuckDB's functions",
            found=str(error).strip(),
            where=f"{FILE}, views.{view.name} (line {view.line})",
            remedy="mend the expression or query that the message shows",
        ) from error


@contextmanager
def session(lakehouse: Lakehouse, profile: Profile | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that knows the functions of declarations, within a profile's limits or the default one's."""
    platform = lakehouse.platform
    con = connect(profile or platform.profile(), scratch=platform.path(platform.stores.scratch))
    try:
        prepare(con)
        yield con
    finally:
        con.close()


def end_of(day: date) -> datetime:
    """The first moment after a day."""
    return datetime.combine(day + timedelta(days=1), time())


def now_of(lakehouse: Lakehouse, view: FeatureView) -> datetime:
    """The instant at which everything that the lakehouse holds for a view has just happened and become known.

    Rows from the future by the clock of the wall, whose dates must be wrong, move it nowhere and do not count; nor do planned ones.

    Raises:
        TableMissing: a table of the view has not been made yet, or has no row.
    """
    with session(lakehouse) as con, explained(view):
        span = Inputs.open(lakehouse, view).newest(con, end_of(datetime.now(UTC).date()))
    if span is None:
        raise TableMissing(
            f"there is no row yet that the feature view {view.name} is made from",
            where=", ".join(map(str, view.tables)),
        )
    return span[1] + timedelta(microseconds=1)
