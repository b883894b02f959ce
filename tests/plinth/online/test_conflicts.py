"""Real conflicts in PostgreSQL at SERIALIZABLE: whole transactions are tried again, nothing is lost, and there is an end to it."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Connection, text

from plinth.online import OnlineStore, PublishSuperseded, StoreConflict, VersionMissing
from plinth.online import database as tries
from plinth.online.address import parse_address
from plinth.online.database import ATTEMPTS, Database
from tests.plinth.online.worlds import INPUT, expected, seen, world

pytestmark = pytest.mark.slow


@pytest.fixture
def database(postgres_db: str) -> Database:
    made = Database(parse_address(postgres_db))
    made.transact(lambda connection: connection.execute(text("CREATE TABLE n (id int PRIMARY KEY, v int)")).rowcount)
    made.transact(lambda connection: connection.execute(text("INSERT INTO n VALUES (1, 0), (2, 0)")).rowcount)
    return made


def test_transactions_run_at_serializable(database: Database) -> None:
    assert database.transact(lambda c: c.execute(text("SHOW transaction_isolation")).scalar()) == "serializable"


def test_two_who_read_and_write_the_same_row_both_count(database: Database) -> None:
    barrier, runs = threading.Barrier(2), []

    def count(connection: Connection) -> None:
        value = connection.execute(text("SELECT v FROM n WHERE id = 1")).scalar_one()
        if len(runs) < 2:
            runs.append(value)
            # Both have read the old value before either writes: one of them has to lose.
            barrier.wait(10)
        else:
            runs.append(value)
        connection.execute(text("UPDATE n SET v = :v WHERE id = 1"), {"v": value + 1})

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(database.transact, count) for _ in range(2)]:
            done.result()
    assert len(runs) >= 3
    assert database.transact(lambda c: c.execute(text("SELECT v FROM n WHERE id = 1")).scalar()) == 2


def test_a_write_skew_that_only_serializable_finds_is_tried_again(database: Database) -> None:
    barrier, runs = threading.Barrier(2), []

    def take(connection: Connection, mine: int) -> bool:
        total = connection.execute(text("SELECT sum(v) FROM n")).scalar_one()
        runs.append(mine)
        if len(runs) <= 2:
            barrier.wait(10)
        if total > 0:
            return False
        connection.execute(text("UPDATE n SET v = 1 WHERE id = :id"), {"id": mine})
        return True

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(database.transact, lambda c, mine=mine: take(c, mine)) for mine in (1, 2)]
        assert sorted(job.result() for job in jobs) == [False, True]
    assert len(runs) == 3


def test_a_deadlock_is_tried_again(database: Database) -> None:
    barrier, runs = threading.Barrier(2), []

    def cross(connection: Connection, first: int, second: int) -> None:
        connection.execute(text("UPDATE n SET v = v + 1 WHERE id = :id"), {"id": first})
        runs.append(first)
        if len(runs) <= 2:
            barrier.wait(10)
        connection.execute(text("UPDATE n SET v = v + 1 WHERE id = :id"), {"id": second})

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(database.transact, lambda c, a=a, b=b: cross(c, a, b)) for a, b in ((1, 2), (2, 1))]
        for job in jobs:
            job.result()
    assert database.transact(lambda c: c.execute(text("SELECT sum(v) FROM n")).scalar()) == 4


def test_whoever_loses_every_time_gets_an_error_of_its_own_and_wrote_nothing(
    database: Database, postgres_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "_LONGEST_WAIT", 0.001)
    runs = 0
    with psycopg.connect(postgres_db, autocommit=True) as other:

        def lose(connection: Connection) -> None:
            nonlocal runs
            runs += 1
            connection.execute(text("SELECT v FROM n WHERE id = 1"))
            other.execute("UPDATE n SET v = v + 100 WHERE id = 1")
            connection.execute(text("UPDATE n SET v = v + 1 WHERE id = 1"))

        with pytest.raises(StoreConflict) as raised:
            database.transact(lose)
    assert runs == ATTEMPTS
    assert raised.value.transient
    assert database.transact(lambda c: c.execute(text("SELECT v FROM n WHERE id = 1")).scalar()) == 100 * ATTEMPTS


def test_many_set_up_the_same_store_at_once(url: str) -> None:
    start = threading.Barrier(6)

    def set_up() -> str:
        with OnlineStore.open(url) as store:
            start.wait(10)
            store.set_up()
            return store.log_name()

    with ThreadPoolExecutor(6) as pool:
        names = {job.result() for job in [pool.submit(set_up) for _ in range(6)]}
    assert len(names) == 1


def test_publishers_rollbacks_and_prunes_at_once_leave_whole_versions(postgres_db: str) -> None:
    with OnlineStore.open(postgres_db) as store:
        store.publish(world(0), inputs={INPUT: "0"})

    def publisher(first: int) -> int:
        done = 0
        with OnlineStore.open(postgres_db) as store:
            for number in range(first, first + 4):
                # A publisher that was overtaken, or that lost each time, wrote nothing; any other error is one.
                with contextlib.suppress(PublishSuperseded, StoreConflict):
                    store.publish(world(number), inputs={INPUT: str(number)})
                    done += 1
        return done

    def turner() -> None:
        with OnlineStore.open(postgres_db) as store:
            for _ in range(12):
                with contextlib.suppress(VersionMissing, StoreConflict):
                    store.rollback()
                    store.prune(2)

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(publisher, 100), pool.submit(publisher, 200), pool.submit(turner)]
        counts = [job.result() for job in jobs]
    assert (counts[0] or 0) + (counts[1] or 0) >= 1
    with OnlineStore.open(postgres_db) as store:
        for version in store.versions():
            assert seen(store, version.id) == expected(int(version.inputs[INPUT]))
        current = store.current()
        assert current is not None
        assert seen(store) == expected(int(current.inputs[INPUT]))
