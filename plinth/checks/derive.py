"""Which checks a contract table has, each with a stable name."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, replace
from enum import Enum

from plinth.contracts.model import Mode, Reference, Rule, Severity, Table


class Kind(str, Enum):
    """What a check looks at."""

    SCHEMA = "schema"
    KEY = "key"
    ROWS = "rows"
    TABLE = "table"
    REFERENCE = "reference"
    SOURCE = "source"
    HISTORY = "history"
    FRESHNESS = "freshness"

    @property
    def reads_rows(self) -> bool:
        """Whether it has to read rows; the others are answered from the log and the last load."""
        return self in (Kind.KEY, Kind.ROWS, Kind.TABLE, Kind.REFERENCE)

    @property
    def follows_content(self) -> bool:
        """Whether equal content means an equal result: such a check is not computed again for rows that it has seen."""
        return self.reads_rows or self is Kind.SCHEMA


@dataclass(frozen=True)
class Check:
    """One check of one table.

    Attributes:
        name: unique within the table, letters, digits and underscores.
        severity: `error` blocks what comes after the table, `warning` is only reported.
        rule, reference: what of the contract it follows from, where it follows from one of them.
    """

    name: str
    kind: Kind
    description: str
    severity: Severity = Severity.ERROR
    columns: tuple[str, ...] = ()
    rule: Rule | None = None
    reference: Reference | None = None

    @property
    def fingerprint(self) -> str:
        """Names what is checked: another predicate or limit is another check, also under the same name."""
        return hashlib.sha256(repr(asdict(self)).encode()).hexdigest()[:12]


def checks_of(table: Table) -> tuple[Check, ...]:
    """The checks that follow from a table's contract, those of the whole table first."""
    checks = [
        Check("schema", Kind.SCHEMA, "The columns and their types are those of the contract."),
        Check(
            "rows_match_source",
            Kind.SOURCE,
            "Rows here and in quarantine are at least as many as the legacy table had when it was read; deleted ones stay."
            if keeps_deleted(table)
            else "Rows here and in quarantine are as many as the legacy table had when it was read.",
        ),
    ]
    if table.key:
        keys = ", ".join(table.key)
        checks.append(
            Check(
                "key_unique", Kind.KEY, f"No two rows have the same key ({keys}), and none lacks it.", columns=table.key
            )
        )
    if table.freshness is not None:
        promise = f"The last load is no older than {table.freshness}, as the contract promises."
        checks.append(Check("fresh", Kind.FRESHNESS, promise, Severity.WARNING))
    if table.history_tolerance is not None:
        usual = f"The number of rows is within {table.history_tolerance:.0%} of what it was at the loads before."
        checks.append(Check("rows_as_usual", Kind.HISTORY, usual, Severity.WARNING))
    checks += [_rule_check(rule) for rule in table.rules]
    checks += [_reference_check(reference) for reference in table.references]
    return _unique_names(checks)


def keeps_deleted(table: Table) -> bool:
    """Whether bronze keeps rows that the source has deleted: an increment finds them by a comparison of keys only."""
    return table.mode is Mode.INCREMENTAL and table.reconcile_every is None


def _rule_check(rule: Rule) -> Check:
    kind = Kind.ROWS if rule.predicate is not None else Kind.TABLE
    return Check(rule.name, kind, rule.description, rule.severity, rule.columns, rule=rule)


def _reference_check(reference: Reference) -> Check:
    columns = ", ".join(reference.columns)
    return Check(
        f"{'_'.join(reference.columns)}_in_{reference.to_table}",
        Kind.REFERENCE,
        f"Every {columns} stands in bronze/{reference.to_table} ({', '.join(reference.to_columns)}).",
        reference.severity,
        reference.columns,
        reference=reference,
    )


def _unique_names(checks: list[Check]) -> tuple[Check, ...]:
    used: set[str] = set()
    named = []
    for check in checks:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", check.name) or check.kind.value
        name, number = plain, 1
        while name in used:
            number += 1
            name = f"{plain}_{number}"
        used.add(name)
        named.append(replace(check, name=name))
    return tuple(named)
