"""What a run's report says of what is served: customers for whom every request answers, and why nobody has an offer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plinth.online import Document, OnlineStore
from plinth.platform import Platform
from plinth.registry import Registry
from plinth.serving.champion import UPLIFT
from plinth.serving.report import online_line
from tests.plinth.registry.conftest import empty_store
from tests.plinth.serving.shop import platform_in

__all__ = ["empty_store"]  # a fixture, looked up by its name


@pytest.fixture
def platform(tmp_path: Path, empty_store: Path) -> Platform:
    """A shop that has an empty registry and serves nothing."""
    made = platform_in(tmp_path)
    shutil.copytree(empty_store, Registry.of(made).store.root)
    return made


def published(platform: Platform, offers: tuple[str, ...]) -> None:
    lists = [Document("recommendations", str(number), b"[]") for number in range(100, 110)]
    with OnlineStore.of(platform) as store:
        store.publish([*lists, *(Document("promotions", key, b"[]") for key in offers)], inputs={})


def test_nothing_is_said_of_a_store_that_serves_nothing(platform: Platform) -> None:
    assert online_line(platform) is None


@pytest.mark.parametrize(
    ("offers", "named"),
    [
        (("107", "108", "109"), ["107", "108", "109"]),
        (("109",), ["109", "100", "101"]),
    ],
)
def test_customers_with_an_offer_are_named_first(platform: Platform, offers: tuple[str, ...], named: list[str]) -> None:
    published(platform, offers)
    line = online_line(platform)
    assert line is not None and (list(line.customers), line.no_offers) == (named, "")


def test_where_nobody_has_an_offer_it_says_why(platform: Platform, tmp_path: Path) -> None:
    published(platform, ())
    line = online_line(platform)
    assert line is not None and list(line.customers) == ["100", "101", "102"]
    assert "no campaign history" in line.no_offers

    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "model.bin").write_text("1")
    registry = Registry.of(platform)
    given = {"parameters": {}, "metrics": {"qini": 0.1}, "plots": {}, "inputs": {}, "seed": 1, "evaluated_on": "june"}
    made = registry.log(UPLIFT, files=saved, **given)  # type: ignore[arg-type]
    line = online_line(platform)
    assert line is not None and line.no_offers == "uplift version 1 was not compared yet"
    registry.promote(UPLIFT, made.version)
    line = online_line(platform)
    assert line is not None and "no customer may and should be contacted" in line.no_offers
