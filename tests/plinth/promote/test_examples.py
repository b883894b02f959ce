"""Who is a customer at a cut-off, who bought after it, and how many of them memory has room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from plinth.platform import Profile
from plinth.promote import ExamplesUnusable, cutoffs_before, labels, room_for, thinned
from plinth.promote.columns import feature_names

AT, DAY = datetime(2025, 3, 1), timedelta(days=1)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def lines_in(con: duckdb.DuckDBPyConnection, lines: Sequence[tuple[int, datetime, datetime]]) -> None:
    con.execute("CREATE OR REPLACE TABLE lines (customer BIGINT, time TIMESTAMP, known TIMESTAMP)")
    con.executemany("INSERT INTO lines VALUES (?, ?, ?)", list(lines))


def test_examples_are_those_who_had_ordered_and_their_label_ends_with_the_window(
    con: duckdb.DuckDBPyConnection,
) -> None:
    times = [
        (1, AT - 9 * DAY),
        (1, AT),  # at the cut-off: within the window, not before it
        (2, AT - 9 * DAY),
        (2, AT + 28 * DAY),  # the first instant after the window
        (3, AT + 2 * DAY),  # no customer yet
    ]
    lines_in(con, [(who, at, at) for who, at in times])
    rows = labels(con, "lines", [AT, AT + 28 * DAY])
    assert rows.column_names == ["customer_no", "at", "bought"]
    assert {(row["at"], row["customer_no"]): row["bought"] for row in rows.to_pylist()} == {
        (AT, 1): True,
        (AT, 2): False,
        (AT + 28 * DAY, 1): False,
        (AT + 28 * DAY, 2): True,
        (AT + 28 * DAY, 3): False,
    }


def test_whose_first_line_was_booked_later_is_no_customer_yet_but_what_he_bought_is_known_by_now(
    con: duckdb.DuckDBPyConnection,
) -> None:
    lines_in(con, [(1, AT - 3 * DAY, AT), (2, AT - 3 * DAY, AT - DAY), (2, AT + DAY, AT + 40 * DAY)])
    rows = labels(con, "lines", [AT, AT + DAY]).to_pylist()
    assert [(row["customer_no"], row["at"], row["bought"]) for row in rows] == [
        (2, AT, True),
        (1, AT + DAY, False),
        (2, AT + DAY, True),
    ]


def test_labels_want_a_cutoff(con: duckdb.DuckDBPyConnection) -> None:
    lines_in(con, [(1, AT, AT)])
    with pytest.raises(ExamplesUnusable, match="no cut-off"):
        labels(con, "lines", [])


def test_neither_a_key_nor_the_label_is_a_feature(con: duckdb.DuckDBPyConnection) -> None:
    lines_in(con, [(who, AT - DAY, AT - DAY) for who in (1, 2, 3)])
    rows = labels(con, "lines", [AT])
    assert feature_names(rows.append_column("customer__orders", pa.array(range(3)))) == ("customer__orders",)


@pytest.mark.slow
def test_memory_for_fewer_rows_leaves_out_customers_and_not_cutoffs(con: duckdb.DuckDBPyConnection) -> None:
    lines_in(con, [(who, AT - DAY, AT - DAY) for who in range(10_000)])
    rows = labels(con, "lines", [AT, AT + 28 * DAY])
    assert thinned(rows, rows.num_rows) is rows
    some = thinned(rows, 5000)
    assert some.num_rows == pytest.approx(5000, rel=0.05)
    first, second = (
        set(some.filter(pa.compute.equal(some["at"], at))["customer_no"].to_pylist()) for at in (AT, AT + 28 * DAY)
    )
    assert first == second and np.mean(list(first)) == pytest.approx(5000, rel=0.05)
    assert thinned(rows, 5000).equals(some)


def test_room_grows_with_memory_and_shrinks_with_features() -> None:
    small, large = (Profile(cpu=1, memory=size * 2**30, threads=1) for size in (1, 4))
    assert room_for(large, 140) == pytest.approx(4 * room_for(small, 140), abs=4)
    assert room_for(small, 140) * 140 * 40 <= small.memory / 2
    assert room_for(small, 280) <= room_for(small, 140) // 2 + 1


def test_cutoffs_stand_a_window_apart_and_end_with_the_last() -> None:
    found = cutoffs_before(datetime(2025, 3, 26), datetime(2025, 1, 29))
    assert found == (datetime(2025, 1, 29), datetime(2025, 2, 26), datetime(2025, 3, 26))
