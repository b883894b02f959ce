"""A dbt project that is part of an image cannot be written to: what dbt writes goes into the scratch folder and is gone with the run."""

from __future__ import annotations

import pytest

from plinth.transform.project import prepare
from plinth.transform.run import build
from tests.plinth.transform.shop import GOOD, Shop

pytestmark = pytest.mark.slow


def test_a_build_writes_nothing_into_the_project(shop: Shop) -> None:
    shop.open_shop()
    folder = prepare(shop.project).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    built = build(shop.project, shop.lakehouse, select=GOOD, run="a run")
    assert {outcome.status.value for outcome in built.models} == {"published"}
    assert all(built.compiled.values())
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    platform = shop.lakehouse.platform
    assert list(platform.path(platform.stores.scratch).glob("dbt-*")) == []
