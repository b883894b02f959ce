"""Columns of a Delta table, and how they map to DuckDB's types and to Delta's schema.

Source of the type names: the Delta transaction protocol, section "Schema Serialization Format".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plinth.errors import PlinthError

if TYPE_CHECKING:
    import duckdb
    from deltalake import Schema

_DUCKDB_TO_DELTA = {
    "BIGINT": "long",
    "INTEGER": "integer",
    "SMALLINT": "short",
    "TINYINT": "byte",
    "UTINYINT": "short",
    "USMALLINT": "integer",
    "UINTEGER": "long",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "VARCHAR": "string",
    "BLOB": "binary",
    "DATE": "date",
    "TIMESTAMP": "timestamp_ntz",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}
_DELTA_TO_DUCKDB = {
    "long": "BIGINT",
    "integer": "INTEGER",
    "short": "SMALLINT",
    "byte": "TINYINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "string": "VARCHAR",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp_ntz": "TIMESTAMP",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
}

DeltaType = str
"""A Delta primitive type name, or `array<element>` of one, nested to any depth."""


@dataclass(frozen=True)
class DeltaColumn:
    """One column of a Delta table.

    Attributes:
        type: Delta type, e.g. `long`, `decimal(12,4)`, `array<string>`.
        classification: what the zone must be cleared for to hold it.
        comment: description, stored where Spark and others show it.
        metadata: further texts kept in the Delta schema, such as the legacy system's own type.
    """

    name: str
    type: DeltaType
    classification: str = "internal"
    comment: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def duckdb_type(self) -> str:
        """The DuckDB type that holds its values."""
        return duckdb_type(self.type)


def duckdb_type(delta: DeltaType) -> str:
    """The DuckDB type for a Delta type.

    Raises:
        PlinthError: Delta knows no such type, or DuckDB has none for it.
    """
    if delta.startswith("array<") and delta.endswith(">"):
        return f"{duckdb_type(delta[6:-1])}[]"
    if re.fullmatch(r"decimal\(\d+,\d+\)", delta):
        return delta.upper()
    if delta not in _DELTA_TO_DUCKDB:
        raise PlinthError(
            f"{delta!r} is no Delta type", expected=f"one of {', '.join(sorted(_DELTA_TO_DUCKDB))}, decimal(p,s)"
        )
    return _DELTA_TO_DUCKDB[delta]


def delta_type(duckdb_name: str) -> DeltaType:
    """The Delta type that holds the values of a DuckDB type without loss.

    Raises:
        PlinthError: Delta has no such type; the message says to cast it.
    """
    name = duckdb_name.strip()
    if name.endswith("[]"):
        return f"array<{delta_type(name[:-2])}>"
    match = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", name)
    if match:
        return f"decimal({match.group(1)},{match.group(2)})"
    if name not in _DUCKDB_TO_DELTA:
        raise PlinthError(
            f"DuckDB's type {name} has no Delta type",
            expected=", ".join(sorted(_DUCKDB_TO_DELTA)),
            found=name,
            remedy="cast it in the query, to VARCHAR or DECIMAL(38, 0) for instance",
        )
    return _DUCKDB_TO_DELTA[name]


def columns_of(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[DeltaColumn, ...]:
    """The columns that a query yields, as Delta columns."""
    rows = con.execute(f"DESCRIBE {sql}").fetchall()
    return tuple(DeltaColumn(row[0], delta_type(row[1])) for row in rows)


def delta_schema(columns: Sequence[DeltaColumn]) -> Schema:
    """The Delta schema of some columns, all nullable as the protocol advises for data from elsewhere."""
    from deltalake import Schema

    return Schema.from_json(json.dumps({"type": "struct", "fields": [_field_json(column) for column in columns]}))


def restated(stored: Sequence[DeltaColumn], wanted: Sequence[DeltaColumn]) -> dict[str, dict[str, str]]:
    """What has to be stored anew beside each column, by its name: classification, description and other texts that differ. Texts that are no
    longer wanted stay, but for the description."""
    held = {column.name: stored_texts(column) for column in stored}
    found = {}
    for column in wanted:
        if column.name in held:
            differing = stored_texts(column).items() - held[column.name].items()
            found[column.name] = dict(sorted(differing))
    return {name: texts for name, texts in found.items() if texts}


def stored_texts(column: DeltaColumn) -> dict[str, str]:
    """What is kept beside a column in the Delta schema, by its key there."""
    return {"plinth.classification": column.classification, **column.metadata, "comment": column.comment}


def columns_from(schema: Schema) -> tuple[DeltaColumn, ...]:
    """The columns of a Delta schema, with what `delta_schema` stored beside them."""
    return tuple(_column_from(entry) for entry in json.loads(schema.to_json())["fields"])


def _field_json(column: DeltaColumn) -> dict[str, Any]:
    metadata = {key: text for key, text in stored_texts(column).items() if text or key != "comment"}
    return {"name": column.name, "type": _type_json(column.type), "nullable": True, "metadata": metadata}


def _type_json(delta: DeltaType) -> Any:
    if delta.startswith("array<"):
        return {"type": "array", "elementType": _type_json(delta[6:-1]), "containsNull": True}
    return delta


def _column_from(entry: dict[str, Any]) -> DeltaColumn:
    metadata = {key: str(value) for key, value in entry.get("metadata", {}).items()}
    classification = metadata.pop("plinth.classification", "internal")
    comment = metadata.pop("comment", "")
    return DeltaColumn(entry["name"], _type_text(entry["type"]), classification, comment, metadata)


def _type_text(value: Any) -> DeltaType:
    if isinstance(value, str):
        return value
    if value.get("type") == "array":
        return f"array<{_type_text(value['elementType'])}>"
    return str(value["type"])
