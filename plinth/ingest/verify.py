"""The rows of one read, held against the contract: which are right, and which go to quarantine with what reason.

Reading comes first and judging second: the rows are staged as they came, the rules run over the staged columns, and only where a row
is broken are the files written once more without it. A clean load, the common case, so costs one scan of the ruled columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.contracts.model import Rule, Severity, Table
from plinth.engine import literal, quote
from plinth.errors import ContractError, ContractViolation
from plinth.lakehouse.quarantine import key_as_text, row_as_text
from plinth.masked import without_values

if TYPE_CHECKING:
    import duckdb

REJECTS = "_rejects"
KEY_RULE = "key_unique"
BROKEN = "plinth_broken"


@dataclass(frozen=True)
class Verdict:
    """What the rules say of one read.

    Attributes:
        rows: rows that were judged.
        broken: rows that broke a rule, by the first rule broken.
        good: SQL that yields the right rows; None where all are right.
    """

    rows: int
    broken: dict[str, int]
    good: str | None


def judge(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    rows: str,
    names: tuple[str, ...],
    *,
    rejects: bool,
    unique: bool,
    proven: frozenset[str],
) -> Verdict:
    """Runs the row rules, the casts' rejects and the key's uniqueness over one read.

    Args:
        rows: SQL that yields the rows, and can be read more than once.
        names: the bronze columns.
        rejects: whether `rows` has the column `_rejects`.
        unique: whether the source guarantees the key; if not, it is counted here.
        proven: names of rules that the files' statistics prove already.

    Raises:
        ContractViolation: more rows are broken than the contract allows; nothing has been published, and `BROKEN` holds them.
    """
    rules = [
        rule for rule in table.rules if rule.predicate and rule.severity is Severity.ERROR and rule.name not in proven
    ]
    key = table.key if table.key and not unique else ()
    with _uncomputed_told(con, table, rows, rules):
        total, suspects = _count(con, rows, rules, rejects=rejects)
    doubled = _repeated(con, rows, key) if key else 0
    if suspects + doubled == 0:
        return Verdict(total, {}, None)
    marked = _marked(rows, table, rules, key, rejects=rejects)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {BROKEN} AS SELECT _rules[1] AS rule, array_to_string(_rules, ', ') AS reason, "
        f'{key_as_text(table.key)} AS "key", {_row(names, rejects=rejects)} AS row FROM ({marked}) WHERE len(_rules) > 0'
    )
    broken = dict(con.execute(f"SELECT rule, count(*) FROM {BROKEN} GROUP BY 1 ORDER BY 2 DESC, 1").fetchall())
    _refuse_too_many(table, total, broken)
    listed = ", ".join(quote(name) for name in names)
    return Verdict(total, broken, f"SELECT {listed} FROM ({marked}) WHERE len(_rules) = 0")


@contextmanager
def _uncomputed_told(con: duckdb.DuckDBPyConnection, table: Table, rows: str, rules: list[Rule]) -> Iterator[None]:
    """Names the rule whose condition fails on some row, such as a CAST of a text that is no number; DuckDB's error would quote the row."""
    import duckdb

    try:
        yield
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException):
        for rule in rules:
            try:
                _count(con, rows, [rule], rejects=False)
            except duckdb.Error as fault:
                raise ContractError(
                    f"the rule {rule.name} cannot be computed on every row; nothing was published",
                    expected="a condition that is true, false or null whatever stands in the columns",
                    found=without_values(str(fault).splitlines()[0]),
                    where=f"contract of {table.source}, table {table.name}",
                    remedy="mend the rule, for instance by TRY_CAST in place of CAST",
                ) from None
        raise


def _count(con: duckdb.DuckDBPyConnection, rows: str, rules: list[Rule], *, rejects: bool) -> tuple[int, int]:
    tests = [f"NOT coalesce(({rule.predicate}), true)" for rule in rules]
    if rejects:
        tests.append(f"{REJECTS} IS NOT NULL")
    broken = " OR ".join(tests) or "false"
    total, suspects = con.execute(f"SELECT count(*), count(*) FILTER (WHERE {broken}) FROM ({rows})").fetchone() or (
        0,
        0,
    )
    return int(total), int(suspects)


def _repeated(con: duckdb.DuckDBPyConnection, rows: str, key: tuple[str, ...]) -> int:
    names = ", ".join(quote(name) for name in key)
    row = con.execute(f"SELECT count(*) FROM (SELECT 1 FROM ({rows}) GROUP BY {names} HAVING count(*) > 1)").fetchone()
    return int(row[0]) if row else 0


def _marked(rows: str, table: Table, rules: list[Rule], key: tuple[str, ...], *, rejects: bool) -> str:
    """The rows with `_rules`, the list of the rules that each broke, in the contract's order."""
    tests = [f"CASE WHEN NOT coalesce(({rule.predicate}), true) THEN {literal(rule.name)} END" for rule in rules]
    if rejects:
        first = f"json_extract_string({REJECTS}, '$.*.rule')"
        tests.insert(0, f"CASE WHEN {REJECTS} IS NOT NULL THEN array_to_string({first}, ', ') END")
    broken = f"list_filter([{', '.join(tests)}]::VARCHAR[], lambda rule: rule IS NOT NULL)"
    marked = f"SELECT *, {broken} AS _broken FROM ({rows})"
    if not key:
        return f"SELECT * EXCLUDE (_broken), _broken AS _rules FROM ({marked})"
    # Of rows with one key the newest by cursor is right, if it is right otherwise; ties fall to the row's hash, so that a repeated
    # read decides the same way.
    newest = f"{quote(table.cursor)} DESC NULLS LAST, " if table.cursor else ""
    names = ", ".join(quote(name) for name in key)
    ranked = f"row_number() OVER (PARTITION BY {names} ORDER BY len(_broken), {newest}hash(_rowtext)) AS _rank"
    text = row_as_text([column.name for column in table.columns])
    return (
        f"SELECT * EXCLUDE (_broken, _rank, _rowtext), CASE WHEN _rank > 1 THEN list_append(_broken, '{KEY_RULE}') ELSE _broken END AS _rules "
        f"FROM (SELECT *, {ranked} FROM (SELECT *, {text} AS _rowtext FROM ({marked})))"
    )


def _row(names: tuple[str, ...], *, rejects: bool) -> str:
    text = row_as_text(names)
    if not rejects:
        return text
    # What did not cast is null in its column; the row is kept with the legacy system's own text.
    raw = f"(SELECT json_group_object(r.key, json_extract(r.value, '$.value')) FROM json_each({REJECTS}) r)"
    return f"CASE WHEN {REJECTS} IS NULL THEN {text} ELSE json_merge_patch({text}::JSON, {raw})::VARCHAR END"


def _refuse_too_many(table: Table, total: int, broken: dict[str, int]) -> None:
    count = sum(broken.values())
    if count <= table.quarantine_share * total:
        return
    uncast = any(rule.endswith("_type") for rules in broken for rule in rules.split(", "))
    typed = (
        "give the column a deltaType in the contract that its values stand in (string holds all), " if uncast else ""
    )
    raise ContractViolation(
        f"bronze/{table.name}: {count:,} of {total:,} rows break the contract, nothing was published",
        expected=f"at most a share of {table.quarantine_share:g} (quarantineShare)",
        found=", ".join(f"{rule}: {number:,}" for rule, number in broken.items()),
        where=f"contract of {table.source}, table {table.name}",
        remedy=f"look at the rows (`plinth quarantine show {table.name}`); then mend them in the legacy system, "
        f"correct the rule, {typed}or raise quarantineShare so that they are held in quarantine",
    )
