"""A look tells which tables to load, reads none of them where it may not, and what it can miss is read as a whole in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from plinth.contracts.model import Column, Drift, Mode, Table
from plinth.ingest import ingest
from plinth.lakehouse.tables import Lakehouse
from plinth.look import look
from plinth.sources import Source, open_url
from tests.plinth.sources.writers import writer

from .conftest import ORDERS, Shop

STOCK = replace(ORDERS, key=(), cursor=None, mode=Mode.SNAPSHOT, lookback=0.0, reconcile_every=None, rules=())


@pytest.fixture
def counted(shop: Shop) -> Iterator[Source]:
    """The shop's database as one of which only the count of a table is known."""
    source = open_url(shop.url, force_batches=True)
    yield source
    source.close()


def overdue(lakehouse: Lakehouse) -> Lakehouse:
    """The same tables, of which each is due to be read as a whole."""
    sources = {
        name: each.model_copy(update={"read_whole_every": 0}) for name, each in lakehouse.platform.sources.items()
    }
    return Lakehouse(lakehouse.platform.model_copy(update={"sources": sources}))


def test_a_change_that_a_look_cannot_see_is_found_when_the_table_is_due_to_be_read_as_a_whole(
    shop: Shop, counted: Source
) -> None:
    assert ingest(STOCK, counted, shop.lakehouse).changed
    shop.sql("UPDATE ORDERS SET AMT = 99 WHERE ORDID = 1")
    assert look(STOCK, counted, shop.lakehouse, may_read=False).reason == ""
    due = look(STOCK, counted, overdue(shop.lakehouse), may_read=False)
    assert "not read as a whole" in due.reason
    assert ingest(STOCK, counted, shop.lakehouse).changed


def test_a_load_that_was_due_and_found_nothing_is_remembered_and_not_asked_for_again(
    shop: Shop, counted: Source
) -> None:
    first = ingest(STOCK, counted, shop.lakehouse)
    again = ingest(STOCK, counted, shop.lakehouse)
    assert again.version == first.version, "it was not due, so nothing is committed"
    settled = ingest(STOCK, counted, overdue(shop.lakehouse))
    assert (settled.changed, settled.content, settled.version) == (False, first.content, first.version + 1)
    assert look(STOCK, counted, shop.lakehouse, may_read=False).reason == ""


def test_a_column_that_landed_before_the_contract_named_it_is_no_change_of_the_contract(shop: Shop) -> None:
    shop.load()
    shop.sql(
        "ALTER TABLE ORDERS ADD COLUMN CHANNEL VARCHAR(10) DEFAULT 'web'", "UPDATE ORDERS SET UPDTS = '2024-01-02'"
    )
    source = open_url(shop.url)
    assert look(ORDERS, source, shop.lakehouse, may_read=True).reason == "the source changed"
    assert shop.load().drift
    assert look(ORDERS, source, shop.lakehouse, may_read=True).reason == "", "it is asked for once, not for ever"
    discarding = replace(ORDERS, drift=Drift.DISCARD)
    assert look(discarding, source, shop.lakehouse, may_read=True).reason == "the contract changed"
    shop.load(drift=Drift.DISCARD)
    assert look(discarding, source, shop.lakehouse, may_read=True).reason == ""


def test_a_table_whose_look_is_sure_is_never_due(shop: Shop) -> None:
    source = open_url(shop.url)
    ingest(STOCK, source, shop.lakehouse)
    assert look(STOCK, source, overdue(shop.lakehouse), may_read=False).reason == ""
    source.close()


@pytest.mark.slow
def test_a_view_is_read_by_a_look_only_where_it_may(shop: Shop, postgres_db: str) -> None:
    write, source = writer(postgres_db), open_url(postgres_db)
    write("CREATE TABLE t (a int)", "CREATE VIEW v AS SELECT * FROM t", "INSERT INTO t VALUES (1)")
    view = Table(source="shop", name="v", physical_name="v", columns=(Column("a", "a", "integer"),), key=())
    lakehouse = shop.lakehouse
    ingest(view, source, lakehouse)
    assert look(view, source, lakehouse, may_read=True).reason == ""
    write("UPDATE t SET a = 2")
    assert look(view, source, lakehouse, may_read=False).reason == ""
    assert look(view, source, lakehouse, may_read=True).reason == "the source changed"
    assert "not read as a whole" in look(view, source, overdue(lakehouse), may_read=False).reason
    source.close()
