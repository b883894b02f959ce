"""No consent, no contact, whichever version is served: a publish that is held back and a rollback bring nobody's offer back."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from typer.testing import CliRunner

from plinth.cli import app
from plinth.lakehouse.tables import TableId
from plinth.serving.consents import withhold_offers
from plinth.serving.publish import publish
from plinth.serving.tables import PROMOTION_PLAN
from tests.plinth.serving.shop import Shop

pytestmark = pytest.mark.slow


def plan(shop: Shop, *customers: int) -> None:
    """Makes the plan hold an offer for each of these."""
    known = {"customer_no": "c::BIGINT", "promotion_id": "1::BIGINT", "planned_on": "DATE '2024-06-03'"}
    names = ", ".join(
        f"{known.get(column.name, f'NULL::{column.duckdb_type}')} AS {column.name}" for column in PROMOTION_PLAN.columns
    )
    shop.write(PROMOTION_PLAN.id, f"SELECT {names} FROM (SELECT unnest({list(customers)}) AS c)")


def consents(shop: Shop, **flags: tuple[bool | None, bool | None]) -> None:
    """Makes silver/customers hold these, each with consent and activity."""
    sql = {True: "true", False: "false", None: "NULL::BOOLEAN"}
    rows = ", ".join(f"({name[1:]}, {sql[yes]}, {sql[active]})" for name, (yes, active) in flags.items())
    shop.write(
        TableId("silver", "customers"),
        f"SELECT * FROM (VALUES {rows}) t(customer_no, has_marketing_consent, is_active)",
    )


def offered(shop: Shop) -> set[str]:
    """The customers to whom the served version shows an offer."""
    with shop.store() as store:
        return {key for key in store.keys("promotions") if store.read("promotions", key) is not None}


def test_a_publish_that_is_held_back_and_a_rollback_bring_back_no_offer_of_who_withdrew_consent(shop: Shop) -> None:
    yes, no = (True, True), (False, True)
    consents(shop, c100=yes, c101=yes, c102=yes, c103=yes)
    plan(shop, 100, 101, 102, 103)
    with shop.store() as store:
        publish(shop.setting, store, keep=3)
    assert offered(shop) == {"100", "101", "102", "103"}
    consents(shop, c100=yes, c101=no, c102=(None, True), c103=(True, False))
    # The night's publish does not come: a check holds it back. The consents are heeded all the same.
    with shop.store() as store:
        found = withhold_offers(shop.lakehouse, shop.platform.profile(), store)
    assert (found.customers, found.changed) == (3, True)
    assert offered(shop) == {"100"}
    plan(shop, 100)
    with shop.store() as store:
        publish(shop.setting, store, keep=3)
        store.rollback()
        assert len(store.scan("promotions", None)) == 4, "the version before has their offers, and shows them to nobody"
    assert offered(shop) == {"100"}


def test_the_command_asks_for_todays_consents_before_it_goes_back(shop: Shop) -> None:
    consents(shop, c100=(True, True), c101=(True, True))
    plan(shop, 100, 101)
    with shop.store() as store:
        publish(shop.setting, store, keep=3)
    plan(shop, 100)
    with shop.store() as store:
        publish(shop.setting, store, keep=3)
    # Withdrawn, or forgotten altogether, and no run has seen it yet.
    consents(shop, c100=(True, True))
    settings = shop.folder / "platform.yaml"
    settings.write_text(
        yaml.safe_dump(json.loads(shop.platform.model_dump_json(exclude={"home"}, exclude_defaults=True)))
    )
    result = CliRunner().invoke(app, ["online", "rollback", "--platform", str(settings)])
    assert result.exit_code == 0, result.output
    assert "Offers of 1 customers are shown to nobody" in result.output
    assert offered(shop) == {"100"}
    consents(shop, c100=(True, True), c101=(True, True))
    result = CliRunner().invoke(app, ["online", "withhold", "--platform", str(settings)])
    assert result.exit_code == 0, result.output
    assert offered(shop) == {"100", "101"}, "who consents again is shown what was planned"


def test_where_nobody_is_known_to_consent_nobody_is_shown_an_offer(shop: Shop) -> None:
    plan(shop, 100)
    with shop.store() as store:
        publish(shop.setting, store, keep=3)
    assert offered(shop) == {"100"}
    shutil.rmtree(shop.lakehouse.uri_of(TableId("silver", "customers")))
    with shop.store() as store:
        found = withhold_offers(shop.lakehouse, shop.platform.profile(), store)
    assert (found.customers, found.known) == (1, False)
    assert offered(shop) == set()
