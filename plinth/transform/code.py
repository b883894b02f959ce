"""The fingerprint of a model: equal fingerprints mean that equal inputs give equal rows in an equal shape.

It covers the raw SQL, every macro of ours that the SQL depends on, how the table is stored, each column's meta (its classification), and the tests
attached to the model: a published version has passed today's tests, or is due. It leaves out descriptions and tags.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

STORED_AS = ("materialized", "strategy", "scope", "scope_of", "key", "partition_by")
_FOREIGN_PACKAGES = ("dbt", "dbt_duckdb")


def fingerprint(node: Mapping[str, Any], tests: Sequence[Mapping[str, Any]], macros: Mapping[str, Any]) -> str:
    """The fingerprint of a model.

    Args:
        node: the model as the manifest has it, as a mapping.
        tests: the tests attached to it, likewise.
        macros: the manifest's macros by unique id, as mappings or as dbt's own objects.
    """
    parts = {
        "sql": node["raw_code"],
        "macros": _macros(node, macros),
        "stored": {name: node["config"].get(name) for name in STORED_AS},
        "columns": {name: column_meta(column) for name, column in sorted(node["columns"].items())},
        "tests": sorted((_test(test, macros) for test in tests), key=lambda parts: str(parts["name"])),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def classification(column: Mapping[str, Any]) -> str:
    """The classification of a column of the dbt YAML (`config.meta.classification`); internal where it says nothing."""
    return str(column_meta(column).get("classification", "internal"))


def column_meta(column: Mapping[str, Any]) -> dict[str, Any]:
    """The `meta` of a column of the dbt YAML, wherever it stands."""
    return {**column.get("meta", {}), **(column.get("config") or {}).get("meta", {})}


def _test(node: Mapping[str, Any], macros: Mapping[str, Any]) -> dict[str, Any]:
    config = node["config"]
    return {
        "name": node["name"],
        "asked": node.get("test_metadata"),
        "sql": node["raw_code"],
        "macros": _macros(node, macros),
        "judged": {
            name: config.get(name) for name in ("severity", "where", "limit", "fail_calc", "warn_if", "error_if")
        },
    }


def _macros(node: Mapping[str, Any], macros: Mapping[str, Any]) -> dict[str, str]:
    return {name: _sql(macros[name]) for name in sorted(_closure(node["depends_on"]["macros"], macros))}


def _closure(names: list[str], macros: Mapping[str, Any]) -> Iterator[str]:
    seen: set[str] = set()
    waiting = [name for name in names if name in macros]
    while waiting:
        name = waiting.pop()
        if name in seen or name.split(".")[1] in _FOREIGN_PACKAGES:
            continue
        seen.add(name)
        yield name
        waiting += [other for other in _depends_on(macros[name]) if other in macros]


def _sql(macro: Any) -> str:
    return str(macro["macro_sql"] if isinstance(macro, Mapping) else macro.macro_sql)


def _depends_on(macro: Any) -> list[str]:
    return list(macro["depends_on"]["macros"] if isinstance(macro, Mapping) else macro.depends_on.macros)
