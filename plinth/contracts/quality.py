"""Quality rules that a contract states in ODCS's `quality` lists, as rules of the model.

What belongs here: the types library (nullValues, missingValues, invalidValues, duplicateValues, rowCount), sql, and custom with the
engine `plinth`, whose implementation is a row predicate. What does not: rules that follow from the columns' own facts (`rules`).

A metric that no row may break (`mustBe: 0`, in rows) becomes a row rule, so that ingestion can put just those rows aside; any other
limit is a number about the table and becomes a query. Types text and custom of other engines are documentation.
"""

from __future__ import annotations

from typing import Any

from open_data_contract_standard.model import DataQuality

from plinth.contracts.document import At, Document
from plinth.contracts.model import Column, Rule, Severity
from plinth.contracts.naming import near, snake
from plinth.contracts.settings import VENDOR, parse_severity
from plinth.contracts.sql import column_type, typed_literal
from plinth.engine import literal, quote

OPERATORS = {
    "mustBe": "=", "mustNotBe": "!=", "mustBeGreaterThan": ">", "mustBeGreaterOrEqualTo": ">=", "mustBeLessThan": "<",
    "mustBeLessOrEqualTo": "<=", "mustBeBetween": "between", "mustNotBeBetween": "not between",
}  # fmt: skip
METRICS = {
    "nullValues": (), "missingValues": ("missingValues",), "invalidValues": ("validValues", "pattern"), "duplicateValues": ("properties",),
    "rowCount": (),
}  # fmt: skip
"""The library's metrics and the arguments that each takes."""

_NO_ROW = {("=", 0.0), ("<=", 0.0), ("<", 1.0)}


def quality_rule(
    document: Document, check: DataQuality, at: At, columns: tuple[Column, ...], column: Column | None
) -> Rule | None:
    """The rule that one entry of a `quality` list states, None where it is documentation or wrong (which is noted as a fault).

    Args:
        columns: all columns of the table, for checks that name some.
        column: the column under which the entry stands, None for one of the table.
    """
    kind = check.type or "library"
    if kind == "text" or (kind == "custom" and check.engine != VENDOR):
        return None
    severity = _severity(document, check, at)
    name = snake(check.name or check.id or "") or _own_name(check, kind, column)
    about = check.description or check.name or ""
    scope = (column.name,) if column else ()
    if kind == "custom":
        if not isinstance(check.implementation, str) or not check.implementation.strip():
            document.fault((*at, "implementation"), "a DuckDB SQL predicate over the column names is expected")
            return None
        return Rule(
            name,
            about or check.implementation,
            scope,
            predicate=check.implementation.strip(),
            severity=severity,
        )
    if kind not in ("library", "sql"):
        allowed = ("library", "sql", "text", "custom")
        document.fault((*at, "type"), f"one of {', '.join(allowed)} is expected, found {kind!r}{near(kind, allowed)}")
        return None
    limit = _limit(document, check, at)
    if limit is None:
        return None
    if kind == "sql":
        if not check.query:
            document.fault((*at, "query"), "a DuckDB SQL query that gives one number is expected")
            return None
        return _table_rule(name, about, scope, _placeholders(check.query, column), limit, severity)
    return _library_rule(document, check, at, columns, column, limit, Rule(name, about, scope, severity=severity))


def _library_rule(
    document: Document, check: DataQuality, at: At, columns: tuple[Column, ...], column: Column | None,
    limit: tuple[str, tuple[float, ...]], draft: Rule,
) -> Rule | None:  # fmt: skip
    metric = check.metric or check.rule or ""
    arguments = check.arguments or {}
    if metric not in METRICS:
        document.fault(
            (*at, "metric"),
            f"one of {', '.join(METRICS)} is expected, found {metric!r}{near(metric, METRICS)}",
        )
        return None
    for argument in arguments:
        if argument not in METRICS[metric]:
            allowed = ", ".join(METRICS[metric]) or "none"
            document.fault(
                (*at, "arguments", argument),
                f"unknown argument; {metric} takes: {allowed}{near(argument, METRICS[metric])}",
            )
            return None
    percent = check.unit == "percent"
    if check.unit not in (None, "rows", "percent"):
        document.fault((*at, "unit"), f"rows or percent is expected, found {check.unit!r}")
    if metric == "rowCount":
        return _table_rule(draft.name, draft.description, (), "SELECT count(*) FROM {table}", limit, draft.severity)
    if metric == "duplicateValues":
        return _duplicates(document, arguments, at, columns, column, limit, percent, draft)
    if column is None:
        document.fault(at, f"{metric} counts the values of a column: put it into the quality list of that column")
        return None
    predicate = _predicate(document, metric, arguments, at, column)
    if predicate is None:
        return None
    about = draft.description or f"{column.name}: no {metric.removesuffix('Values')} values"
    if (limit[0], limit[1][0]) in _NO_ROW and not percent:
        return Rule(draft.name, about, draft.columns, predicate=predicate, severity=draft.severity)
    query = _count(f"count(*) FILTER (WHERE NOT coalesce({predicate}, true))", percent)
    return _table_rule(draft.name, draft.description, draft.columns, query, limit, draft.severity)


def _predicate(document: Document, metric: str, arguments: dict[str, Any], at: At, column: Column) -> str | None:
    name = quote(column.name)
    if metric == "nullValues":
        return f"{name} IS NOT NULL"
    if metric == "missingValues":
        values = [value for value in _list(arguments.get("missingValues"), default=[None, ""]) if value is not None]
        # Compared as text: "N/A" may be asked of a date column, where a typed comparison would not even parse.
        listed = ", ".join(literal(str(value)) for value in values)
        return f"{name} IS NOT NULL AND CAST({name} AS VARCHAR) NOT IN ({listed})" if values else f"{name} IS NOT NULL"
    parts = []
    if "validValues" in arguments:
        try:
            valid = [typed_literal(value, column_type(column)) for value in _list(arguments["validValues"])]
        except ValueError as error:
            document.fault((*at, "arguments", "validValues"), str(error))
            return None
        parts.append(f"{name} IN ({', '.join(valid)})")
    if "pattern" in arguments:
        parts.append(f"regexp_matches(CAST({name} AS VARCHAR), {literal(str(arguments['pattern']))})")
    if not parts:
        document.fault((*at, "arguments"), "validValues (a list) or pattern (a regular expression) is expected")
        return None
    return " AND ".join(parts)


def _duplicates(
    document: Document, arguments: dict[str, Any], at: At, columns: tuple[Column, ...], column: Column | None,
    limit: tuple[str, tuple[float, ...]], percent: bool, draft: Rule,
) -> Rule | None:  # fmt: skip
    names = _list(arguments.get("properties"), default=[column.name] if column else [])
    known = [each.name for each in columns]
    for name in names:
        if name not in known:
            document.fault((*at, "arguments", "properties"), f"there is no column {name!r}{near(str(name), known)}")
            return None
    if not names:
        document.fault((*at, "arguments"), "properties (a list of columns) is expected")
        return None
    listed = ", ".join(quote(name) for name in names)
    present = " AND ".join(f"{quote(name)} IS NOT NULL" for name in names)
    # Rows beyond the first of each value; nulls are no duplicates of one another, as in a UNIQUE constraint.
    query = _count(f"count(*) FILTER (WHERE {present}) - count(DISTINCT ({listed})) FILTER (WHERE {present})", percent)
    return _table_rule(draft.name, draft.description, tuple(names), query, limit, draft.severity)


def _count(expression: str, percent: bool) -> str:
    if percent:
        return f"SELECT coalesce(100.0 * ({expression}) / nullif(count(*), 0), 0) FROM {{table}}"
    return f"SELECT {expression} FROM {{table}}"


def _table_rule(
    name: str,
    about: str,
    columns: tuple[str, ...],
    query: str,
    limit: tuple[str, tuple[float, ...]],
    severity: Severity,
) -> Rule:
    operator, limits = limit
    text = " and ".join(f"{value:g}" for value in limits)
    about = about or f"{name}: the result must be {operator} {text}"
    if operator == "not between":
        query, operator, limits = (
            f"SELECT CAST(({query}) NOT BETWEEN {limits[0]!r} AND {limits[1]!r} AS INTEGER)",
            "=",
            (1.0,),
        )
    return Rule(name, about, columns, query=query, operator=operator, limits=limits, severity=severity)


def _limit(document: Document, check: DataQuality, at: At) -> tuple[str, tuple[float, ...]] | None:
    given = [key for key in OPERATORS if getattr(check, key) is not None]
    if len(given) != 1:
        found = ", ".join(given) or "none"
        document.fault(at, f"exactly one limit is expected, of {', '.join(OPERATORS)}; found {found}")
        return None
    value = getattr(check, given[0])
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in values):
        document.fault((*at, given[0]), f"a number is expected, found {value!r}")
        return None
    if len(values) == 2 and values[0] > values[1]:
        document.fault((*at, given[0]), f"the smaller number comes first, found {value!r}")
    return OPERATORS[given[0]], tuple(float(each) for each in values)


def _severity(document: Document, check: DataQuality, at: At) -> Severity:
    try:
        return Severity.ERROR if check.severity is None else parse_severity(check.severity)
    except ValueError as error:
        document.fault((*at, "severity"), f"{error}, found {check.severity!r}")
        return Severity.ERROR


def _own_name(check: DataQuality, kind: str, column: Column | None) -> str:
    what = snake(check.metric or check.rule or "") if kind == "library" else kind
    return f"{column.name}_{what}" if column else what


def _placeholders(query: str, column: Column | None) -> str:
    """The query with ODCS's placeholders as ours: `{table}` for the table, and the column's quoted name in its place."""
    for word in ("${table}", "${object}", "{object}"):
        query = query.replace(word, "{table}")
    if column is not None:
        for word in ("${column}", "${property}", "{column}", "{property}"):
            query = query.replace(word, quote(column.name))
    return query.strip().rstrip(";")


def _list(value: Any, default: list[Any] | None = None) -> list[Any]:
    if value is None:
        return default or []
    return value if isinstance(value, list) else [value]
