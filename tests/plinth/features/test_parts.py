"""A view that may not fit is computed in parts of its entities: as many as its rows and the profile ask for, and to the same values."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plinth.engine import duckdb_bytes
from plinth.errors import StorageFailure
from plinth.features import load_views, parts
from plinth.features.parts import estimated_bytes, part_key, parts_of
from plinth.features.query import Part, sql_of
from plinth.features.rows import Inputs, session
from plinth.features.store import materialise
from plinth.profile import Profile
from tests.plinth.features.shop import ROOT, FeatureShop
from tests.plinth.features.test_clocks import sale

MONDAY = date(2024, 3, 4)
AT = datetime(2024, 3, 4)
START = datetime(2024, 1, 3)


def test_only_a_view_whose_sources_are_all_scoped_by_one_key_is_parted() -> None:
    views = load_views(ROOT / "feature_views.yaml").views
    assert {name: part_key(view) for name, view in views.items()} == {
        "customer": "customer_no",
        "customer_item": "customer_no",
        "item": None,
        "buyer": None,
    }


def test_there_are_as_many_parts_as_the_rows_take_of_the_profile(
    shop: FeatureShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell([sale(number, number % 7, START + timedelta(hours=number)) for number in range(100)])
    inputs, profile = Inputs.open(shop.lakehouse, shop.views.view("buyer")), Profile(cpu=1, memory=2**30)
    assert parts_of(inputs, duckdb_bytes(profile)) == (None,)
    monkeypatch.setattr(
        parts, "VALUE_BYTES", parts.VALUE_BYTES * 7 * duckdb_bytes(profile) // (2 * estimated_bytes(inputs))
    )
    assert parts_of(inputs, duckdb_bytes(profile)) == tuple(Part("who", "BIGINT", place, 4) for place in range(4))
    assert len(parts_of(inputs, 3 * 2**30)) == 1


_sales = st.lists(st.tuples(st.integers(-3, 12), st.integers(0, 59), st.integers(0, 40)), min_size=1, max_size=40)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_sales, st.integers(2, 5))
def test_the_parts_are_together_the_whole_each_entity_once(
    shop: FeatureShop, drawn: list[tuple[int, int, int]], number: int
) -> None:
    shop.sell(
        [sale(n, who, START + timedelta(days=day), value=value + 0.5) for n, (who, day, value) in enumerate(drawn)]
    )
    view = shop.views.view("buyer")
    rows = Inputs.open(shop.lakehouse, view).rows()
    with session(shop.lakehouse) as con:
        whole = con.execute(f"{sql_of(view, rows, AT)} ORDER BY ALL").fetchall()
        found = [
            con.execute(sql_of(view, rows, AT, part=Part("who", "BIGINT", place, number))).fetchall()
            for place in range(number)
        ]
    assert sorted((row for part in found for row in part), key=repr) == sorted(whole, key=repr)


def test_a_snapshot_in_parts_is_the_snapshot_and_one_that_fails_leaves_no_file(
    shop: FeatureShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell([sale(number, number % 7, START + timedelta(days=number % 60), value=number) for number in range(300)])
    materialise(shop.lakehouse, shop.views, "buyer", [MONDAY])
    whole, told = shop.rows(), list[str]()
    monkeypatch.setattr(parts, "VALUE_BYTES", 2**20)
    again = materialise(shop.lakehouse, shop.views, "buyer", [MONDAY], tell=told.append)
    assert any("parts" in line for line in told)
    assert [each.changed for each in again.snapshots] == [False] and shop.rows() == whole

    uri = shop.lakehouse.uri_of(shop.views.view("buyer").table)
    files, calls = sorted(store_files(uri)), list[int]()

    def full(*arguments: object, **settings: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise StorageFailure("the disk is full")
        return staged(*arguments, **settings)  # type: ignore[arg-type]

    staged = parts.stage
    monkeypatch.setattr(parts, "stage", full)
    with pytest.raises(StorageFailure):
        materialise(shop.lakehouse, shop.views, "buyer", [MONDAY])
    assert len(calls) == 2 and sorted(store_files(uri)) == files


def store_files(uri: str) -> list[str]:
    from plinth.objects.files import files_below

    return [file for file in files_below(uri) if file.endswith(".parquet")]
