"""A view computed at the entity rows' own instants: what snapshots there would hold, without one, on both clocks, and in bounded portions."""

from __future__ import annotations

import statistics
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plinth.engine import connect
from plinth.errors import TableMissing
from plinth.features import FeatureViewError, instants, snapshot, training_set
from plinth.features.instants import MOST_INSTANTS
from plinth.features.query import prepare
from plinth.features.training import portions_of
from tests.plinth.features.shop import SALES, FeatureShop, make_shop
from tests.plinth.features.test_clocks import sale
from tests.plinth.features.test_training import DAY, HOUR, WEEK, T, entities


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> FeatureShop:
    """A sale a day for three customers, every fifth known ten days late, and no snapshot at all."""
    shop = make_shop(tmp_path_factory.mktemp("trade"))
    times = [datetime(2023, 1, 3) + n * DAY for n in range(120)]
    shop.sell(
        [sale(n, n % 3, t, known=t + (10 if n % 5 == 0 else 0) * DAY, value=n + 0.25) for n, t in enumerate(times)]
    )
    return shop


def computed(shop: FeatureShop, asked: pa.Table, features: list[str] | None = None) -> pa.Table:
    return training_set(shop.lakehouse, shop.views, asked, features or ["buyer"], tables={})


def test_values_are_those_of_a_snapshot_at_each_instant_and_none_has_to_be_made(trade: FeatureShop) -> None:
    moments = [datetime(2023, 5, 2, 13, 7), datetime(2023, 2, 1), datetime(2023, 3, 9, 0, 0, 1)]
    asked = entities(*[(who, at) for at in moments for who in (2, 0, 77, 1)], (1, None), (1, datetime(2022, 1, 1)))
    asked = asked.append_column("label", pa.array(range(asked.num_rows)))
    found = computed(trade, asked)
    assert found.select(asked.column_names).equals(asked), "the rows as they were, in their order"
    view = trade.views.view("buyer")
    for row in found.to_pylist():
        held = [] if row["at"] is None else snapshot(trade.lakehouse, view, row["at"]).to_pylist()
        expected = next((each for each in held if each["who"] == row["who"]), dict.fromkeys(view.features))
        assert {name: row[f"buyer__{name}"] for name in view.features} == {
            name: expected[name] for name in view.features
        }
    with pytest.raises(TableMissing, match="features/buyer"):
        training_set(trade.lakehouse, trade.views, asked, ["buyer"])


_sales = st.lists(
    st.tuples(st.integers(1, 3), st.integers(-60, 60), st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=12
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_sales, st.lists(st.integers(-70, 70), min_size=1, max_size=3))
def test_a_row_counts_where_it_happened_and_was_known_before_the_instant(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, int, int]], asked_at: list[int]
) -> None:
    shop = make_shop(tmp_path_factory.mktemp("drawn"))
    # Half days, so that some stand at the very instant.
    rows = [(who, T + 12 * at * HOUR, T + 12 * (at + late) * HOUR, value) for who, at, late, value in drawn]
    shop.sell([sale(n, who, at, known=known, value=value) for n, (who, at, known, value) in enumerate(rows)])
    asked = entities(*[(who, T + 12 * at * HOUR) for at in asked_at for who in (1, 2, 3)])
    for row in computed(shop, asked).to_pylist():
        counts = [v for who, at, known, v in rows if who == row["who"] and at < row["at"] and known < row["at"]]
        assert row["buyer__orders"] == (len(counts) or None)
        assert row["buyer__spent"] == (pytest.approx(sum(counts)) if counts else None)


def test_rows_that_come_after_the_pinned_version_teach_nothing(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.sell([sale(1, 1, T - 9 * DAY)])
    pinned = {str(SALES): shop.lakehouse.open(SALES)}
    shop.sell([sale(1, 1, T - 9 * DAY), sale(2, 1, T - 8 * DAY)])
    asked = entities((1, T))
    before = training_set(shop.lakehouse, shop.views, asked, ["buyer.orders"], tables=pinned)
    after = training_set(shop.lakehouse, shop.views, asked, ["buyer.orders"], tables={})
    assert (before["buyer__orders"].to_pylist(), after["buyer__orders"].to_pylist()) == ([1], [2])


def test_portions_hold_so_many_rows_and_together_all_of_them(trade: FeatureShop) -> None:
    asked = entities(*[(n % 4, T - (n % 3) * WEEK - 300 * DAY) for n in range(50)])
    parts = list(portions_of(trade.lakehouse, trade.views, asked, ["buyer"], tables={}, rows=7))
    assert max(part.num_rows for part in parts) == 7
    together = pa.concat_tables(parts).sort_by([("at", "ascending"), ("who", "ascending")])
    assert together.equals(computed(trade, asked).sort_by([("at", "ascending"), ("who", "ascending")]))


def test_instants_side_by_side_give_what_one_after_the_other_gives(
    trade: FeatureShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = entities(*[(n % 4, T - (n % 11) * WEEK - 250 * DAY) for n in range(90)], (1, None))

    def found(threads: int) -> list[pa.Table]:
        profile = trade.lakehouse.platform.profile().model_copy(update={"threads": threads})
        return list(portions_of(trade.lakehouse, trade.views, asked, ["buyer"], tables={}, rows=5, profile=profile))

    used: list[int] = []

    def told(con: duckdb.DuckDBPyConnection, threads: int) -> AbstractContextManager[None]:
        used.append(threads)
        return one_thread_each(con, threads)

    one_thread_each = instants._one_thread_each
    monkeypatch.setattr(instants, "_one_thread_each", told)
    one_after_the_other = found(1)
    assert used == []
    for threads in (2, 3):
        assert found(threads) == one_after_the_other, "the same portions in the same order"
    assert used == [2, 3]
    monkeypatch.setattr(instants, "SIDE_BY_SIDE", 10)
    assert found(2) == one_after_the_other and used == [2, 3], "of many rows each instant takes all threads"


def test_nobody_asked_about_is_a_table_with_the_columns(trade: FeatureShop) -> None:
    found = computed(trade, entities().slice(0, 0), ["buyer.orders"])
    assert (found.num_rows, found.column_names) == (0, ["who", "at", "buyer__orders"])


def test_a_time_stamp_of_its_own_for_every_row_is_refused_and_snapshots_named(trade: FeatureShop) -> None:
    asked = entities(*[(1, T + n * HOUR) for n in range(MOST_INSTANTS + 1)])
    with pytest.raises(FeatureViewError, match="too many different time stamps") as refused:
        computed(trade, asked)
    assert "snapshots" in str(refused.value.remedy)


def test_spread_and_exact_are_what_statistics_says_of_them(tmp_path: Path) -> None:
    con = connect(make_shop(tmp_path).lakehouse.platform.profile())
    prepare(con)
    drawn = [3.25, 17.5, 0.125, 44.0]
    con.execute("CREATE TABLE t AS SELECT unnest(?::DOUBLE[]) AS x", [drawn])
    spread, mean = con.execute("SELECT spread(x), avg(exact(x)) FROM t").fetchone() or (0, 0)
    assert (spread, mean) == (pytest.approx(statistics.stdev(drawn)), pytest.approx(statistics.mean(drawn)))
    for few in ("x > 40", "x > 400"):
        assert con.execute(f"SELECT spread(x) FROM t WHERE {few}").fetchone() == (None,)
