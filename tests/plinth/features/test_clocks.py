"""A view as of an instant: what happened before it and was known before it counts, and nothing else; online as offline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import exp

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.engine import connect
from plinth.features import FeatureView, FeatureViewError, FeatureViews, events_of, now_of, snapshot, values_of
from plinth.features.query import prepare, sql_of
from plinth.features.rows import given_rows
from plinth.profile import Profile
from tests.plinth.features.shop import FeatureShop, Sale, declaration

AT = datetime(2024, 3, 4)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_PROFILE = Profile(cpu=1, memory=256 * 2**20, threads=2)
_VIEW = FeatureViews.model_validate(declaration()).views["buyer"].model_copy(update={"name": "buyer"})


def sale(line: int, who: int, at: datetime, *, known: datetime | None = None, value: float = 1.0) -> Sale:
    return (line, who, "a", value, at, known or at)


def one(shop: FeatureShop, at: datetime, who: int) -> dict[str, object] | None:
    found = snapshot(shop.lakehouse, shop.views.view("buyer"), at, entity={"who": who}).to_pylist()
    assert len(found) <= 1
    return found[0] if found else None


def test_what_happens_at_the_very_instant_does_not_count(shop: FeatureShop) -> None:
    shop.sell([sale(1, 1, AT - DAY), sale(2, 1, AT), sale(3, 2, AT)])
    found = one(shop, AT, 1)
    assert found is not None and found["orders"] == 1
    assert one(shop, AT, 2) is None, "someone whose only sale is at the instant has no history yet"
    later = one(shop, AT + timedelta(microseconds=1), 1)
    assert later is not None and later["orders"] == 2


def test_what_was_known_at_the_instant_or_later_does_not_count(shop: FeatureShop) -> None:
    shop.sell([sale(1, 1, AT - 9 * DAY), sale(2, 1, AT - 3 * DAY, known=AT), sale(3, 1, AT - 2 * DAY, known=AT + HOUR)])
    found = one(shop, AT, 1)
    assert found is not None
    assert (found["orders"], found["idle_days"], found["known_at"]) == (1, 9.0, AT - 9 * DAY)
    later = one(shop, AT + 2 * HOUR, 1)
    assert later is not None and later["orders"] == 3


def test_a_row_without_a_time_never_counts(shop: FeatureShop) -> None:
    rows = [sale(1, 1, AT - DAY), (2, 1, "a", 1.0, None, AT - DAY), (3, 1, "a", 1.0, AT - DAY, None)]
    shop.sell(rows)  # type: ignore[arg-type]
    found = one(shop, AT, 1)
    assert found is not None and found["orders"] == 1


def test_a_windows_edge_counts_and_what_is_older_does_not_and_a_default_stands_where_nothing_is_left(
    shop: FeatureShop,
) -> None:
    shop.sell([sale(1, 1, AT - 7 * DAY), sale(2, 2, AT - 7 * DAY - timedelta(microseconds=1))])
    inside, outside = one(shop, AT, 1), one(shop, AT, 2)
    assert inside is not None and inside["recent"] == 1
    assert outside is not None and outside["recent"] == 0 and outside["orders"] == 1


def test_everything_that_is_held_counts_now(shop: FeatureShop) -> None:
    shop.sell([sale(1, 1, AT), sale(2, 1, AT - DAY, known=AT + DAY)])
    now = now_of(shop.lakehouse, shop.views.view("buyer"))
    found = one(shop, now, 1)
    assert found is not None and found["orders"] == 2
    assert now == AT + DAY + timedelta(microseconds=1)


def test_an_entity_column_that_does_not_exist_is_refused(shop: FeatureShop) -> None:
    shop.sell([sale(1, 1, AT)])
    with pytest.raises(FeatureViewError, match="no key column"):
        snapshot(shop.lakehouse, shop.views.view("buyer"), AT, entity={"whom": 1})


def test_a_value_that_looks_like_sql_is_only_a_value(shop: FeatureShop) -> None:
    values = declaration()
    buyer = values["views"]["buyer"]
    buyer["entity"] = {"item": {"type": "string", "description": "Item."}}
    buyer["sources"]["sales"]["scope"] = ["item"]
    shop.declare(values)
    shop.sell([(1, 1, "$as_of' OR true --", 1.0, AT - DAY, AT - DAY), (2, 1, "b", 1.0, AT - DAY, AT - DAY)])
    view = shop.views.view("buyer")
    assert snapshot(shop.lakehouse, view, AT, entity={"item": "$as_of' OR true --"}).num_rows == 1
    assert snapshot(shop.lakehouse, view, AT, entity={"item": "' OR true --"}).num_rows == 0


@dataclass(frozen=True)
class Event:
    who: int
    value: Decimal
    event_time: datetime
    known_time: datetime


# Few instants, close together, so that equal times, late rows and windows' edges are met often.
_moments = st.integers(0, 24).map(lambda step: AT + step * timedelta(hours=12))
_events = st.lists(
    st.builds(
        lambda who, cents, at, delay: Event(who, Decimal(cents) / 100, at, at + delay * timedelta(hours=12)),
        st.integers(1, 3),
        st.integers(-500, 100_000),
        _moments,
        st.sampled_from([0, 0, 0, 1, 5, 30]),
    ),
    max_size=14,
)


def table(events: list[Event]) -> pa.Table:
    return pa.table(
        {
            "who": pa.array([event.who for event in events], pa.int64()),
            "item": pa.array(["a"] * len(events), pa.string()),
            "value": pa.array([event.value for event in events], pa.decimal128(18, 4)),
            "event_time": pa.array([event.event_time for event in events], pa.timestamp("us")),
            "known_time": pa.array([event.known_time for event in events], pa.timestamp("us")),
        }
    )


def by_hand(events: list[Event], at: datetime) -> dict[int, dict[str, object]]:
    """The features of the view `buyer`, worked out event by event."""
    counting = [event for event in events if event.event_time < at and event.known_time < at]
    found: dict[int, dict[str, object]] = {}
    for who in {event.who for event in counting}:
        mine = [event for event in counting if event.who == who]
        ages = [(at - event.event_time) / DAY for event in mine]
        weighted = sum(event.value * round(Decimal(exp(-age / 14)), 12) for event, age in zip(mine, ages, strict=True))
        found[who] = {
            "orders": len(mine),
            "spent": float(sum(event.value for event in mine)),
            "spent_decay": pytest.approx(float(weighted), abs=1e-8),
            "idle_days": pytest.approx(min(ages)),
            "recent": sum(age <= 7 for age in ages),
            "known_at": max(event.known_time for event in mine),
        }
    return found


def offline(view: FeatureView, events: list[Event], at: datetime) -> dict[int, dict[str, object]]:
    con = connect(_PROFILE)
    prepare(con)
    rows = con.execute(sql_of(view, given_rows(con, view, {"sales": table(events)}), at)).to_arrow_table().to_pylist()
    con.close()
    return {row["who"]: row for row in rows}


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(_events, _moments)
def test_any_events_give_what_working_them_out_by_hand_gives_and_online_is_offline(
    events: list[Event], at: datetime
) -> None:
    found, wanted = offline(_VIEW, events, at), by_hand(events, at)
    assert found.keys() == wanted.keys()
    for who in (1, 2, 3):
        own = {"sales": table([event for event in events if event.who == who])}
        online = values_of(_VIEW, own, at, {"who": who})
        if who not in wanted:
            assert online is None
            continue
        assert {name: found[who][name] for name in wanted[who]} == wanted[who]
        assert online == {name: found[who][name] for name in _VIEW.features}, (
            "online and offline are equal to the last digit"
        )


def test_rows_in_memory_of_an_unknown_source_or_without_a_column_are_refused() -> None:
    with pytest.raises(FeatureViewError, match="no source 'sale'"):
        values_of(_VIEW, {"sale": table([])}, AT, {"who": 1})
    with pytest.raises(FeatureViewError, match="no rows are given for the source sales"):
        values_of(_VIEW, {}, AT, {"who": 1})
    with pytest.raises(FeatureViewError, match="lack columns"):
        values_of(_VIEW, {"sales": table([]).drop(["value"])}, AT, {"who": 1})


def test_an_entitys_events_come_from_the_lakehouse_narrowed_to_it(shop: FeatureShop) -> None:
    shop.sell([sale(number, number % 5, AT - number * HOUR) for number in range(1, 50)])
    view = shop.views.view("buyer")
    events = events_of(shop.lakehouse, view, AT, {"who": 2})
    assert set(events["sales"]["who"].to_pylist()) == {2}
    found = one(shop, AT, 2)
    assert found is not None
    assert values_of(view, events, AT, {"who": 2}) == {name: found[name] for name in view.features}
