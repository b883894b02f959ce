"""The shipped feature views over a sample warehouse: what was booked late or corrected later is not known before, in any of them."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from plinth.features import load_views, snapshot
from plinth.features.store import materialise, refresh
from plinth.sample import SampleSpec, advance, write_sample

from .conftest import ROOT, House, make_house

pytestmark = pytest.mark.slow

VIEWS = load_views(ROOT / "feature_views.yaml")
# The sample's last day is Thursday, the 29th of August 2024.
WEEKS = [date(2024, 8, 12), date(2024, 8, 19), date(2024, 8, 26)]
MONDAY, STAMP, AFTERWARDS = datetime(2024, 8, 26), "2024-08-29 23:50:00", datetime(2024, 8, 30)


def sampled(folder: Path, customers: int) -> House:
    """A sample warehouse of four months, and silver and gold of it."""
    made = make_house(folder)
    write_sample(made.url, SampleSpec(customers=customers, days=121))
    made.load()
    made.build()
    return made


@pytest.fixture
def house(tmp_path: Path) -> House:
    return sampled(tmp_path, 250)


def change(house: House, statement: str, *values: object) -> None:
    """Changes the legacy warehouse, and brings the lakehouse up to it."""
    with sqlite3.connect(house.folder / "erp.sqlite") as con:
        assert con.execute(statement, values).rowcount == 1
    house.load()
    house.build()


def rows(house: House, view: str, at: datetime, **entity: int | str) -> dict[tuple[object, ...], dict[str, Any]]:
    """A view's features at an instant by their keys."""
    found = snapshot(house.lakehouse, VIEWS.view(view), at, entity=entity or None).to_pylist()
    return {tuple(row[key] for key in VIEWS.view(view).keys): row for row in found}


def a_line(house: House) -> tuple[int, int, str]:
    """A line of a sale of one piece or more before the Monday: its number, customer and item."""
    found = house.one(
        "SELECT line_id, customer_no, item_code FROM {silver/invoice_lines} WHERE line_type = 'sale' AND item_kind = 'goods' "
        "AND customer_no IS NOT NULL AND copies = 1 AND known_at < TIMESTAMP '2024-08-20' ORDER BY line_id DESC LIMIT 1"
    )
    return found  # type: ignore[return-value]


def test_no_view_knows_of_a_line_before_it_was_booked(house: House) -> None:
    _, customer, _ = a_line(house)
    before = {view: rows(house, view, MONDAY) for view in VIEWS.views}
    item = house.one("SELECT min(item_code) FROM {silver/invoice_lines} WHERE line_type = 'sale'")[0]
    change(
        house,
        "INSERT INTO INVLINE (LINEID, INVNO, ITEMNO, DESCR, QTY, INVTS, UNITPR, CUSTNO, CNTRY, UPDTS) "
        "VALUES (90000001, '990001', ?, 'A LANTERN', 7, '2024-08-21 10:00:00', 2.5, ?, 'United Kingdom', ?)",
        *(item, customer, STAMP),
    )
    assert {view: rows(house, view, MONDAY) for view in VIEWS.views} == before
    told = rows(house, "customer", AFTERWARDS, customer_no=customer)[(customer,)]
    assert told["orders"] == before["customer"][(customer,)]["orders"] + 1
    # It happened on the day that its invoice says, however late it became known.
    assert 8 < told["days_since_order"] < 9
    assert rows(house, "customer_item", AFTERWARDS, customer_no=customer)[(customer, item)]["pieces"] >= 7
    assert rows(house, "item", AFTERWARDS)[(item,)]["orders"] > before["item"].get((item,), {"orders": 0})["orders"]


def test_a_correction_counts_from_when_it_was_made_and_no_view_learns_of_it_before(house: House) -> None:
    line, _, item = a_line(house)
    before = {view: rows(house, view, MONDAY) for view in VIEWS.views}
    change(house, "UPDATE INVLINE SET QTY = 5000, UPDTS = ? WHERE LINEID = ?", STAMP, line)
    for view, held in before.items():
        assert _more(held, rows(house, view, MONDAY)) == []
    pieces = "pieces_90d"
    assert rows(house, "item", AFTERWARDS)[(item,)][pieces] >= 5000 > before["item"][(item,)][pieces]


def test_days_of_changes_teach_no_snapshot_of_the_past_anything(tmp_path: Path) -> None:
    house = sampled(tmp_path, 900)
    before = {view: rows(house, view, MONDAY) for view in VIEWS.views}
    for view in VIEWS.views:
        materialise(house.lakehouse, VIEWS, view, WEEKS)
    advance(house.url, 5)
    house.load()
    house.build()
    late = house.one(
        "SELECT count(*) FROM {silver/invoice_lines} WHERE invoiced_at < TIMESTAMP '2024-08-26' AND known_at > TIMESTAMP '2024-08-30' "
        "AND line_type = 'sale' AND customer_no IS NOT NULL"
    )
    assert late[0], "nothing was booked late or corrected, so nothing was proved"
    for view, held in before.items():
        assert _more(held, rows(house, view, MONDAY)) == []
        # The snapshots that were kept are what the instants give now, by way of the changed rows alone.
        refresh(house.lakehouse, VIEWS, view)
        made = rows(house, view, MONDAY)
        again = materialise(house.lakehouse, VIEWS, view, WEEKS)
        assert [each.changed for each in again.snapshots] == [False, False, False]
        assert len(made) == again.snapshots[-1].rows


def _more(
    before: dict[tuple[object, ...], dict[str, Any]], after: dict[tuple[object, ...], dict[str, Any]]
) -> list[object]:
    """Entities that are new, or of which more is counted than before."""
    counts = [
        name
        for name in ("orders", "items", "value", "pieces", "pieces_90d", "customers")
        if name in next(iter(before.values()))
    ]
    return [
        key for key, row in after.items() if key not in before or any(row[name] > before[key][name] for name in counts)
    ]
