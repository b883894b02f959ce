"""An erased customer's events are neither in the store nor in bronze, do not come back, and nobody else's go."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from plinth.cli import app
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse
from plinth.online import OnlineStore, archive
from plinth.online.archive import TABLE
from plinth.online.erase import Erased, erase
from tests.plinth.online.appending import event
from tests.plinth.serving.shop import platform_in

LEFT = {"other", "nobody", "together"}


def append(store: OnlineStore) -> None:
    """Six events: three of customer 7, of which one is from before he was known in his session."""
    store.append_events(
        [
            event("own", "7", "s7"), event("before", None, "s7"), event("elsewhere", "7", None),
            event("other", "8", "s8"), event("nobody", None, "s9"), event("together", "8", "s7"),
        ]
    )  # fmt: skip


def kept(lakehouse: Lakehouse) -> set[str]:
    """The ids of the events in bronze."""
    return {row[0] for row in duckdb.sql(f"SELECT event_id FROM {rows_of(lakehouse.open(TABLE))}").fetchall()}


def test_the_log_of_a_customer_goes_with_his_sessions_and_nobody_elses(store: OnlineStore) -> None:
    append(store)
    store.append_events([event(f"many{number}", "9", f"m{number}") for number in range(1203)])
    assert store.erase_events("7") == 3
    assert {each.event_id for each in store.events() if each.customer != "9"} == LEFT
    assert store.erase_events("9") == 1203
    assert {each.event_id for each in store.events()} == LEFT
    assert store.erase_events("7") == store.erase_events("\x00") == 0


def test_bronze_forgets_as_well_and_the_next_copy_brings_nothing_back(tmp_path: Path) -> None:
    lakehouse = Lakehouse(platform_in(tmp_path))
    with OnlineStore.of(lakehouse.platform) as store:
        append(store)
        assert erase(lakehouse, store, "nobody knows") == Erased(0, 0), "also before the first copy"
        archive.archive(lakehouse, store)
        assert erase(lakehouse, store, "7") == Erased(3, 3)
        assert kept(lakehouse) == LEFT
        store.append_events([event("next", "8")])
        assert archive.archive(lakehouse, store).added == 1
        assert kept(lakehouse) == {*LEFT, "next"}
        assert erase(lakehouse, store, "7") == Erased(0, 0)


@pytest.mark.slow
def test_the_command_says_what_went_and_what_is_left_to_do(tmp_path: Path) -> None:
    platform = platform_in(tmp_path)
    file = tmp_path / "platform.yaml"
    file.write_text(yaml.safe_dump(platform.model_dump(mode="json", exclude={"home"}, exclude_defaults=True)))
    with OnlineStore.of(platform) as store:
        append(store)
        archive.archive(Lakehouse(platform), store)
    result = CliRunner().invoke(app, ["online", "erase", "7", "--platform", str(file)])
    assert result.exit_code == 0, result.output
    assert "3 events removed from the store, 3 from bronze/online_events" in result.output
    assert "plinth maintain --layer bronze --retention-hours 0" in result.output
    assert (
        CliRunner()
        .invoke(app, ["maintain", "--layer", "bronze", "--retention-hours", "0", "--platform", str(file)])
        .exit_code
        == 0
    )
    files = list((tmp_path / "on_prem" / "bronze" / "online_events").rglob("*.parquet"))
    assert files
    left = duckdb.sql(f"SELECT DISTINCT event_id FROM read_parquet({[str(each) for each in files]})").fetchall()
    assert {row[0] for row in left} == LEFT, "no file of an older version has them"
