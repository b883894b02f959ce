"""The recommender's round knows of the judged window nothing but what was bought in it: what became known in it or later changes no figure."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from plinth.engine import connect
from plinth.lakehouse.tables import TableId
from plinth.recommend import events_from_lakehouse, items_from_lakehouse
from plinth.training.target import Desk
from tests.plinth.training.shop import FIRST, SMALL, Shop, shop_in

DAYS = 240
UNTIL = datetime(FIRST.year, FIRST.month, FIRST.day) + timedelta(days=DAYS)
START = UNTIL - timedelta(days=SMALL.settings.window_days)
CATALOG, INTERACTIONS, LINES = (
    TableId("gold", "item_catalog"),
    TableId("gold", "interactions"),
    TableId("silver", "invoice_lines"),
)


def in_hindsight(shop: Shop) -> None:
    """Tells the tables what nobody knew at the window's start: ends of sale, prices, texts, cancellations."""
    con = connect(shop.platform.profile(), extensions=("delta",), scratch=shop.platform.path("scratch"))
    con.execute(f"CREATE TEMP TABLE catalog AS FROM {shop.lakehouse.open(CATALOG).scan}")
    con.execute(f"CREATE TEMP TABLE bought AS FROM {shop.lakehouse.open(INTERACTIONS).scan}")
    ended = "item_code[-1] < '5'"
    shop.write(
        CATALOG,
        "SELECT * REPLACE ((9 * list_price)::DECIMAL(10, 2) AS list_price, 99::DECIMAL(12, 4) AS average_price, "
        f"'SOLD OUT ' || item_code AS description, CASE WHEN {ended} THEN 'discontinued' ELSE 'active' END AS status, "
        f"CASE WHEN {ended} THEN DATE '{START + timedelta(days=3)}' END AS discontinued_on) FROM catalog",
        con,
    )
    shop.write(INTERACTIONS, f"FROM bought WHERE line_id % 5 <> 0 OR bought_at >= DATE '{START}'", con)
    con.close()


def desk(shop: Shop) -> Desk:
    versions = {str(table): shop.lakehouse.open(table) for table in SMALL.inputs}
    return Desk(shop.lakehouse, versions, shop.platform.profile(), shop.platform.path("scratch"), seed=1)


@pytest.mark.slow
def test_what_became_known_in_the_window_changes_no_figure_of_the_round(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    shop.trade(DAYS)
    first = SMALL.open(desk(shop))
    trained = first.train()
    trained.save(tmp_path / "first")
    in_hindsight(shop)
    later = SMALL.open(desk(shop))
    assert later.until == UNTIL
    assert later.train().metrics == trained.metrics
    assert later.value_of(tmp_path / "first") == first.value_of(tmp_path / "first") is not None
    unsellable = later.items[UNTIL].column("sellable").to_pylist().count(False)
    assert (unsellable, later.items[START].column("sellable").to_pylist().count(False)) == (30, 0)


def test_items_are_what_their_lines_said_by_then_and_the_catalogue_counts_today(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    shop.trade(60)
    sold = datetime(2023, 2, 10, 12)
    rows = {
        "early": ("CUP, RED", 2, sold, sold),
        "cut": ("CUP, SALE", 1, sold + timedelta(days=5), sold + timedelta(days=5)),
        "late": ("CUP, LATE", 90, sold, sold + timedelta(days=9)),
    }
    values = ", ".join(
        f"({number}, '{basket}', 1000, 'I000', 'sale', 'goods', 1, {price}, TIMESTAMP '{at}', TIMESTAMP '{known}', '{text}')"
        for number, (basket, (text, price, at, known)) in enumerate(rows.items())
    )
    shop.write(
        LINES,
        f"SELECT * FROM (VALUES {values}) t(line_id, invoice_no, customer_no, item_code, line_type, item_kind, quantity, unit_price, "
        "invoiced_at, known_at, description)",
    )
    con = connect(shop.platform.profile(), extensions=("delta",), scratch=shop.platform.path("scratch"))

    def at(days: int) -> tuple[dict[str, object], set[str]]:
        moment = sold + timedelta(days=days, hours=1)
        item = items_from_lakehouse(con, shop.lakehouse, moment).slice(0, 1).to_pylist()[0]
        return item, set(events_from_lakehouse(con, shop.lakehouse, moment)["basket"].to_pylist())

    red = {"item": "I000", "description": "CUP, RED", "price": 2.0, "sellable": True}
    assert at(1) == (red, {"early"})
    assert at(5) == (red | {"description": "CUP, SALE", "price": 1.5}, {"early", "cut"})
    assert at(9)[1] == {"early", "cut", "late"}
    assert at(99)[0] == red | {"description": "ITEM A OF KIND 0"}, (
        "the median of 1, 2 and 90, and the catalogue's own text"
    )
    con.close()
