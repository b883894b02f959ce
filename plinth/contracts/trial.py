"""A trial of a contract's rules: does DuckDB understand them, on a table that has the contract's columns and no rows?

What belongs here: the one part of a contract's check that needs an engine. It is no part of loading, which must be quick: `plinth contract
check` and the tests run it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from plinth.contracts.model import Contract, Rule, Table
from plinth.contracts.sql import column_type
from plinth.engine import connect, quote
from plinth.lakehouse.schema import duckdb_type
from plinth.profile import Profile

if TYPE_CHECKING:
    import duckdb

_SMALL, _SMALL_MEMORY = Profile(cpu=1, memory="128MiB"), 96 * 2**20  # type: ignore[arg-type]
_TRIAL = "trial"


def faulty_rules(contract: Contract) -> tuple[str, ...]:
    """One line for each rule that DuckDB refuses, with its reason; empty where all can run."""
    con = connect(_SMALL, memory=_SMALL_MEMORY)
    try:
        return tuple(fault for table in contract.tables for fault in _faults(con, table))
    finally:
        con.close()


def _faults(con: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    import duckdb

    columns = ", ".join(f"{quote(column.name)} {duckdb_type(column_type(column))}" for column in table.columns)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_TRIAL} ({columns})")
    faults = []
    for rule in table.rules:
        try:
            _try(con, rule)
        except duckdb.Error as error:
            reason = re.sub(r"\s+", " ", str(error).split("\n\n")[0]).strip()
            faults.append(f"{table.name}: rule {rule.name}: {reason}")
    return faults


def _try(con: duckdb.DuckDBPyConnection, rule: Rule) -> None:
    if rule.predicate is not None:
        con.execute(f"SELECT count(*) FILTER (WHERE NOT coalesce(({rule.predicate}), true)) FROM {_TRIAL}").fetchall()
        return
    query = (rule.query or "").replace("{table}", _TRIAL)
    con.execute(f"SELECT CAST(({query}) AS DOUBLE)").fetchall()
