"""The money of a contact is what its formula says; a plan has offers to hand out on any day."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from plinth.promote import PlanImpossible, PlanTerms
from plinth.promote.offers import margin_share, offer_money, order_values, plannable_offers, unpriced_offers
from tests.plinth.promote.worlds import AT_ORDERS, DAY, offers, orders_in

TERMS = PlanTerms(margin=0.5, contact_cost={"email": 0.1, "post": 1.0}, shipping_cost=4.0)


def _row(promotion: int, channel: str, uplift: float = 0.2, redemption: float = 0.3, value: float = 50.0) -> pa.Table:
    columns = {"customer_no": [1], "promotion_id": [promotion], "channel": [channel]}
    return pa.table(columns | {"uplift": [uplift], "redemption": [redemption], "order_value": [value]})


@pytest.mark.parametrize(
    ("promotion", "channel", "value", "offer"),
    [
        (1, "email", 50.0, 5.0),  # 10 % of the order
        (2, "post", 50.0, 2.0),  # GBP 2 off
        (2, "post", 1.5, 1.5),  # but never more than the order
        (3, "email", 50.0, 4.0),  # free shipping
    ],
)
def test_profit_is_the_margin_of_the_uplift_less_offer_and_contact(
    promotion: int, channel: str, value: float, offer: float
) -> None:
    money = offer_money(_row(promotion, channel, value=value), offers(None, None, None), TERMS)
    cost = 0.3 * offer + TERMS.contact_cost[channel]
    assert money.gain[0] == pytest.approx(0.2 * value * 0.5)
    assert money.cost[0] == pytest.approx(cost)
    assert money.profit[0] == pytest.approx(0.2 * value * 0.5 - cost)


def test_a_sure_buyer_whom_nothing_moves_costs_money() -> None:
    assert offer_money(_row(1, "email", uplift=0.0, redemption=0.8), offers(None), TERMS).profit[0] < -4


def test_what_the_plan_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(PlanImpossible) as channel:
        offer_money(_row(1, "sms"), offers(None), TERMS)
    assert "sms" in str(channel.value)
    with pytest.raises(PlanImpossible) as promotion:
        offer_money(_row(9, "email"), offers(None), TERMS)
    assert "[9]" in str(promotion.value)


@pytest.mark.parametrize(
    "wrong", [{"margin": 1.2}, {"contact_cost": {"email": -1.0}}, {"contact_limit": -1}, {"total_budget": -5.0}]
)
def test_terms_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PlanImpossible) as refused:
        PlanTerms(**wrong)  # type: ignore[arg-type]
    assert next(iter(wrong)) in str(refused.value)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def _promotions(con: duckdb.DuckDBPyConnection, *rows: tuple[int, str, date, date]) -> None:
    con.execute(
        "CREATE TABLE promotions (promotion_id INTEGER, promotion_type VARCHAR, starts_on DATE, ends_on DATE, promotion_name VARCHAR DEFAULT 'x', "
        "discount_percent DECIMAL(5, 2) DEFAULT 10, discount_amount DECIMAL(5, 2), budget DECIMAL(12, 2) DEFAULT 500, "
        "minimum_value DECIMAL(10, 2))"
    )
    con.executemany(
        "INSERT INTO promotions (promotion_id, promotion_type, starts_on, ends_on) VALUES (?, ?, ?, ?)", list(rows)
    )


def test_running_and_announced_promotions_are_planned(con: duckdb.DuckDBPyConnection) -> None:
    day = timedelta(days=1)
    _promotions(
        con,
        (1, "percent_off", DAY - 30 * day, DAY - day),
        (2, "percent_off", DAY - 5 * day, DAY),
        (3, "free_shipping", DAY + 2 * day, DAY + 9 * day),
    )
    found = plannable_offers(con, "promotions", on=DAY).to_pylist()
    assert [(row["promotion_id"], row["starts_on"], row["ends_on"], row["is_proposal"]) for row in found] == [
        (2, DAY, DAY, False),
        (3, DAY + 2 * day, DAY + 9 * day, False),
    ]


def test_where_none_is_open_the_last_of_each_type_is_proposed_again(con: duckdb.DuckDBPyConnection) -> None:
    day = timedelta(days=1)
    _promotions(
        con,
        (1, "percent_off", DAY - 60 * day, DAY - 50 * day),
        (2, "percent_off", DAY - 30 * day, DAY - 20 * day),
        (3, "free_shipping", DAY - 90 * day, DAY - 83 * day),
    )
    found = plannable_offers(con, "promotions", on=DAY).to_pylist()
    assert [(row["promotion_id"], row["starts_on"], row["ends_on"], row["is_proposal"]) for row in found] == [
        (2, DAY, DAY + 10 * day, True),
        (3, DAY, DAY + 7 * day, True),
    ]
    assert found[0]["budget"] == 500


@pytest.mark.parametrize(
    "what",
    ["promotion_type = 'unknown'", "discount_percent = NULL", "discount_percent = 0", "promotion_type = 'amount_off'"],
)
def test_a_promotion_whose_cost_nobody_knows_is_left_out_and_named(con: duckdb.DuckDBPyConnection, what: str) -> None:
    day = timedelta(days=1)
    _promotions(con, (1, "percent_off", DAY - day, DAY + day), (2, "percent_off", DAY - day, DAY + day))
    con.execute(f"UPDATE promotions SET {what} WHERE promotion_id = 1")
    assert plannable_offers(con, "promotions", on=DAY)["promotion_id"].to_pylist() == [2]
    (named,) = unpriced_offers(con, "promotions", on=DAY)
    assert named.startswith("1 x (")
    con.execute("UPDATE promotions SET ends_on = starts_on")
    assert unpriced_offers(con, "promotions", on=DAY) == ()
    assert plannable_offers(con, "promotions", on=DAY)["promotion_id"].to_pylist() == [2], "nor is it repeated"


@pytest.mark.parametrize(("value", "offer"), [(14.9, 0.0), (15.0, 4.0)])
def test_an_order_below_the_minimum_redeems_nothing(value: float, offer: float) -> None:
    three = offers(None, None, None)
    place = three.column_names.index("minimum_value")
    three = three.set_column(place, "minimum_value", pa.array([None, None, 15.0], pa.float64()))
    money = offer_money(_row(3, "email", value=value), three, TERMS)
    assert money.cost[0] == pytest.approx(0.3 * offer + TERMS.contact_cost["email"])


def test_a_customers_order_value_is_his_own_the_more_he_ordered_and_knows_no_later_order(
    con: duckdb.DuckDBPyConnection,
) -> None:
    often = [(1, f"a{n}", AT_ORDERS - timedelta(days=n + 1), 200.0) for n in range(40)]
    once = [(2, "b", AT_ORDERS - timedelta(days=1), 200.0)]
    rest = [(9 + n, f"c{n}", AT_ORDERS - timedelta(days=3), 20.0) for n in range(40)]
    orders_in(con, [*often, *once, *rest])
    values = dict(
        zip(
            *(order_values(con, "orders", at=AT_ORDERS)[n].to_pylist() for n in ("customer_no", "order_value")),
            strict=True,
        )
    )
    assert values[9] < values[2] < values[1]
    orders_in(con, [*often, *once, *rest, (2, "later", AT_ORDERS, 9000.0)])
    assert order_values(con, "orders", at=AT_ORDERS).num_rows == 42
    again = order_values(con, "orders", at=AT_ORDERS)
    assert np.allclose(again["order_value"].to_numpy(), list(values.values()))


def test_the_margin_is_read_from_goods_whose_cost_is_known(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE goods (cost_price DECIMAL(12, 4), average_price DECIMAL(12, 4), units_sold BIGINT)")
    assert margin_share(con, "goods") is None
    con.execute("INSERT INTO goods VALUES (1, 2, 30), (3, 4, 10), (NULL, 9, 99), (5, 9, 0)")
    assert margin_share(con, "goods") == pytest.approx(1 - (30 + 30) / (60 + 40))


def test_a_company_may_have_nothing_proposed_that_nobody_announced(con: duckdb.DuckDBPyConnection) -> None:
    day = timedelta(days=1)
    _promotions(con, (1, "percent_off", DAY - 60 * day, DAY - 50 * day))
    assert plannable_offers(con, "promotions", on=DAY, propose_repeats=False).num_rows == 0
    con.execute("INSERT INTO promotions VALUES (2, 'percent_off', $1, $1, 'x', 10, NULL, 500, NULL)", [DAY])
    assert plannable_offers(con, "promotions", on=DAY, propose_repeats=False)["promotion_id"].to_pylist() == [2]
