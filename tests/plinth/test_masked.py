"""What is said of a fault quotes no row."""

from __future__ import annotations

import duckdb
import pytest

from plinth.engine import connect
from plinth.masked import without_values
from plinth.profile import Profile

SMALL = Profile(cpu=1, memory=64 * 2**20, threads=1)


@pytest.mark.parametrize("value", ["Ann O'Brien", "Ann\nBrien", 'Ann "B" Brien', "ann@brien.example", "0170 2345678"])
@pytest.mark.parametrize("kind", ["INTEGER", "DATE", "TIMESTAMP", "JSON", "DECIMAL(5,2)", "UUID", "BOOLEAN"])
def test_what_duckdb_says_of_a_value_is_told_without_it(value: str, kind: str) -> None:
    con = connect(SMALL)
    con.execute("CREATE TABLE t AS SELECT ? AS name", [value])
    try:
        con.execute(f"SELECT CAST(name AS {kind}) FROM t").fetchall()
    except duckdb.Error as error:
        told = without_values(str(error).splitlines()[0])
        assert "Error" in told and not any(part in told for part in ("Ann", "Brien", "brien", "2345678"))
    else:
        pytest.fail("every one of these casts fails")


def test_names_in_what_duckdb_says_of_a_query_stay() -> None:
    assert (
        without_values('Binder Error: Referenced column "x" not found')
        == 'Binder Error: Referenced column "x" not found'
    )
