"""Training sets see nothing of the future, on either clock; each leak has a test, and random rows are held against the rule by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import plinth.features.join as joining
from plinth.engine import connect
from plinth.errors import TableMissing
from plinth.features import FeatureViewError, snapshot, training_set
from plinth.features.join import FeatureRows, join
from plinth.features.store import materialise, refresh
from plinth.features.training import known_in_time
from plinth.profile import Profile
from tests.plinth.features.shop import FeatureShop, make_shop
from tests.plinth.features.test_clocks import sale

T = datetime(2024, 3, 4)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
Row = tuple[int | None, datetime | None, datetime | None, float | None]
"""Who, event time, known time, value."""


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    made = connect(Profile(cpu=1, memory=256 * 2**20, threads=2), scratch=tmp_path_factory.mktemp("scratch"))
    yield made
    made.close()


def entities(*rows: tuple[int | None, datetime | None]) -> pa.Table:
    return pa.table(
        {
            "who": pa.array([row[0] for row in rows], pa.int64()),
            "at": pa.array([row[1] for row in rows], pa.timestamp("us")),
        }
    )


def joined(con: duckdb.DuckDBPyConnection, rows: list[Row], asked: pa.Table, *, one_a_time: bool) -> list[float | None]:
    """The value that each asked row gets; with `one_a_time` both by an ASOF JOIN and by all pairs, which have to agree."""
    con.register(
        "feature_rows",
        pa.table(
            {
                "who": pa.array([row[0] for row in rows], pa.int64()),
                "as_of": pa.array([row[1] for row in rows], pa.timestamp("us")),
                "known_at": pa.array([row[2] for row in rows], pa.timestamp("us")),
                "value": pa.array([row[3] for row in rows], pa.float64()),
            }
        ),
    )
    asked_for = FeatureRows("feature_rows", ("who",), {"value": "v__value"}, one_a_time=one_a_time)
    values: list[list[float | None]] = []
    for few in (-1, 10) if one_a_time else (10,):
        with patch.object(joining, "_FEW", few):
            found = join(con, asked, "at", asked_for)
        assert found.column_names == ["v__value"]
        values.append(found["v__value"].to_pylist())
    assert values[0] == values[-1]
    return values[0]


@pytest.mark.parametrize("each", [3, 400], ids=["few rows", "many rows"])
def test_pairs_are_looked_at_only_where_an_entity_has_few_rows(con: duckdb.DuckDBPyConnection, each: int) -> None:
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE many AS SELECT i // {each} AS who, TIMESTAMP '2024-01-01' + to_minutes(i % {each}) AS as_of, "
        f"as_of + to_minutes(CASE WHEN i % 5 = 0 THEN 7 ELSE 0 END) AS known_at, i / 7.0 AS value FROM range(3000 * {each}) t(i)"
    )
    asked = con.execute(
        f"SELECT i AS who, TIMESTAMP '2024-01-01' + to_minutes(i * 37 % {2 * each}) AS at FROM range(3000) t(i)"
    ).to_arrow_table()
    rows = FeatureRows("many", ("who",), {"value": "v__value"}, one_a_time=True)
    with (
        patch.object(joining, "_of_pairs", wraps=joining._of_pairs) as pairs,
        patch.object(joining, "_by_asof", wraps=joining._by_asof) as asof,
    ):
        found = join(con, asked, "at", rows)
    assert (pairs.called, asof.called) == (each == 3, each != 3)
    assert found.equals(join(con, asked, "at", replace(rows, one_a_time=False)))


both = pytest.mark.parametrize("one_a_time", [True, False], ids=["asof", "in full"])


@both
def test_a_row_counts_from_its_event_time_on_and_not_before(con: duckdb.DuckDBPyConnection, one_a_time: bool) -> None:
    rows: list[Row] = [(1, T, T - HOUR, 5.0)]
    asked = entities((1, T - timedelta(microseconds=1)), (1, T), (1, T + DAY))
    assert joined(con, rows, asked, one_a_time=one_a_time) == [None, 5.0, 5.0]


@both
def test_a_row_that_is_known_late_counts_from_then_on(con: duckdb.DuckDBPyConnection, one_a_time: bool) -> None:
    rows: list[Row] = [(1, T, T, 1.0), (1, T + DAY, T + 3 * DAY, 2.0)]
    asked = entities((1, T + 2 * DAY), (1, T + 3 * DAY - timedelta(microseconds=1)), (1, T + 3 * DAY))
    assert joined(con, rows, asked, one_a_time=one_a_time) == [1.0, 1.0, 2.0]


def test_a_late_correction_never_leaks_into_the_time_before_it_was_known(con: duckdb.DuckDBPyConnection) -> None:
    rows: list[Row] = [(1, T, T, 1.0), (1, T, T + 2 * DAY, 99.0)]
    asked = entities((1, T), (1, T + DAY), (1, T + 2 * DAY), (1, T + 9 * DAY))
    assert joined(con, rows, asked, one_a_time=False) == [1.0, 1.0, 99.0, 99.0]


@both
def test_a_late_correction_of_an_old_period_does_not_hide_a_newer_row(
    con: duckdb.DuckDBPyConnection, one_a_time: bool
) -> None:
    rows: list[Row] = [(1, T - WEEK, T + 3 * DAY, 99.0), (1, T, T, 2.0)]
    assert joined(con, rows, entities((1, T + 5 * DAY)), one_a_time=one_a_time) == [2.0]


@pytest.mark.parametrize("turned", [False, True])
def test_two_rows_of_one_moment_are_told_apart_the_same_way_in_any_order(
    con: duckdb.DuckDBPyConnection, turned: bool
) -> None:
    rows: list[Row] = [(1, T, T, 3.0), (1, T, T, 7.0), (1, T, T, None), (2, T, T, 1.0), (2, T, T + HOUR, 0.5)]
    asked = entities((1, T + DAY), (2, T + DAY))
    assert joined(con, rows[::-1] if turned else rows, asked, one_a_time=False)[1] == 0.5
    first = joined(con, rows[::-1] if turned else rows, asked, one_a_time=False)[0]
    assert first == joined(con, sorted(rows, key=str), asked, one_a_time=False)[0]


@both
def test_an_entity_without_history_is_kept_with_nulls_and_so_is_one_without_a_name_or_time(
    con: duckdb.DuckDBPyConnection, one_a_time: bool
) -> None:
    rows: list[Row] = [(1, T, T, 1.0)]
    asked = entities((2, T + DAY), (1, T + DAY), (None, T + DAY), (1, None))
    assert joined(con, rows, asked, one_a_time=one_a_time) == [None, 1.0, None, None]


@both
def test_equal_rows_that_are_asked_for_each_come_back_in_their_place(
    con: duckdb.DuckDBPyConnection, one_a_time: bool
) -> None:
    rows: list[Row] = [(who, T, T, float(who)) for who in range(50)]
    asked = entities(*[(who % 60, T + DAY) for who in range(5000)])
    wanted = [float(who % 60) if who % 60 < 50 else None for who in range(5000)]
    assert joined(con, rows, asked, one_a_time=one_a_time) == wanted


def test_two_rows_of_one_moment_where_none_should_be_neither_double_nor_move_a_question(
    con: duckdb.DuckDBPyConnection,
) -> None:
    rows: list[Row] = [
        (1, T, T, 3.0),
        (1, T, T, 7.0),
        (2, T, T + 9 * DAY, 1.0),
        (2, T - DAY, T, 4.0),
        (2, T - DAY, T, 2.0),
    ]
    asked = entities((2, T + DAY), (1, T + DAY), (3, T), (1, T + DAY), (2, T + 9 * DAY))
    found = joined(con, rows, asked, one_a_time=True)
    assert found == joined(con, rows, asked, one_a_time=False) == [4.0, 7.0, None, 7.0, 1.0]


@both
def test_no_rows_and_no_entities_give_nulls_and_nothing(con: duckdb.DuckDBPyConnection, one_a_time: bool) -> None:
    assert joined(con, [], entities((1, T)), one_a_time=one_a_time) == [None]
    assert joined(con, [(1, T, T, 1.0)], entities(), one_a_time=one_a_time) == []


# Few steps and few entities, so that equal times, late rows and turned orders are met in nearly every example.
_step = st.integers(0, 8).map(lambda step: T + step * DAY)
_row = st.builds(
    lambda who, as_of, delay, value: (
        who,
        as_of,
        None if as_of is None or delay is None else as_of + delay * DAY,
        value,
    ),
    st.sampled_from([1, 1, 1, 2, 2, 3, None]),
    st.one_of(_step, _step, _step, st.none()),
    st.sampled_from([-1, 0, 0, 0, 1, 2, 6, None]),
    st.one_of(st.none(), st.integers(-2, 2).map(float)),
)
_asked = st.lists(
    st.tuples(st.sampled_from([1, 1, 2, 2, 3, 4, None]), st.one_of(_step, _step, _step, st.none())), max_size=12
)
Asked = list[tuple[int | None, datetime | None]]


def by_hand(rows: list[Row], who: int | None, at: datetime | None) -> set[float | None]:
    """The values of the rows that the rule leaves: one, or several that differ in nothing but the value."""
    whole = [
        (each, as_of, known, value) for each, as_of, known, value in rows if as_of is not None and known is not None
    ]
    counting = [
        row for row in whole if who is not None and at is not None and row[0] == who and row[1] <= at and row[2] <= at
    ]
    if not counting:
        return {None}
    best = max((row[1], row[2]) for row in counting)
    return {row[3] for row in counting if (row[1], row[2]) == best}


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_row, max_size=14), _asked)
def test_any_rows_give_what_the_rule_gives_by_hand(
    con: duckdb.DuckDBPyConnection, rows: list[Row], asked: Asked
) -> None:
    found = joined(con, rows, entities(*asked), one_a_time=False)
    again = joined(con, rows[::-1], entities(*asked), one_a_time=False)
    assert found == again, "the order of the rows does not matter"
    for (who, at), value in zip(asked, found, strict=True):
        assert value in by_hand(rows, who, at)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_row, max_size=14, unique_by=lambda row: row[:2]), _asked)
def test_where_no_entity_has_two_rows_of_one_moment_the_short_way_gives_the_same(
    con: duckdb.DuckDBPyConnection, rows: list[Row], asked: Asked
) -> None:
    found = joined(con, rows, entities(*asked), one_a_time=True)
    assert found == joined(con, rows, entities(*asked), one_a_time=False)


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> FeatureShop:
    """A sale a day for three customers and four snapshots."""
    shop = make_shop(tmp_path_factory.mktemp("trade"))
    shop.sell([sale(n, n % 3, datetime(2024, 1, 3) + n * DAY, value=n + 0.25) for n in range(62)])
    refresh(shop.lakehouse, shop.views, "buyer", today=date(2024, 3, 6))
    return shop


def test_a_training_row_gets_the_newest_snapshot_of_its_time(trade: FeatureShop) -> None:
    asked = entities((1, T + 2 * DAY), (1, T), (1, T - HOUR), (1, datetime(2024, 2, 1)), (77, T)).append_column(
        "label", pa.array([1, 0, 1, 0, 1])
    )
    found = training_set(trade.lakehouse, trade.views, asked, ["buyer.orders", "buyer.spent"], at="at")
    assert found.column_names == ["who", "at", "label", "buyer__orders", "buyer__spent"]
    assert found.select(asked.column_names).equals(asked)
    view = trade.views.view("buyer")

    def exact(at: datetime) -> Any:
        return snapshot(trade.lakehouse, view, at, entity={"who": 1}).to_pylist()[0]["orders"]

    assert found["buyer__orders"].to_pylist() == [exact(T), exact(T), exact(T - WEEK), None, None]


def test_the_log_proves_that_no_row_of_a_snapshot_is_late(trade: FeatureShop) -> None:
    assert known_in_time(trade.features())
    nobody = training_set(trade.lakehouse, trade.views, entities((1, None), (1, T)), ["buyer.orders"])
    assert nobody["buyer__orders"].to_pylist()[0] is None
    assert nobody["buyer__orders"].to_pylist()[1] > 0


def test_all_features_of_a_view_come_by_its_name(trade: FeatureShop) -> None:
    found = training_set(trade.lakehouse, trade.views, entities((1, T)), ["buyer.spent", "buyer"])
    assert set(found.column_names) == {"who", "at", *(f"buyer__{name}" for name in trade.views.view("buyer").features)}


def test_equal_questions_give_equal_answers_row_for_row(trade: FeatureShop) -> None:
    asked = entities(*[(n % 5, T - n * HOUR) for n in range(3000)])
    first = training_set(trade.lakehouse, trade.views, asked, ["buyer"])
    assert first.equals(training_set(trade.lakehouse, trade.views, asked, ["buyer"]))


def test_an_older_version_of_the_features_can_be_asked_for(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.sell([sale(1, 1, T - 9 * DAY)])
    materialise(shop.lakehouse, shop.views, "buyer", [T.date()])
    before = shop.features().version
    shop.sell([sale(1, 1, T - 9 * DAY), sale(2, 1, T - 8 * DAY)])
    materialise(shop.lakehouse, shop.views, "buyer", [T.date()])
    asked = entities((1, T))
    newest = training_set(shop.lakehouse, shop.views, asked, ["buyer.orders"])
    older = training_set(shop.lakehouse, shop.views, asked, ["buyer.orders"], versions={"buyer": before})
    assert (newest["buyer__orders"].to_pylist(), older["buyer__orders"].to_pylist()) == ([2], [1])


def test_what_cannot_be_joined_is_refused_in_words(trade: FeatureShop, tmp_path: Path) -> None:
    views, lakehouse = trade.views, trade.lakehouse
    with pytest.raises(FeatureViewError, match="did you mean 'spent'"):
        training_set(lakehouse, views, entities((1, T)), ["buyer.spend"])
    with pytest.raises(FeatureViewError, match="did you mean 'buyer'"):
        training_set(lakehouse, views, entities((1, T)), ["byer"])
    with pytest.raises(FeatureViewError, match="lack columns"):
        training_set(lakehouse, views, entities((1, T)).rename_columns(["whom", "at"]), ["buyer"])
    zoned = pa.table({"who": pa.array([1], pa.int64()), "at": pa.array([T], pa.timestamp("us", tz="UTC"))})
    with pytest.raises(FeatureViewError, match="without a zone"):
        training_set(lakehouse, views, zoned, ["buyer"])
    with pytest.raises(TableMissing, match="features/buyer"):
        training_set(make_shop(tmp_path).lakehouse, views, entities((1, T)), ["buyer"])
