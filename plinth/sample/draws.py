"""Random draws that depend on nothing but the seed, a name and a key.

What belongs here: the DuckDB macros that everything random in the sample is made with. Each draw is a pure function, so a customer, an
order or a line is the same whether it is made in the first block, in the last or on an advanced day: that is what makes 10 million lines
bounded in memory, and `advance` repeatable.

- `key2(a, b)`: one 63-bit key from two numbers.
- `u(name, key)`: uniform on [0, 1), 53 bits. The outer hash is needed: DuckDB combines hashes by XOR, so that without it two names would
  give draws that differ by a constant.
- `z(name, key)`: standard normal (Box and Muller).
- `pick(values, name, key)`: one element of a list, each as likely.
- `whole(x, name, key)`: x rounded up or down at random, so that its mean stays x.

They rest on DuckDB's `hash`, which is stable for one DuckDB version; the version is pinned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_MACROS = """
CREATE OR REPLACE MACRO key2(a, b) AS (hash(hash(a::BIGINT, b::BIGINT)) >> 1)::BIGINT;
CREATE OR REPLACE MACRO u(name, k) AS
    (hash(hash(getvariable('seed')::BIGINT, name, k::BIGINT)) >> 11)::DOUBLE / 9007199254740992.0;
CREATE OR REPLACE MACRO z(name, k) AS
    sqrt(-2.0 * ln(1.0 - u(name || '-r', k))) * cos(6.283185307179586 * u(name || '-a', k));
CREATE OR REPLACE MACRO pick(vals, name, k) AS vals[1 + floor(u(name, k) * len(vals))::INT];
CREATE OR REPLACE MACRO whole(x, name, k) AS floor(x + u(name, k))::INT;
CREATE OR REPLACE MACRO clock(day, second) AS day::TIMESTAMP + to_seconds(floor(second)::INT);
"""


def install(con: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Defines the macros in a connection, for one seed."""
    con.execute(f"SET VARIABLE seed = {int(seed)}")
    con.execute(_MACROS)
