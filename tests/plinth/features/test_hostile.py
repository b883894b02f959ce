"""Training sets from rows and questions as nobody would wish them, held against the rule by hand: none is lost, doubled, moved or matched to another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plinth.features import FeatureViewError, training_set
from plinth.features.store import materialise
from tests.plinth.features.shop import FeatureShop, Sale, declaration, make_shop
from tests.plinth.features.test_clocks import sale
from tests.plinth.features.test_training import DAY, HOUR, T, entities

# Two spellings of one letter, no letter at all, an end of SQL, a space behind, and characters beyond the first plane: each is a key of its own.
KEYS = ("ä", "a\u0308", "Ä", "", "a", "a ", "' OR true --", "名前", "𝕏", "007", "7")


def of_items() -> dict[str, Any]:
    """The view by the item, a text, with a window far longer than anything that happened."""
    values = declaration()
    buyer = values["views"]["buyer"]
    buyer["entity"] = {"item": {"type": "string", "description": "Item."}}
    buyer["sources"]["sales"] |= {"scope": ["item"], "window": "99999d"}
    buyer["features"]["recent"]["window"] = "99999d"
    return values


def asked_for(rows: Sequence[tuple[str | None, datetime | None]]) -> pa.Table:
    return pa.table(
        {
            "item": pa.array([row[0] for row in rows], pa.string()),
            "at": pa.array([row[1] for row in rows], pa.timestamp("us")),
            "label": pa.array(range(len(rows))),
        }
    )


_time = st.integers(0, 6).map(lambda step: T + 12 * step * HOUR)
_sales = st.lists(
    st.tuples(
        st.sampled_from((*KEYS[:4], None)), st.one_of(_time, _time, st.none()), st.sampled_from((0, 0, 1, 4, None))
    ),
    min_size=1,
    max_size=12,
)
_questions = st.lists(
    st.tuples(st.sampled_from((*KEYS[:5], None)), st.one_of(_time, _time, _time, st.none())), min_size=1, max_size=12
)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_sales, _questions)
def test_any_rows_and_any_questions_give_what_the_rule_gives_by_hand(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[str | None, datetime | None, int | None]],
    questions: list[tuple[str | None, datetime | None]],
) -> None:
    shop = make_shop(tmp_path_factory.mktemp("hostile"))
    shop.declare(of_items())
    rows = [
        (key, at, None if at is None or late is None else at + 12 * late * HOUR, 2**n)
        for n, (key, at, late) in enumerate(drawn)
    ]
    shop.sell([(n, 1, key, value, at, known) for n, (key, at, known, value) in enumerate(rows)])  # type: ignore[misc]
    asked = asked_for(questions)
    found = training_set(shop.lakehouse, shop.views, asked, ["buyer.orders", "buyer.spent"], tables={})
    assert found.select(asked.column_names).equals(asked), "every question once, in its place"
    for row in found.to_pylist():
        counts = [
            value
            for key, at, known, value in rows
            if None not in (row["item"], row["at"], key, at, known)
            and key == row["item"]
            and at < row["at"]  # type: ignore[operator]
            and known < row["at"]  # type: ignore[operator]
        ]
        # Powers of two: the sum says which rows they were.
        assert (row["buyer__orders"], row["buyer__spent"]) == ((len(counts), sum(counts)) if counts else (None, None))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> FeatureShop:
    """One sale of each key on each of twenty days, all at the same moments, and the snapshots of two Mondays."""
    made = make_shop(tmp_path_factory.mktemp("keys"))
    made.declare(of_items())
    sales: list[Sale] = [
        (day * len(KEYS) + n, 1, key, float(n + 1), T - 30 * DAY + day * DAY, T - 30 * DAY + day * DAY)
        for day in range(20)
        for n, key in enumerate(KEYS)
    ]
    made.sell(sales)
    materialise(made.lakehouse, made.views, "buyer", [(T - 7 * DAY).date(), T.date()])
    return made


both = pytest.mark.parametrize("tables", [None, {}], ids=["snapshots", "computed"])


def test_keys_that_look_alike_are_told_apart_and_stay_with_their_rows(shop: FeatureShop) -> None:
    asked = asked_for([(key, T) for key in (*KEYS, "A", *reversed(KEYS), None, *KEYS[:3] * 5)])
    for tables in (None, {}):
        found = training_set(shop.lakehouse, shop.views, asked, ["buyer.spent"], tables=tables)
        assert found.select(asked.column_names).equals(asked)
        for row in found.to_pylist():
            own = 20.0 * (KEYS.index(row["item"]) + 1) if row["item"] in KEYS else None
            assert row["buyer__spent"] == own, row


@both
@pytest.mark.parametrize("unit", ["s", "ms", "ns"])
def test_time_stamps_of_any_unit_mean_the_same_moment(
    shop: FeatureShop, tables: dict[str, Any] | None, unit: str
) -> None:
    asked = asked_for([("ä", T), ("ä", T - DAY), ("a", None), ("ä", T)])
    other = asked.set_column(1, "at", asked["at"].cast(pa.timestamp(unit)))
    expected = training_set(shop.lakehouse, shop.views, asked, ["buyer"], tables=tables)
    found = training_set(shop.lakehouse, shop.views, other, ["buyer"], tables=tables)
    assert found.drop_columns(["at"]).equals(expected.drop_columns(["at"]))
    assert found["at"].equals(other["at"])


@both
def test_moments_at_the_ends_of_time_are_no_fault_and_know_what_was_known(
    shop: FeatureShop, tables: dict[str, Any] | None
) -> None:
    moments = (datetime.min, datetime(1700, 1, 1), datetime(2290, 1, 1), datetime(9999, 12, 31, 23, 59, 59))
    found = training_set(
        shop.lakehouse, shop.views, asked_for([("ä", at) for at in moments]), ["buyer.spent"], tables=tables
    )
    # The last one lies beyond the window of 99,999 days, which a snapshot of long ago does not know.
    beyond = 20.0 if tables is None else None
    assert found["buyer__spent"].to_pylist() == [None, None, 20.0, beyond]


@both
def test_columns_of_the_questions_may_have_any_name_but_that_of_an_answer(
    shop: FeatureShop, tables: dict[str, Any] | None
) -> None:
    asked = asked_for([("a", T), ("ä", T), ("a", T)])
    for name in ("_row", "_at", "as_of", "known_at", "_later", "x" * 80, "ü 'x\""):
        asked = asked.append_column(name, pa.array([name, None, "3"]))
    found = training_set(shop.lakehouse, shop.views, asked, ["buyer.spent"], tables=tables)
    assert found.select(asked.column_names).equals(asked)
    assert found["buyer__spent"].to_pylist() == [100.0, 20.0, 100.0]
    with pytest.raises(FeatureViewError, match="buyer__spent"):
        training_set(shop.lakehouse, shop.views, found, ["buyer.spent"], tables=tables)


@both
def test_a_key_of_another_type_or_a_moment_of_a_zone_is_refused_and_not_guessed(
    shop: FeatureShop, tables: dict[str, Any] | None
) -> None:
    asked = asked_for([("7", T), ("007", T)])
    numbers = asked.set_column(0, "item", pa.array([7, 7]))
    with pytest.raises(FeatureViewError, match="item") as refused:
        training_set(shop.lakehouse, shop.views, numbers, ["buyer"], tables=tables)
    assert "string" in str(refused.value) and "int64" in str(refused.value)
    for kind in (pa.timestamp("us", tz="Europe/London"), pa.date32()):
        zoned = asked.set_column(1, "at", pa.array([T.replace(tzinfo=UTC), T.replace(tzinfo=UTC)]).cast(kind))
        with pytest.raises(FeatureViewError, match="local time"):
            training_set(shop.lakehouse, shop.views, zoned, ["buyer"], tables=tables)
    for alike in (asked["item"].dictionary_encode(), asked["item"].cast(pa.large_string())):
        other = asked.set_column(0, "item", alike)
        found = training_set(shop.lakehouse, shop.views, other, ["buyer.spent"], tables=tables)
        assert found["buyer__spent"].to_pylist() == [20.0 * (KEYS.index(key) + 1) for key in ("7", "007")]


def test_a_moment_that_is_one_of_two_in_the_hour_that_comes_twice_is_the_trades_own(tmp_path: Path) -> None:
    # The clocks went back at 01:00 UTC: 01:30 came twice in London. Local time has one of it, and the order of the rows is that of the clock.
    shop = make_shop(tmp_path)
    night = datetime(2024, 10, 27, 1, 30)
    shop.sell([sale(1, 1, night), sale(2, 1, night + timedelta(microseconds=1))])
    found = training_set(
        shop.lakehouse, shop.views, entities((1, night), (1, night + HOUR)), ["buyer.orders"], tables={}
    )
    assert found["buyer__orders"].to_pylist() == [None, 2]
