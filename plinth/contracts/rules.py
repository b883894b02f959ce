"""The rules of a table: those that follow from its columns' own facts, then those that its contract states.

What belongs here: required, unique, enum and logicalTypeOptions as predicates, and the order and uniqueness of rule names. What does
not: ODCS's `quality` lists (`quality`), and running a rule.

A rule's name is stable, as it stands in quarantine and in check results: `<column>_required`, `<column>_minimum`, ….
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from open_data_contract_standard.model import SchemaObject, SchemaProperty

from plinth.contracts.document import At, Document
from plinth.contracts.model import Column, Rule
from plinth.contracts.naming import near
from plinth.contracts.quality import quality_rule
from plinth.contracts.sql import column_type, typed_literal
from plinth.engine import literal, quote

_RANGE = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
OPTIONS: dict[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "date": (*_RANGE, "format"),
    "timestamp": (*_RANGE, "format", "timezone", "defaultTimezone"),
    "time": (*_RANGE, "format", "timezone", "defaultTimezone"),
    "integer": (*_RANGE, "multipleOf", "format"),
    "number": (*_RANGE, "multipleOf", "format"),
    "boolean": (),
    "object": ("maxProperties", "minProperties", "required"),
    "array": ("maxItems", "minItems", "uniqueItems"),
    "map": (),
    "vector": (
        "dimensions", "elementType", "distanceMetric", "embeddingModel", "embeddingModelVersion", "normalized",
    ),
}  # fmt: skip
"""The logicalTypeOptions that ODCS 3.2 has for each logical type (a test compares them with its JSON schema)."""

_SIGNS = {"minimum": (">=", "minimum"), "maximum": ("<=", "maximum"), "exclusiveMinimum": (">", "exclusive_minimum"),
          "exclusiveMaximum": ("<", "exclusive_maximum")}  # fmt: skip
_PRECISION = "; digits stand in the type instead: physicalType or deltaType decimal(12,4)"


def table_rules(document: Document, table: SchemaObject, at: At, columns: tuple[Column, ...]) -> tuple[Rule, ...]:
    """All rules of a table in the order of its columns, each name once; what is wrong is noted as faults of the document."""
    rules: list[Rule] = []
    for index, (stated, column) in enumerate(zip(table.properties or (), columns, strict=True)):
        place = (*at, "properties", index)
        rules.extend(column_rules(document, stated, place, column))
        for number, check in enumerate(stated.quality or ()):
            rule = quality_rule(document, check, (*place, "quality", number), columns, column)
            rules.extend([rule] if rule else [])
    for number, check in enumerate(table.quality or ()):
        rule = quality_rule(document, check, (*at, "quality", number), columns, None)
        rules.extend([rule] if rule else [])
    return _unique_names(rules)


def column_rules(document: Document, stated: SchemaProperty, at: At, column: Column) -> list[Rule]:
    """The rules that follow from one column's own facts."""
    name, scope, rules = quote(column.name), (column.name,), []
    if column.required:
        rules.append(
            Rule(
                f"{column.name}_required",
                f"{column.name} must have a value",
                scope,
                predicate=f"{name} IS NOT NULL",
            )
        )
    if column.unique:
        query = f"SELECT count({name}) - count(DISTINCT {name}) FROM {{table}}"
        about = f"no two rows have the same {column.name}"
        rules.append(Rule(f"{column.name}_unique", about, scope, query=query, operator="=", limits=(0.0,)))
    if stated.enum:
        values = _literals(document, [item.value for item in stated.enum], (*at, "enum"), column)
        shown = ", ".join(str(item.value) for item in stated.enum)
        about = f"{column.name} must be one of {shown}"
        rules.append(Rule(f"{column.name}_enum", about, scope, predicate=f"{name} IN ({', '.join(values)})"))
    rules.extend(_option_rules(document, stated, (*at, "logicalTypeOptions"), column))
    return rules


def _option_rules(document: Document, stated: SchemaProperty, at: At, column: Column) -> Iterable[Rule]:
    options = stated.logicalTypeOptions or {}
    if options and stated.logicalType is None:
        document.fault(at, f"logicalTypeOptions need a logicalType, one of {', '.join(OPTIONS)}")
        return
    allowed = OPTIONS.get(stated.logicalType or "", ())
    for key, value in options.items():
        place = (*at, key)
        if key not in allowed:
            hint = _PRECISION if key in ("precision", "scale") else near(key, allowed)
            document.fault(place, f"unknown option; a {stated.logicalType} takes: {', '.join(allowed) or 'none'}{hint}")
            continue
        derived = _option(key, value, column)
        try:
            rule = derived() if derived else None
        except ValueError as error:
            document.fault(place, str(error))
            continue
        if rule is not None:
            yield rule


def _option(key: str, value: Any, column: Column) -> Callable[[], Rule] | None:
    """How the rule of one option is made; None for options that only describe (format, timezone, …)."""
    name = quote(column.name)

    def rule(what: str, about: str, predicate: str) -> Rule:
        return Rule(f"{column.name}_{what}", f"{column.name} must {about}", (column.name,), predicate=predicate)

    if key in _SIGNS:
        sign, what = _SIGNS[key]
        return lambda: rule(what, f"be {sign} {value}", f"{name} {sign} {typed_literal(value, column_type(column))}")
    if key == "multipleOf":
        return lambda: rule("multiple_of", f"be a multiple of {value}", f"{name} % {_positive(value)} = 0")
    if key in ("minLength", "maxLength"):
        sign, what = (">=", "min_length") if key == "minLength" else ("<=", "max_length")
        length = "octet_length" if column_type(column) == "binary" else "length"
        unit = "bytes" if length == "octet_length" else "characters"
        return lambda: rule(what, f"have {sign} {value} {unit}", f"{length}({name}) {sign} {_whole(value)}")
    if key == "pattern":
        return lambda: rule("pattern", f"match {value}", f"regexp_matches({name}, {_pattern(value)})")
    return None


def _literals(document: Document, values: list[Any], at: At, column: Column) -> list[str]:
    found = []
    for index, value in enumerate(values):
        try:
            found.append(typed_literal(value, column_type(column)))
        except ValueError as error:
            document.fault((*at, index), str(error))
    return found or ["NULL"]


def _positive(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ValueError(f"a number above 0 is expected, found {value!r}")
    return typed_literal(value, "double")


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"a whole number of 0 or more is expected, found {value!r}")


def _pattern(value: Any) -> str:
    if isinstance(value, str):
        return literal(value)
    raise ValueError(f"a regular expression is expected, found {value!r}: quote it")


def _unique_names(rules: list[Rule]) -> tuple[Rule, ...]:
    """A second rule of one name gets a number: required and nullValues of a column may both stand there."""
    seen: dict[str, int] = {}
    named = []
    for rule in rules:
        seen[rule.name] = seen.get(rule.name, 0) + 1
        named.append(rule if seen[rule.name] == 1 else replace(rule, name=f"{rule.name}_{seen[rule.name]}"))
    return tuple(named)
