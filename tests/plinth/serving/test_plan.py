"""The promotion plan in the lakehouse and in the store: by a real uplift, for those who consent, and not made twice."""

from __future__ import annotations

import json
import random
from datetime import date, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from plinth.engine import connect
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import TableId
from plinth.promote import UpliftSettings, train_uplift
from plinth.promote.learners import LINEAR
from plinth.promote.trial import Shop as TrialShop
from plinth.promote.trial import trial_rows
from plinth.promote.uplift import Candidate
from plinth.promotion_settings import Promotions
from plinth.serving.champion import UPLIFT
from plinth.serving.examine import without_consent
from plinth.serving.plan import CONTACTS, PROMOTIONS, _day, _open, make_promotion_plan, served_policy
from plinth.serving.plan import INPUTS as TABLES
from plinth.serving.policy import BY_AVERAGE, BY_UPLIFT, NOBODY
from plinth.serving.publish import publish
from plinth.serving.sample import compare
from tests.plinth.serving.shop import Shop
from tests.plinth.serving.test_tables import rows

pytestmark = pytest.mark.slow

CUSTOMERS = 240
START = date(2024, 1, 1)
CHEAP = UpliftSettings(candidates=(Candidate(LINEAR[0], 0.1),), folds=2, members=3, smallest_arm=20)


def campaigns(shop: Shop, lift: float = 0.0) -> None:
    """Orders, four ended promotions with a hold-out, one that is to come, and customers of whom two thirds consent.

    `lift` is the share of the treated whom the contact makes buy; the other orders know nothing of it.
    """
    chance = random.Random(3)
    orders, contacts = [], []
    for customer in range(CUSTOMERS):
        for visit in range(chance.randint(3, 12)):
            at = datetime(2024, 1, 1) + timedelta(days=chance.uniform(0, 150))
            orders.append(
                (100 + customer, f"{customer}-{visit}", "I001", at, 6, chance.uniform(1, 13), "sale", "goods")
            )
        for promotion in range(1, 5):
            treated, day = chance.random() < 0.7, START + timedelta(days=30 * promotion)
            if treated and chance.random() < lift:
                at = datetime.combine(day + timedelta(days=3), datetime.min.time())
                orders.append((100 + customer, f"{customer}-p{promotion}", "I001", at, 6, 9.0, "sale", "goods"))
            contacts.append(
                (
                    promotion,
                    100 + customer,
                    day,
                    "email",
                    "treatment" if treated else "control",
                    treated and chance.random() < 0.3,
                )
            )
    tables = {
        TableId("silver", "invoice_lines"): (
            orders,
            "customer_no, invoice_no, item_code, invoiced_at, quantity, unit_price, line_type, item_kind",
        ),
        TableId("silver", "campaign_contacts"): (
            contacts,
            "promotion_id, customer_no, contacted_on, channel, trial_group, is_redeemed",
        ),
    }
    for table, (found, names) in tables.items():
        columns = [name.strip() for name in names.split(",")]
        made = pa.table(dict(zip(columns, map(list, zip(*found, strict=True)), strict=True)))
        file = shop.folder / f"{table.name}.parquet"
        duckdb.from_arrow(made).write_parquet(str(file))
        more = (
            ", CASE WHEN is_redeemed THEN contacted_on + 2 END AS redeemed_on, contacted_on + 2 AS known_at"
            if table.name == "campaign_contacts"
            else ", invoiced_at AS known_at"
        )
        shop.write(table, f"SELECT *{more} FROM read_parquet('{file}')")
    shop.write(
        TableId("silver", "customers"),
        "SELECT 100 + i AS customer_no, i % 3 <> 0 AS has_marketing_consent, i % 20 <> 1 AS is_active, true AS has_email, i % 2 = 0 AS has_phone, "
        f"1960 + i % 40 AS birth_year FROM range({CUSTOMERS}) t(i)",
    )
    shop.write(
        TableId("silver", "promotions"),
        "SELECT i AS promotion_id, 'OFFER ' || i AS promotion_name, CASE i % 2 WHEN 0 THEN 'percent_off' ELSE 'amount_off' END AS promotion_type, "
        "CASE i % 2 WHEN 0 THEN 10.0 END::DECIMAL(5, 2) AS discount_percent, CASE i % 2 WHEN 1 THEN 1.0 END::DECIMAL(5, 2) AS discount_amount, "
        "DATE '2024-01-01' + (30 * i)::INTEGER AS starts_on, DATE '2024-01-01' + (30 * i + 13)::INTEGER AS ends_on, 150.0::DECIMAL(12, 2) AS budget, NULL::DECIMAL(10, 2) AS minimum_value "
        "FROM range(1, 6) t(i)",
    )


def learn(shop: Shop) -> None:
    """Trains an uplift on the ended promotions, and makes it the champion."""
    con = connect(shop.platform.profile(), scratch=shop.folder / "scratch")
    _open(con, {table: shop.lakehouse.open(table) for table in TABLES})
    model = train_uplift(
        trial_rows(con, TrialShop(), ended_before=date(2024, 5, 20)), seed=1, threads=1, settings=CHEAP
    )
    con.close()
    model.save(shop.folder / "uplift")
    version = shop.registry.log(
        UPLIFT, files=shop.folder / "uplift", parameters={}, metrics={"qini": 0.1}, plots={}, inputs={}, seed=1
    )
    shop.registry.promote(UPLIFT, version.version)


def test_a_plan_is_made_from_the_champion_served_and_not_made_again(shop: Shop) -> None:
    campaigns(shop)
    learn(shop)
    planned = make_promotion_plan(shop.setting)
    assert planned.summary is not None
    assert planned.served.version.rows == planned.summary.contacts > 0
    assert planned.plots["worth"].startswith(b"\x89PNG")
    assert without_consent(shop.lakehouse).num_rows == 0
    again = make_promotion_plan(shop.setting)
    assert not again.served.computed
    assert again.served.version.version == planned.served.version.version
    with shop.store() as store:
        version = publish(shop.setting, store, keep=2).version
        assert version.documents["promotions"] == planned.summary.customers
        finding = compare(shop.setting, store)
        assert finding.passed
        assert finding.counts["promotions"] == (planned.summary.customers, planned.summary.customers)
        ((customer, promotion, profit),) = rows(
            shop.lakehouse,
            planned.served.version.id,
            "SELECT customer_no, promotion_id, expected_profit FROM t ORDER BY ALL LIMIT 1",
        )
        body = json.loads(store.read("promotions", str(customer)) or b"")
        assert body["customer"] == str(customer)
        assert {"promotion": str(promotion), "expected_profit": profit} in [
            {name: offer[name] for name in ("promotion", "expected_profit")} for offer in body["offers"]
        ]
        assert body["offers"][0]["name"].startswith("OFFER")
        assert body["offers"][0]["starts_on"] >= "2024-05-30"


def test_without_a_champion_the_plan_goes_by_the_mean_effect_where_the_trials_show_one(shop: Shop) -> None:
    campaigns(shop, lift=0.5)
    planned = make_promotion_plan(shop.setting)
    assert planned.policy == BY_AVERAGE and "mean effect 0." in planned.reason
    assert planned.summary is not None and planned.served.version.rows == planned.summary.contacts > 0
    assert served_policy(planned.served.version) == BY_AVERAGE
    ((effects,),) = rows(
        shop.lakehouse, planned.served.version.id, "SELECT corr(uplift, untreated * exp(-untreated)) FROM t"
    )
    assert effects > 0, "one factor for all: who buys more often by himself is moved more, until he is sure to buy"
    assert make_promotion_plan(shop.setting).policy == BY_AVERAGE


def test_without_a_champion_and_without_an_effect_nobody_is_contacted(shop: Shop) -> None:
    campaigns(shop)
    planned = make_promotion_plan(shop.setting)
    assert (planned.policy, planned.summary, planned.served.version.rows) == (NOBODY, None, 0)
    assert "do not show that a contact moves anybody" in planned.reason
    assert served_policy(planned.served.version) == NOBODY
    learn(shop)
    by_hand = make_promotion_plan(shop.setting)
    assert (by_hand.policy, served_policy(by_hand.served.version)) == (BY_UPLIFT, BY_UPLIFT)


def test_the_terms_of_the_platform_are_kept_and_other_terms_are_another_plan(shop: Shop) -> None:
    campaigns(shop, lift=0.5)
    everyone = make_promotion_plan(shop.setting)
    assert everyone.summary is not None and everyone.summary.cost > 20
    shop.platform = shop.platform.model_copy(
        update={"promotions": Promotions(contact_cost={"post": 0.5}, total_budget=20, margin=0.9)}
    )
    frugal = make_promotion_plan(shop.setting)
    assert frugal.served.computed and frugal.summary is not None
    assert 0 < frugal.summary.cost <= 20
    assert rows(shop.lakehouse, frugal.served.version.id, "SELECT DISTINCT channel FROM t") == [("post",)]
    gains = rows(
        shop.lakehouse, frugal.served.version.id, "SELECT max(abs(expected_gain - uplift * order_value * 0.9)) FROM t"
    )
    assert gains[0][0] < 0.001


def test_an_offer_that_nobody_announced_says_so_and_is_left_out_where_the_terms_say_so(shop: Shop) -> None:
    campaigns(shop)
    learn(shop)
    ended = "SELECT * REPLACE (ends_on - 60 AS ends_on, starts_on - 60 AS starts_on) FROM {promotions}"
    shop.write(PROMOTIONS, ended.format(promotions=rows_of(shop.lakehouse.open(PROMOTIONS))))
    repeated = make_promotion_plan(shop.setting)
    assert rows(shop.lakehouse, repeated.served.version.id, "SELECT DISTINCT is_proposal FROM t") == [(True,)]
    with shop.store() as store:
        version = publish(shop.setting, store, keep=2).version
        offers = [
            each for _, body in store.scan("promotions", version=version.id) for each in json.loads(body)["offers"]
        ]
        assert offers and all(each["is_proposal"] is True for each in offers)
        announced = Promotions(propose_repeats=False)
        shop.platform = shop.platform.model_copy(update={"promotions": announced})
        assert make_promotion_plan(shop.setting).served.version.rows == 0
        assert "promotions" not in publish(shop.setting, store, keep=2).version.documents


def test_a_promotion_that_runs_has_only_the_rest_of_its_budget(shop: Shop) -> None:
    campaigns(shop)
    learn(shop)
    untouched = make_promotion_plan(shop.setting).summary
    assert untouched is not None and (untouched.spent, untouched.contacts > 0) == (0, True)
    file = shop.folder / "campaign_contacts.parquet"
    shop.write(
        CONTACTS,
        f"SELECT *, CASE WHEN is_redeemed THEN contacted_on + 2 END AS redeemed_on, contacted_on + 2 AS known_at FROM read_parquet('{file}') UNION ALL "
        "SELECT 5, 100 + i, DATE '2024-05-30', 'email', 'treatment', true, DATE '2024-05-30', DATE '2024-05-30' FROM range(140) t(i)",
    )
    running = make_promotion_plan(shop.setting)
    assert running.summary is not None
    assert running.summary.spent == pytest.approx(140 * (0.02 + 1.0)), "each contact, and a pound for each redemption"
    assert 0 < running.summary.cost <= 150 - running.summary.spent < untouched.cost


def test_an_announced_promotion_of_unknown_cost_is_not_planned_but_told(shop: Shop) -> None:
    campaigns(shop)
    learn(shop)
    promotions = rows_of(shop.lakehouse.open(PROMOTIONS))
    assert make_promotion_plan(shop.setting).left_out == ()
    shop.write(
        PROMOTIONS,
        f"FROM {promotions} UNION ALL SELECT 9, 'RIDDLE', 'unknown', NULL, NULL, DATE '2024-06-01', DATE '2024-06-14', 150, NULL",
    )
    planned = make_promotion_plan(shop.setting)
    assert planned.left_out == ("9 RIDDLE (unknown)",)
    assert rows(shop.lakehouse, planned.served.version.id, "SELECT DISTINCT promotion_id FROM t") == [(5,)]


def test_whoever_takes_consent_back_is_not_in_the_next_plan(shop: Shop) -> None:
    campaigns(shop)
    learn(shop)
    make_promotion_plan(shop.setting)
    shop.write(
        TableId("silver", "customers"),
        "SELECT 100 + i AS customer_no, i % 3 <> 0 AND i > 120 AS has_marketing_consent, i % 20 <> 1 AS is_active, true AS has_email, "
        f"i % 2 = 0 AS has_phone, 1960 + i % 40 AS birth_year FROM range({CUSTOMERS}) t(i)",
    )
    assert without_consent(shop.lakehouse).num_rows > 0
    assert make_promotion_plan(shop.setting).served.changed
    assert without_consent(shop.lakehouse).num_rows == 0


def test_the_day_of_a_plan_comes_after_the_last_order_and_after_the_last_booking() -> None:
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("CREATE TABLE orders (time TIMESTAMP, known TIMESTAMP)")
        assert _day(con) is None
        con.execute(
            "INSERT INTO orders VALUES ('2024-05-30 10:00', '2024-05-30 10:05'), ('2024-05-28 12:00', '2024-05-29 09:00')"
        )
        assert _day(con) == date(2024, 5, 31)
        con.execute("INSERT INTO orders VALUES ('2024-05-29 12:00', '2024-06-02 09:00')")
        assert _day(con) == date(2024, 6, 3), "what is known by then is in the plan"


def test_without_campaign_history_the_plan_is_there_and_empty(shop: Shop) -> None:
    planned = make_promotion_plan(shop.setting)
    assert (planned.served.version.rows, planned.summary, planned.policy) == (0, None, NOBODY)
    assert "no campaign history" in planned.reason or "too little campaign history" in planned.reason
