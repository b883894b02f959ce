"""The type names of legacy databases: what each is as an ODCS logical type and as a Delta type.

What belongs here: PostgreSQL, MySQL/MariaDB, SQLite, SQL Server and Oracle names, in any spelling with lengths and modifiers. What
does not: how values are read (`plinth.sources` decides by the data where a type alone can't say, such as a numeric without precision).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from plinth.contracts.types import parse_delta_type

LOGICAL_TYPES = (
    "string",
    "date",
    "timestamp",
    "time",
    "number",
    "integer",
    "object",
    "array",
    "boolean",
    "map",
    "vector",
)


@dataclass(frozen=True)
class PhysicalType:
    """What a physical type means.

    Attributes:
        base: its name without lengths and modifiers, lower case.
        arguments: its lengths, or precision and scale.
        logical: the ODCS logical type.
        delta: the Delta type that holds its values exactly; None where only the data can say (a numeric without precision).
        zoned: whether a time stamp stands for an instant; None for what is no time stamp.
    """

    base: str
    arguments: tuple[int, ...]
    logical: str
    delta: str | None
    zoned: bool | None = None


_PLAIN: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(("smallint", "int2", "smallserial", "year"), ("integer", "short")),
    **dict.fromkeys(("int", "integer", "int4", "serial", "mediumint"), ("integer", "integer")),
    **dict.fromkeys(("bigint", "int8", "bigserial", "oid", "hugeint"), ("integer", "long")),
    "tinyint": ("integer", "byte"),
    **dict.fromkeys(("boolean", "bool"), ("boolean", "boolean")),
    **dict.fromkeys(("real", "float4", "binary_float"), ("number", "float")),
    **dict.fromkeys(("double", "double precision", "float8", "float", "binary_double"), ("number", "double")),
    "money": ("number", "decimal(19,4)"),
    "smallmoney": ("number", "decimal(10,4)"),
    "date": ("date", "date"),
    **dict.fromkeys(("time", "time without time zone", "time with time zone", "timetz"), ("time", "string")),
    **dict.fromkeys(("json", "jsonb"), ("object", "string")),
    **dict.fromkeys(
        (
            "bytea",
            "blob",
            "tinyblob",
            "mediumblob",
            "longblob",
            "binary",
            "varbinary",
            "image",
            "raw",
            "long raw",
            "rowversion",
            "bfile",
        ),
        ("string", "binary"),
    ),
}
_ZONED = {
    "timestamp": False, "timestamp without time zone": False, "datetime": False, "datetime2": False, "smalldatetime": False,
    "timestamp with time zone": True, "timestamptz": True, "datetimeoffset": True, "timestamp with local time zone": True,
}  # fmt: skip
_DECIMALS = ("numeric", "decimal", "dec", "number", "fixed")
_UNSIGNED = {"byte": "short", "short": "integer", "integer": "long", "long": "decimal(20,0)"}

_BY_DIALECT: dict[tuple[str, str], tuple[str, str | None]] = {
    ("oracle", "date"): ("timestamp", "timestamp_ntz"),
    ("oracle", "integer"): ("integer", "decimal(38,0)"),
    ("oracle", "float"): ("number", None),
    ("oracle", "long"): ("string", "string"),
    ("mssql", "timestamp"): ("string", "binary"),
    ("mssql", "bit"): ("boolean", "boolean"),
    ("mssql", "tinyint"): ("integer", "short"),
    ("mysql", "timestamp"): ("timestamp", "timestamp"),
    ("mysql", "float"): ("number", "float"),
    ("mysql", "bit"): ("string", "binary"),
    ("postgresql", "money"): ("string", "string"),
    **{
        ("sqlite", name): ("integer", "long") for name in ("int", "integer", "smallint", "tinyint", "mediumint", "int2")
    },
    ("sqlite", "real"): ("number", "double"),
}
_SAME_DIALECT = {"mariadb": "mysql", "postgres": "postgresql", "sqlserver": "mssql"}


def parse_physical_type(text: str, dialect: str = "") -> PhysicalType:
    """What a database means by the type `text`.

    Args:
        text: the database's own spelling, such as `character varying(20)`, `int(11) unsigned` or `NUMBER(10,0)`.
        dialect: `postgresql`, `mysql`, `mariadb`, `sqlite`, `mssql` or `oracle`, as SQLAlchemy names them; "" where it is not known. Some
            names mean different things: Oracle's DATE has a time of day, SQL Server's TIMESTAMP is a row version.
    """
    dialect = _SAME_DIALECT.get(dialect, dialect)
    plain = " ".join(text.lower().split())
    if plain.endswith("[]"):
        element = parse_physical_type(plain.removesuffix("[]"), dialect).delta
        return PhysicalType(plain, (), "array", f"array<{element}>" if element else None)
    base, arguments = _split(plain)
    if base in _DECIMALS:
        return _decimal(base, arguments, dialect)
    logical, delta = (
        _BY_DIALECT.get((dialect, base)) or _timestamp(base) or _PLAIN.get(base) or _affinity(base, dialect)
    )
    if "unsigned" in plain.split() and delta in _UNSIGNED and dialect != "sqlite":
        delta = _UNSIGNED[delta]
    if base == "float" and dialect == "mssql" and arguments and arguments[0] <= 24:
        delta = "float"
    zoned = delta == "timestamp" if logical == "timestamp" else None
    return PhysicalType(base, arguments, logical, delta, zoned)


def _split(plain: str) -> tuple[str, tuple[int, ...]]:
    """Name and arguments: the arguments may stand within the name, as in `timestamp(3) with time zone`."""
    match = re.search(r"\(([^()]*)\)", plain)
    arguments = tuple(int(digits) for digits in re.findall(r"-?\d+", match.group(1))) if match else ()
    base = re.sub(r"\(.*\)", " ", plain, flags=re.DOTALL)
    base = re.sub(r"\b(unsigned|zerofill|signed|identity|auto_increment)\b", " ", base)
    if base.startswith(("enum", "set")):
        arguments = ()
    return " ".join(base.split()), arguments


def _decimal(base: str, arguments: tuple[int, ...], dialect: str) -> PhysicalType:
    if not arguments:
        # MySQL and SQL Server give a bare DECIMAL a precision; PostgreSQL's and Oracle's hold any number of places.
        assumed = {"mysql": "decimal(10,0)", "mssql": "decimal(18,0)"}.get(dialect)
        return PhysicalType(base, (), "integer" if assumed else "number", assumed)
    precision, scale = arguments[0], arguments[1] if len(arguments) > 1 else 0
    if scale < 0:  # Oracle's NUMBER(5,-2): hundreds up to 7 digits
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    delta = f"decimal({precision},{scale})" if precision <= 38 else None
    return PhysicalType(
        base, arguments, "integer" if scale == 0 else "number", parse_delta_type(delta) if delta else None
    )


def _timestamp(base: str) -> tuple[str, str | None] | None:
    return ("timestamp", "timestamp" if _ZONED[base] else "timestamp_ntz") if base in _ZONED else None


def _affinity(base: str, dialect: str) -> tuple[str, str | None]:
    """What has no entry is text (enum, set, uuid, interval, inet, xml, …), but SQLite takes any name and goes by its parts.

    Source: "Determination Of Column Affinity" in SQLite's documentation of data types.
    """
    if dialect != "sqlite":
        return "string", "string"
    if "int" in base:
        return "integer", "long"
    if any(part in base for part in ("char", "clob", "text")):
        return "string", "string"
    if "blob" in base:
        return "string", "binary"
    if any(part in base for part in ("real", "floa", "doub")):
        return "number", "double"
    return "string", "string"
