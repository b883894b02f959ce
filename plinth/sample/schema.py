"""The seven tables of the legacy ERP, once, for every database.

What belongs here: names, types, keys and indexes, as SQLAlchemy sees them. What does not: rows. Each dialect gets the same names; where
a type is called otherwise or must differ, a variant says so:
- SQLite's 64-bit key is INTEGER, which makes it the row id (BIGINT would cost a second B-tree); its time stamps are texts of seconds.
- MySQL's DATETIME counts whole seconds unless it is told otherwise, so it is told.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CHAR,
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.types import TypeEngine

FORMAT = "1"
TABLES = ("CUSTMAS", "ITEMMAS", "PROMOS", "CAMPCON", "INVLINE", "STOCKLVL", "SYSINFO")
NO_DATE = "9999-12-31"
UNKNOWN_DATE = "1900-01-01"

metadata = MetaData()


def _stamp() -> DateTime:
    kind = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    text = sqlite.DATETIME(truncate_microseconds=True)  # type: ignore[no-untyped-call]
    return kind.with_variant(text, "sqlite")


def _number(digits: int, places: int) -> Numeric[float]:
    return Numeric(digits, places, asdecimal=False)


def _table(name: str, *columns: Column[Any], key: tuple[str, ...] = ()) -> Table:
    parts = [PrimaryKeyConstraint(*key, name=f"{name}_PK")] if key else []
    return Table(name, metadata, *columns, *parts, quote=True, mysql_charset="utf8mb4", mysql_engine="InnoDB")


def _column(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], *, null: bool = False) -> Column[Any]:
    return Column(name, kind, nullable=null, quote=True, autoincrement=False)


CUSTMAS = _table(
    "CUSTMAS",
    _column("CUSTNO", Integer),
    _column("CUSTNM", String(60)),
    _column("EMAIL", String(80)),
    _column("PHONE", String(20)),
    _column("BIRTHDT", Date),
    _column("POSTCD", String(10)),
    _column("CNTRY", String(24)),
    _column("MKTCNS", CHAR(1)),
    _column("CRTDT", Date),
    _column("ACTFLG", CHAR(1)),
    _column("UPDTS", _stamp()),
    key=("CUSTNO",),
)
ITEMMAS = _table(
    "ITEMMAS",
    _column("ITEMNO", String(20)),
    _column("DESCR", String(60), null=True),
    _column("CATCD", CHAR(4)),
    _column("LISTPR", _number(10, 2)),
    _column("COSTPR", _number(12, 4)),
    _column("SUPPNO", Integer),
    _column("STATCD", CHAR(1)),
    _column("INTRDT", Date),
    _column("DISCDT", Date),
    _column("UPDTS", _stamp()),
    key=("ITEMNO",),
)
PROMOS = _table(
    "PROMOS",
    _column("PROMOID", Integer),
    _column("PROMNM", String(60)),
    _column("PROMTYP", CHAR(2)),
    _column("DISCPC", _number(5, 2)),
    _column("MINVAL", _number(10, 2)),
    _column("STARTDT", Date),
    _column("ENDDT", Date),
    _column("BUDGET", _number(12, 2)),
    _column("UPDTS", _stamp()),
    key=("PROMOID",),
)
CAMPCON = _table(
    "CAMPCON",
    _column("PROMOID", Integer),
    _column("CUSTNO", Integer),
    _column("CONTDT", Date),
    _column("CHANCD", CHAR(2)),
    _column("GRPCD", CHAR(1)),
    _column("RDMFLG", CHAR(1)),
    _column("RDMDT", Date),
    _column("RDMINV", String(10)),
    _column("UPDTS", _stamp()),
    key=("PROMOID", "CUSTNO"),
)
INVLINE = _table(
    "INVLINE",
    _column("LINEID", BigInteger().with_variant(Integer(), "sqlite")),
    _column("INVNO", String(10)),
    _column("ITEMNO", String(20)),
    _column("DESCR", String(60), null=True),
    _column("QTY", Integer),
    _column("INVTS", _stamp()),
    _column("UNITPR", _number(12, 4)),
    _column("CUSTNO", Integer, null=True),
    _column("CNTRY", String(24)),
    _column("SHEET", String(14), null=True),
    _column("UPDTS", _stamp()),
    key=("LINEID",),
)
STOCKLVL = _table(
    "STOCKLVL",
    _column("SNAPDT", Date),
    _column("ITEMNO", String(20)),
    _column("WHSCD", CHAR(3)),
    _column("QTYOH", Integer),
)
SYSINFO = _table("SYSINFO", _column("KEYNM", String(20)), _column("KEYVAL", String(400)), key=("KEYNM",))

# Made after the rows are in, which is a third faster than keeping them while 10 million rows arrive.
LATE_INDEXES = tuple(
    Index(f"{table.name}_UPDTS_IX", table.c.UPDTS, quote=True) for table in (CUSTMAS, ITEMMAS, PROMOS, CAMPCON, INVLINE)
)
