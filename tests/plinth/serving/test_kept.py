"""How long `plinth maintain` keeps what was published, where nobody asks for another time: chances until their weeks are over, all else a week."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from plinth.cli import app
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.serving.tables import PURCHASE_PROPENSITY, RECOMMENDATIONS
from tests.plinth.serving.shop import Shop, platform_in
from tests.plinth.serving.test_tables import rows

CHANCES, LISTS = PURCHASE_PROPENSITY.id, RECOMMENDATIONS.id


def age(lakehouse: Lakehouse, table: TableId, days: float) -> None:
    """Moves all commits of a table so many days back, as if they had been made then."""
    back = int(days * 24 * 3600 * 1000)
    for file in (Path(lakehouse.uri_of(table)) / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for action in actions:
            for said in action.values():
                for name in ("timestamp", "deletionTimestamp"):
                    if name in said:
                        said[name] -= back
        file.write_text("\n".join(map(json.dumps, actions)) + "\n", encoding="utf-8")


def readable(lakehouse: Lakehouse, table: TableId) -> bool:
    """Whether the first version of a table can still be read."""
    version = lakehouse.open(table, version=0)
    return all(Path(file.uri).exists() for file in version.files)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Chances and lists that were made once more a moment ago."""
    shop = Shop(tmp_path, platform_in(tmp_path))
    for table in (CHANCES, LISTS):
        for number in (1, 2):
            shop.write(table, f"SELECT {number} AS customer_no")
    settings = shop.platform.model_dump(mode="json", exclude={"home"}, exclude_defaults=True)
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return shop


def maintain(shop: Shop, *words: str) -> None:
    done = CliRunner().invoke(app, ["maintain", *words, "--platform", str(shop.folder / "platform.yaml")])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("days", "lists", "chances"),
    [(6.5, True, True), (8, False, True), (35.5, False, True), (36.5, False, False)],
)
def test_chances_are_kept_until_they_can_be_judged_and_lists_for_a_week(
    shop: Shop, days: float, lists: bool, chances: bool
) -> None:
    for table in (CHANCES, LISTS):
        age(shop.lakehouse, table, days)
    maintain(shop)
    assert (readable(shop.lakehouse, LISTS), readable(shop.lakehouse, CHANCES)) == (lists, chances)
    for table in (CHANCES, LISTS):
        assert rows(shop.lakehouse, table, "SELECT customer_no FROM t") == [(2,)], "what is served stays"


def test_a_shorter_time_that_is_asked_for_holds_for_chances_too(shop: Shop) -> None:
    for table in (CHANCES, LISTS):
        age(shop.lakehouse, table, 8)
    maintain(shop, "--retention-hours", "168")
    assert not readable(shop.lakehouse, CHANCES)
