"""Any database that SQLAlchemy knows, as a source.

What belongs here: opening an engine with the right driver, and the catalogue by SQLAlchemy's inspector. What does not: a snapshot's
statements (`snapshot`) and values (`types`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from plinth.errors import ConfigurationError, DriverMissing, PlinthError
from plinth.sources import faults
from plinth.sources.address import Address
from plinth.sources.catalogue import ForeignKey, SourceColumn, SourceTable
from plinth.sources.horizon import is_ahead
from plinth.sources.source import Probe, Source

if TYPE_CHECKING:
    import duckdb
    import sqlalchemy as sa

    from plinth.contracts.model import Table
    from plinth.sources.snapshot import Snapshot

# Which driver is taken where the URL names none, and the extra of this project that brings it.
_DRIVERS = {"mssql": "pymssql", "oracle": "oracledb", "postgresql": "psycopg", "mysql": "pymysql", "sqlite": "pysqlite"}
_EXTRAS = {"mssql": "mssql", "oracle": "oracle"}
_OWN_SCHEMAS = {
    "mssql": {"sys", "information_schema", "guest"},
    "postgresql": {"information_schema", "pg_catalog"},
    "mysql": {"information_schema", "mysql", "performance_schema", "sys"},
}
ISOLATION_OPTION = "isolation_level"
"""Key behind the URL's question mark that overrides the isolation level of a snapshot."""


class BatchSource(Source):
    """A database behind an SQLAlchemy engine; two connections at most."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.dialect = address.dialect
        self.engine  # noqa: B018  a missing driver shows now, not at the first read

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine; its pool connects when first asked.

        Raises:
            DriverMissing: the driver is not installed.
            ConfigurationError: SQLAlchemy knows no such database.
        """
        import sqlalchemy as sa

        options: dict[str, Any] = {"check_same_thread": False} if self.dialect == "sqlite" else {}
        if self.dialect == "mysql":
            # As bytes: PyMySQL would send a text as Latin-1, and the server takes passwords as UTF-8.
            options |= {"password": (self.address.password or "").encode(), "charset": "utf8mb4"}
        try:
            return sa.create_engine(self._url(), pool_size=1, max_overflow=1, connect_args=options, pool_pre_ping=False)
        except ModuleNotFoundError as error:
            raise _driver_missing(self.dialect, error.name or str(error)) from error
        except sa.exc.NoSuchModuleError:
            raise DriverMissing(
                f"SQLAlchemy knows no database {self.dialect}",
                expected="a dialect that is installed",
                found=self.address,
                remedy="mend the URL's scheme, or install the dialect's package",
            ) from None

    def tables(self, schema: str | None = None, name: str | None = None) -> Sequence[SourceTable]:
        with self._inspector() as inspector:
            return tuple(
                _describe(inspector, where, each)
                for where, each in _names(inspector, self.dialect, schema)
                if name is None or each == name
            )

    def names(self) -> Sequence[tuple[str | None, str]]:
        with self._inspector() as inspector:
            return _names(inspector, self.dialect, None)

    def probe(self, table: Table) -> Probe:
        """The count and, with a cursor, its highest value. Without one an update alone is not seen."""
        import sqlalchemy as sa

        from plinth.sources.batches.statements import cursor_column, not_ahead, table_of

        found = self.describe_table(table)
        target = table_of(found, self.engine.dialect)
        with self._connection() as con:
            rows = con.execute(sa.select(sa.func.count()).select_from(target)).scalar_one()
            if table.cursor is None:
                return Probe(rows=int(rows), sure=False)
            highest = sa.select(sa.func.max(cursor_column(table, found, target)))
            last: Any = con.execute(highest).scalar_one()
            if last is None or not is_ahead(str(last)):
                return Probe(rows=int(rows), watermark=None if last is None else str(last))
            earlier = not_ahead(table, found, target, self.engine.dialect, str(last))
            behind: Any = con.execute(highest.where(earlier)).scalar_one()
        return Probe(rows=int(rows), watermark=str(last), token=None if behind is None else str(behind))

    def snapshot(
        self, con: duckdb.DuckDBPyConnection, tables: Iterable[Table] = ()
    ) -> AbstractContextManager[Snapshot]:
        from plinth.sources.batches.snapshot import open_snapshot

        return open_snapshot(self, con)

    def explain(self, error: Exception, table: Table) -> PlinthError:
        return faults.explain(self.address, error, table)

    def close(self) -> None:
        self.engine.dispose()

    def fault(self, error: Exception) -> PlinthError:
        """What an error of SQLAlchemy or the driver means."""
        text = str(getattr(error, "orig", error))
        if faults.is_refused(text) or "does not exist" in text or "Unknown database" in text:
            return faults.refused(self.address, text)
        if faults.is_cut(text) or getattr(error, "connection_invalidated", False):
            return faults.unavailable(self.address, text)
        return faults.explain(self.address, error, None)

    def _url(self) -> str:
        url, address = self.address.url, self.address
        if self.dialect == "sqlite":
            return f"sqlite:///{address.database}"
        driver = address.driver or _DRIVERS.get(self.dialect)
        scheme = f"{self.dialect}+{driver}" if driver else self.dialect
        parts = urlsplit(url)
        query = parts.query
        if ISOLATION_OPTION in address.options:
            query = "&".join(each for each in query.split("&") if not each.startswith(f"{ISOLATION_OPTION}="))
        return f"{scheme}://{parts.netloc}{parts.path}" + (f"?{query}" if query else "")

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        import sqlalchemy as sa

        try:
            with self.engine.connect() as con:
                yield con
        except sa.exc.SQLAlchemyError as error:
            raise self.fault(error) from error

    @contextmanager
    def _inspector(self) -> Iterator[sa.Inspector]:
        import sqlalchemy as sa

        with self._connection() as con:
            yield sa.inspect(con)


def _driver_missing(dialect: str, module: str) -> DriverMissing:
    extra = _EXTRAS.get(dialect)
    return DriverMissing(
        f"the driver for {dialect} is not installed",
        expected=f"the Python module {module}",
        found="no such module",
        remedy=f"install requirements/databases.lock, which has the extra {extra}, into this environment"
        if extra
        else f"install the package that brings {module}",
    )


def _names(inspector: sa.Inspector, dialect: str, schema: str | None) -> list[tuple[str | None, str]]:
    own = _OWN_SCHEMAS.get(dialect, set())
    if schema is not None:
        schemas: list[str | None] = [schema]
    elif dialect in ("mssql", "postgresql"):
        schemas = [
            each for each in inspector.get_schema_names() if each.lower() not in own and not each.startswith("db_")
        ]
    else:
        # Elsewhere a schema is a user or a database, and the URL says whose tables are meant.
        schemas = [inspector.default_schema_name]
    found = []
    for each in schemas:
        names = {*inspector.get_table_names(schema=each), *inspector.get_view_names(schema=each)}
        found += [(None if dialect == "sqlite" else each, name) for name in sorted(names)]
    return found


def _describe(inspector: sa.Inspector, schema: str | None, name: str) -> SourceTable:
    import sqlalchemy as sa

    with warnings.catch_warnings():
        # A type that SQLAlchemy does not know is read as text, and need not be told at each look.
        warnings.filterwarnings("ignore", "Did not recognize type", sa.exc.SAWarning)
        return _described(inspector, schema, name)


def _described(inspector: sa.Inspector, schema: str | None, name: str) -> SourceTable:
    key = tuple(inspector.get_pk_constraint(name, schema=schema).get("constrained_columns") or ())
    indexes = [
        (bool(each.get("unique")), tuple(str(column) for column in each["column_names"]))
        for each in inspector.get_indexes(name, schema=schema)
        if None not in each["column_names"]
    ]
    unique = {columns for is_unique, columns in indexes if is_unique}
    unique |= {tuple(each["column_names"]) for each in inspector.get_unique_constraints(name, schema=schema)}
    return SourceTable(
        schema=schema,
        name=name,
        columns=tuple(_column(each, inspector.dialect) for each in inspector.get_columns(name, schema=schema)),
        key=key,
        key_enforced=bool(key),
        unique=tuple(sorted(unique - {key})),
        indexed=((key,) if key else ()) + tuple(columns for _, columns in indexes),
        foreign_keys=tuple(
            ForeignKey(
                tuple(each["constrained_columns"]),
                each.get("referred_schema") or schema,
                each["referred_table"],
                tuple(each["referred_columns"]),
            )
            for each in inspector.get_foreign_keys(name, schema=schema)
        ),
        comment=_comment(inspector, schema, name),
        row_estimate=None,
        view=name in inspector.get_view_names(schema=schema),
    )


def _comment(inspector: sa.Inspector, schema: str | None, name: str) -> str | None:
    try:
        return inspector.get_table_comment(name, schema=schema).get("text")
    except NotImplementedError:
        return None


def _column(column: Any, dialect: sa.Dialect) -> SourceColumn:
    import sqlalchemy as sa

    try:
        kind = str(column["type"].compile(dialect))
    except (sa.exc.CompileError, NotImplementedError):
        kind = ""  # SQLAlchemy met a type that it does not know
    enums = tuple(getattr(column["type"], "enums", ()) or ())
    return SourceColumn(
        column["name"], kind.lower(), bool(column["nullable"]), column.get("comment"), enums, column.get("default")
    )


def check_isolation(levels: Sequence[str], wanted: str, address: Address) -> None:
    """Refuses an isolation level that the database does not have.

    Raises:
        ConfigurationError: it is none of `levels`.
    """
    if wanted not in levels:
        raise ConfigurationError(
            f"the database has no isolation level {wanted}",
            expected=f"one of {', '.join(levels)}",
            found=wanted,
            where=f"{address}, {ISOLATION_OPTION} in the URL",
        )
