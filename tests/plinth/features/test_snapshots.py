"""Weekly snapshots: what is due is made, what changes do not reach is left alone, one commit replaces a partition."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from plinth.features import FeatureViewError, now_of
from plinth.features.skew import measure_skew
from plinth.features.store import materialise, refresh
from plinth.features.verify import Part, verify
from plinth.stale import stale_tables
from tests.plinth.features.shop import FeatureShop, Sale, declaration
from tests.plinth.features.test_clocks import sale

pytestmark = pytest.mark.slow

MONDAY = date(2024, 3, 4)
WEEKS = [MONDAY - timedelta(weeks=number) for number in (3, 2, 1, 0)]
TODAY = date(2024, 3, 6)
START = datetime(2024, 1, 3)


def daily(days: int = 62) -> list[Sale]:
    """A sale a day from the third of January on, until the fourth of March with 62."""
    return [sale(number, number % 3, START + timedelta(days=number), value=number + 0.25) for number in range(days)]


def files(shop: FeatureShop) -> dict[date, set[str]]:
    found: dict[date, set[str]] = {}
    for file in shop.features().files:
        found.setdefault(date.fromisoformat(str(file.partition["snapshot_date"])), set()).add(file.path)
    return found


def make(shop: FeatureShop, today: date = TODAY) -> list[date]:
    """Refreshes and gives the Mondays that got other rows."""
    done = refresh(shop.lakehouse, shop.views, "buyer", today=today)
    return [snapshot.monday for snapshot in done.snapshots if snapshot.changed]


def test_a_refresh_makes_the_newest_weeks_and_each_is_what_the_instant_gives(shop: FeatureShop) -> None:
    shop.sell(daily())
    assert make(shop) == WEEKS
    rows = shop.rows()
    assert {row["as_of"] for row in rows} == {datetime.combine(day, datetime.min.time()) for day in WEEKS}
    newest = [row for row in rows if row["snapshot_date"] == MONDAY]
    assert sum(row["orders"] for row in newest) == 61, "the sale at the Monday's first moment or later is not in it"
    assert all(row["known_at"] < row["as_of"] for row in rows)


def test_a_snapshot_that_is_made_anew_replaces_a_damaged_file(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    before = shop.rows()
    (file,) = (each for each in shop.features().files if str(each.partition["snapshot_date"]) == str(MONDAY))
    Path(file.uri).write_bytes(Path(file.uri).read_bytes()[:100])
    made = materialise(shop.lakehouse, shop.views, "buyer", [MONDAY, WEEKS[0]])
    assert [each.changed for each in made.snapshots] == [False, True], "the other one is as it was"
    assert shop.rows() == before


def test_no_week_before_the_first_row_or_after_the_last_is_made(shop: FeatureShop) -> None:
    shop.sell(daily(14))  # until the sixteenth of January: what happens before the Monday after it, nobody knows yet
    assert make(shop) == [date(2024, 1, 8), date(2024, 1, 15)]


def test_a_row_of_the_future_by_the_wall_clock_makes_no_weeks_up_to_it(shop: FeatureShop) -> None:
    shop.sell([*daily(14), sale(1000, 1, datetime(2204, 1, 9))])
    assert make(shop) == [date(2024, 1, 8), date(2024, 1, 15)]
    assert now_of(shop.lakehouse, shop.views.view("buyer")) == START + timedelta(days=13, microseconds=1)


def test_rows_that_are_planned_ahead_do_not_say_how_far_the_data_reach(shop: FeatureShop) -> None:
    values = declaration()
    sources = values["views"]["buyer"]["sources"]
    sources["sales"]["where"] = "item <> 'PLANNED'"
    sources["plans"] = {**sources["sales"], "where": "item = 'PLANNED'", "ahead": True}
    values["views"]["buyer"]["features"]["plans"] = {
        "from": "plans", "expression": "count(*)", "type": "long", "default": 0, "description": "Plans.",
    }  # fmt: skip
    shop.declare(values)
    planned = [(2000 + number, 1, "PLANNED", 0.0, at, at) for number, at in enumerate([START, datetime(2024, 1, 30)])]
    shop.sell([*daily(14), *planned])
    assert make(shop) == [date(2024, 1, 8), date(2024, 1, 15)]
    assert now_of(shop.lakehouse, shop.views.view("buyer")) == START + timedelta(days=13, microseconds=1)
    assert [row["plans"] for row in shop.rows() if row["who"] == 1] == [1, 1]


def test_a_view_without_any_row_yet_is_an_empty_table_and_not_a_failure(shop: FeatureShop) -> None:
    shop.sell([])
    done = refresh(shop.lakehouse, shop.views, "buyer", today=TODAY)
    assert (done.there, done.version.rows) == ((), 0)
    assert all(finding.broken == 0 for finding in verify(shop.lakehouse, shop.views.view("buyer")))
    assert measure_skew(shop.lakehouse, shop.views.view("buyer")).entities == 0
    shop.sell(daily(14))
    assert make(shop) == [date(2024, 1, 8), date(2024, 1, 15)]


def test_a_refresh_with_nothing_new_commits_nothing(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    before = shop.features().version
    done = refresh(shop.lakehouse, shop.views, "buyer", today=TODAY)
    assert (done.snapshots, shop.features().version) == ((), before)


def test_new_rows_after_a_snapshot_leave_it_alone_and_a_new_week_is_made_when_it_comes(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    before, content = files(shop), shop.features().content
    shop.sell(daily(66))
    assert make(shop) == []
    assert files(shop) == before
    assert shop.features().content == content, "nothing downstream starts"
    assert stale_tables(shop.lakehouse, {shop.features().id: shop.views.view("buyer").fingerprint}) == {}
    shop.sell(daily(69))
    assert make(shop, MONDAY + timedelta(days=8)) == [MONDAY + timedelta(weeks=1)]
    assert {day: files(shop)[day] for day in before} == before


def test_a_late_row_reaches_the_snapshots_from_the_moment_on_at_which_it_was_known(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    before = files(shop)
    late = sale(1000, 1, datetime(2024, 1, 9), known=datetime(2024, 2, 22))
    shop.sell([*daily(), late])
    assert make(shop) == WEEKS[2:], "the snapshots of weeks that did not know of it are as they were"
    assert {day: files(shop)[day] for day in WEEKS[:2]} == {day: before[day] for day in WEEKS[:2]}


def test_a_changed_column_that_the_view_does_not_use_reaches_no_snapshot(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    shop.sell(daily(), notes=["cancelled later"] * 62)
    done = refresh(shop.lakehouse, shop.views, "buyer", today=TODAY)
    assert done.snapshots == ()
    assert done.reason == "no row that counts there changed"
    assert stale_tables(shop.lakehouse, {shop.features().id: shop.views.view("buyer").fingerprint}) == {}


def test_a_removed_row_reaches_every_snapshot_that_counted_it(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    gone = 40  # of the twelfth of February
    shop.sell([row for row in daily() if row[0] != gone])
    assert make(shop) == [day for day in WEEKS if day > date(2024, 2, 12)]


def test_a_partition_made_again_is_replaced_by_one_commit_and_left_alone_where_it_is_the_same(
    shop: FeatureShop,
) -> None:
    shop.sell(daily())
    make(shop)
    before, version = files(shop), shop.features().version
    materialise(shop.lakehouse, shop.views, "buyer", [WEEKS[1]])
    assert (files(shop), shop.features().version) == (before, version)
    late = sale(1000, 1, datetime(2024, 1, 9))
    shop.sell([*daily(), late])
    done = materialise(shop.lakehouse, shop.views, "buyer", [WEEKS[1]])
    assert [(each.monday, each.changed) for each in done.snapshots] == [(WEEKS[1], True)]
    assert shop.features().version == version + 1
    after = files(shop)
    assert {day for day in after if after[day] != before[day]} == {WEEKS[1]}
    assert make(shop) == [WEEKS[0], WEEKS[2], WEEKS[3]], "what the backfill did not make is still due"


def test_a_refresh_can_be_asked_for_a_week_besides(shop: FeatureShop) -> None:
    shop.sell(daily(14))
    done = refresh(shop.lakehouse, shop.views, "buyer", today=TODAY, also=[MONDAY])
    assert [snapshot.monday for snapshot in done.snapshots] == [date(2024, 1, 8), date(2024, 1, 15), MONDAY]


def test_a_backfill_of_many_weeks_is_one_commit(shop: FeatureShop) -> None:
    shop.sell(daily())
    weeks = [date(2024, 1, 8) + timedelta(weeks=number) for number in range(9)]
    materialise(shop.lakehouse, shop.views, "buyer", weeks)
    assert shop.features().version == 0
    assert sorted(files(shop)) == weeks


def test_a_day_that_is_no_monday_is_refused(shop: FeatureShop) -> None:
    shop.sell(daily())
    with pytest.raises(FeatureViewError, match="no snapshots of a Tuesday"):
        materialise(shop.lakehouse, shop.views, "buyer", [date(2024, 3, 5)])


def test_another_expression_makes_every_snapshot_anew(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    values = declaration()
    values["views"]["buyer"]["features"]["spent"]["expression"] = "sum(value) * 2"
    shop.declare(values)
    assert stale_tables(shop.lakehouse, {shop.features().id: shop.views.view("buyer").fingerprint}) == {
        shop.features().id: "its code changed"
    }
    assert make(shop) == WEEKS
    assert make(shop) == []


@pytest.mark.parametrize("change", ["added", "removed", "retyped", "moved"])
def test_another_shape_is_taken_on_by_all_snapshots_also_when_one_is_asked_for(shop: FeatureShop, change: str) -> None:
    shop.sell(daily())
    make(shop)
    values = declaration()
    features = values["views"]["buyer"]["features"]
    if change == "added":
        features["largest"] = {"from": "sales", "expression": "max(value)", "description": "The largest."}
    elif change == "removed":
        del features["idle_days"]
    elif change == "retyped":
        features["orders"]["type"] = "double"
    else:
        values["views"]["buyer"]["features"] = dict(reversed(features.items()))
    shop.declare(values)
    materialise(shop.lakehouse, shop.views, "buyer", [MONDAY])
    rows = shop.rows()
    assert set(rows[0]) == {"who", "snapshot_date", "as_of", "known_at", *shop.views.view("buyer").features}
    assert {row["snapshot_date"] for row in rows} == set(WEEKS)
    assert all(row["largest"] is not None for row in rows) if change == "added" else True
    make(shop)
    version = shop.features().version
    assert make(shop) == []
    assert shop.features().version == version, "the table has settled"


def test_a_good_table_passes_every_look_and_equals_the_online_values(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    view = shop.views.view("buyer")
    assert {finding.part: finding.broken for finding in verify(shop.lakehouse, view)} == {
        Part.SCHEMA: 0,
        Part.KEYS: 0,
        Part.CLOCKS: 0,
    }
    skew = measure_skew(shop.lakehouse, view)
    assert (skew.entities, skew.values, skew.differences) == (3, 15, ())


def test_the_skew_shows_when_a_snapshot_is_not_what_the_online_path_gives(shop: FeatureShop) -> None:
    shop.sell(daily())
    make(shop)
    shop.sell([row for row in daily() if row[0] != 40])
    skew = measure_skew(shop.lakehouse, shop.views.view("buyer"))
    assert {each.feature for each in skew.differences} == {"orders", "spent", "spent_decay"}
    assert {each.entity["who"] for each in skew.differences} == {40 % 3}
    assert skew.worst > 0


def test_the_skew_shows_a_scope_that_leaves_out_rows_that_count(shop: FeatureShop) -> None:
    values = declaration()
    buyer = values["views"]["buyer"]
    buyer["queries"] = {"shares": "SELECT sales.*, sum(value) OVER () AS everyone FROM sales"}
    buyer["features"]["share"] = {
        "from": "shares",
        "expression": "sum(value) / max(everyone)",
        "description": "Of all.",
    }
    shop.declare(values)
    shop.sell(daily())
    make(shop)
    skew = measure_skew(shop.lakehouse, shop.views.view("buyer"))
    assert {each.feature for each in skew.differences} == {"share"}


def test_lineage_and_classification_come_from_the_columns_that_a_feature_is_made_from(shop: FeatureShop) -> None:
    shop.sell(daily())
    done = refresh(shop.lakehouse, shop.views, "buyer", today=TODAY)
    assert done.lineage["spent"] == [("silver/sales", "value")]
    assert done.lineage["who"] == [("silver/sales", "who")]
    assert ("silver/sales", "happened") in done.lineage["idle_days"]
