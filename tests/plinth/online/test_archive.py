"""Events come back to bronze: each once, none lost, whoever is killed and whatever happens to the store."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from plinth.errors import CommitConflict
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse
from plinth.online import OnlineStore, archive
from plinth.online.archive import PARTITION, TABLE
from tests.plinth.online.appending import event
from tests.plinth.serving.shop import platform_in


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    return Lakehouse(platform_in(tmp_path))


def ids(lakehouse: Lakehouse) -> list[str]:
    """The ids of the events in bronze, in the order of their numbers."""
    rows = duckdb.sql(f"SELECT event_id FROM {rows_of(lakehouse.open(TABLE))} ORDER BY arrived_at, sequence").fetchall()
    return [row[0] for row in rows]


def append(store: OnlineStore, *numbers: int) -> None:
    """Events with numbers for names."""
    store.append_events([event(f"e{number:04}") for number in numbers])


def names(*numbers: int) -> list[str]:
    """Their names."""
    return [f"e{number:04}" for number in numbers]


def test_the_table_is_there_before_the_first_event(lakehouse: Lakehouse) -> None:
    with OnlineStore.of(lakehouse.platform) as store:
        copied = archive.archive(lakehouse, store)
    assert (copied.added, copied.version.rows, copied.version.partition_by) == (0, 0, (PARTITION,))


def test_each_run_appends_what_is_new_and_nothing_twice(lakehouse: Lakehouse) -> None:
    with OnlineStore.of(lakehouse.platform) as store:
        append(store, *range(30))
        assert archive.archive(lakehouse, store).added == 30
        again = archive.archive(lakehouse, store)
        assert (again.added, again.commits) == (0, 0)
        append(store, *range(25, 40))
        assert archive.archive(lakehouse, store, run="r2").added == 10
    assert ids(lakehouse) == names(*range(40))
    state = lakehouse.open(TABLE).state
    assert (state.watermark, state.run) == ("40", "r2")


def test_a_copy_that_is_broken_off_between_commits_goes_on_where_it_was(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_PAGE", 10)
    monkeypatch.setattr(archive, "_COMMIT_ROWS", 10)
    with OnlineStore.of(lakehouse.platform) as store:
        append(store, *range(35))

        def end(said: str) -> None:
            if said.startswith("20 "):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            archive.archive(lakehouse, store, tell=end)
        assert ids(lakehouse) == names(*range(20))
        assert archive.archive(lakehouse, store).added == 15
    assert ids(lakehouse) == names(*range(35))


def test_of_two_copies_at_once_one_is_refused_and_no_event_comes_twice(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OnlineStore.of(lakehouse.platform) as store:
        append(store, *range(5))
        archive.archive(lakehouse, store)
        append(store, *range(5, 10))
        plain = archive._stage

        def overtaken(*given: object) -> object:
            monkeypatch.setattr(archive, "_stage", plain)
            archive.archive(lakehouse, store)
            return plain(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(archive, "_stage", overtaken)
        with pytest.raises(CommitConflict):
            archive.archive(lakehouse, store)
        archive.archive(lakehouse, store)
    assert ids(lakehouse) == names(*range(10))


def test_a_new_store_in_the_place_of_the_old_one_is_read_from_its_beginning(lakehouse: Lakehouse) -> None:
    with OnlineStore.of(lakehouse.platform) as store:
        append(store, *range(20))
        archive.archive(lakehouse, store)
    for file in (lakehouse.platform.home / "data" / "online").iterdir():
        file.unlink()
    with OnlineStore.of(lakehouse.platform) as store:
        append(store, *range(18, 26))
        assert archive.archive(lakehouse, store).added == 6
    assert sorted(ids(lakehouse)) == names(*range(26))


def test_a_store_that_was_restored_from_an_older_copy_loses_none_of_its_new_events(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lakehouse.platform.home / "data" / "online"
    with OnlineStore.of(lakehouse.platform) as store:
        append(store, *range(10))
    copy = {file.name: file.read_bytes() for file in folder.iterdir()}
    with OnlineStore.of(lakehouse.platform) as store:
        append(store, *range(10, 20))
        archive.archive(lakehouse, store)
    for file in folder.iterdir():
        file.unlink()
    for name, content in copy.items():
        (folder / name).write_bytes(content)
    monkeypatch.setattr(archive, "_PAGE", 4)
    monkeypatch.setattr(archive, "_COMMIT_ROWS", 4)
    with OnlineStore.of(lakehouse.platform) as store:
        # Their numbers were given out before, to events that only bronze remembers.
        append(store, *range(15, 24))
        assert archive.archive(lakehouse, store).added == 4
    assert sorted(ids(lakehouse)) == names(*range(24))
