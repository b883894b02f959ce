"""Runs a job from the command line in this very process, on the project's instance, so that the Dagster UI shows it.

What belongs here: loading the code location the way `workspace.yaml` does, running, and clearing up after runs whose process died. What
does not: what is printed (`jobs.follow`, `plinth.report`).

In one process: the sample's refresh with nothing changed takes 20 CPU seconds so, and 71 with a process for each of its 15 steps.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.utils import make_new_run_id

from assets.unharmed import unharmed
from jobs.follow import Follower, Seen, Tell
from plinth.report import is_interrupted

ASKED = {"plinth/asked_by": "command line"}
"""Tags of the runs that this module starts."""
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Events reach the terminal through the follower; Dagster's own console would print each of them once more, at length."""
_SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Ran:
    """What came of a run.

    Attributes:
        after: the runs that went on after it had failed.
    """

    run_id: str
    success: bool
    seen: Seen
    after: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[str, ...]:
        """It, and those that went on."""
        return (self.run_id, *self.after)


def load_repository(home: Path) -> dg.RepositoryDefinition:
    """The project's definitions, loaded from `definitions.py` by its path."""
    return ReconstructableRepository.for_file(str(home / "definitions.py"), "defs", str(home)).get_definition()


def run_job(
    repository: dg.RepositoryDefinition,
    instance: dg.DagsterInstance,
    job: str,
    tell: Tell,
    *,
    assets: Sequence[dg.AssetKey] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Ran:
    """Runs a job, or some assets of it with their checks, and tells of it in lines."""
    # Where Ctrl-C comes in the middle of it, this import fails for good: the run would go on, and each of its steps would fail with that.
    import duckdb  # noqa: F401

    settle_dead_runs(instance, tell)
    run_id = make_new_run_id()
    definition = repository.get_job(job)
    with (
        _alive(instance, run_id),
        _event_log_open(instance, run_id),
        _settling(instance, tell),
        quiet_interruption(),
        Follower(instance, run_id, tell) as follower,
    ):
        result = definition.execute_in_process(
            instance=instance,
            run_id=run_id,
            run_config={**_QUIET, **(config or {})},
            asset_selection=assets,
            tags=ASKED,
            raise_on_error=False,
        )
    return Ran(run_id, result.success, follower.seen)


def run_on(repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, job: str, tell: Tell) -> Ran:
    """Runs a job, and after a failure what reads nothing that failed, in runs of its own; told as one, which has failed then."""
    first = last = run_job(repository, instance, job, tell)
    seen, after = first.seen, []
    while not last.success and not is_interrupted(last.seen.failures):
        left = unharmed(instance, last.run_id, repository.asset_graph)
        if not left:
            break
        tell(f"going on with {len(left)} tables and models that read nothing of what failed")
        last = run_job(repository, instance, job, tell, assets=sorted(left))
        seen = seen.with_later(last.seen)
        after.append(last.run_id)
    return Ran(first.run_id, first.success, seen, tuple(after))


def settle_dead_runs(instance: dg.DagsterInstance, tell: Tell) -> None:
    """Ends runs of this command whose process is gone (killed, or the machine went down), and gives back the pools that they hold.

    A pool that a dead run holds would let every later load of that table wait for ever.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES), tags=ASKED)):
        with _lock(instance, run.run_id) as gone:
            # Between the list and the lock it may have ended well.
            found = instance.get_run_by_id(run.run_id) if gone else None
            if found is None or found.is_finished:
                continue
            instance.report_run_failed(run, "The process of this run is gone: it was killed, or the machine went down.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            tell(f"run {run.run_id[:8]} was cut off earlier; its tables are as they were, and it is settled now")
        _lock_file(instance, run.run_id).unlink(missing_ok=True)


@contextmanager
def _settling(instance: dg.DagsterInstance, tell: Tell) -> Iterator[None]:
    """Settles dead runs every few seconds: one that is killed while this one waits for its pool would keep it waiting for ever."""
    from sqlalchemy.exc import SQLAlchemyError

    done = threading.Event()

    def look() -> None:
        told = ""
        while not done.wait(_SETTLE_SECONDS):
            try:
                settle_dead_runs(instance, tell)
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                # The run goes on where it can, and says for itself where it cannot.
                reason = str(error).splitlines()[0]
                if reason != told:
                    tell(
                        f"runs that were cut off earlier cannot be looked for, the next try is in {_SETTLE_SECONDS:g} s: {reason}"
                    )
                told = reason

    thread = threading.Thread(target=look, name="settle-runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def quiet_interruption() -> Iterator[None]:
    """Keeps SQLAlchemy from showing the trace of a Ctrl-C that came while it took a connection back: it lands wherever the run just was, is raised on
    from there, and the command says so in a sentence. What else goes wrong there is shown as ever.
    """
    from dagster._core.errors import DagsterExecutionInterruptedError
    from sqlalchemy.pool import NullPool, QueuePool, SingletonThreadPool

    def is_news(record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, (KeyboardInterrupt, DagsterExecutionInterruptedError))

    # A filter of a parent is not asked about the records of its children, and each kind of pool has a logger of its own.
    loggers = [
        logging.getLogger(f"{pool.__module__}.{pool.__name__}") for pool in (NullPool, QueuePool, SingletonThreadPool)
    ]
    for logger in loggers:
        logger.addFilter(is_news)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_news)


@contextmanager
def _alive(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Holds a lock for as long as this process lives, which tells others that the run does."""
    with _lock(instance, run_id):
        yield
    _lock_file(instance, run_id).unlink(missing_ok=True)


@contextmanager
def _event_log_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Keeps the SQLite files of the event log open for the length of a run.

    Dagster opens and closes them several times for each event, and the last connection to close has to fold the write-ahead log back:
    without this the sample's ingest job takes a third longer (medians 18.2 against 12.5 s on a busy machine, 259 events).
    """
    storage, held = instance.event_log_storage, []
    if isinstance(storage, SqliteEventLogStorage):
        instance.get_records_for_run(run_id, limit=1)  # makes the run's own file
        held = [sqlite3.connect(storage.path_for_shard(shard)) for shard in (INDEX_SHARD_NAME, run_id)]
        for connection in held:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    try:
        yield
    finally:
        for connection in held:
            connection.close()


@contextmanager
def _lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[bool]:
    file = _lock_file(instance, run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def _lock_file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "console" / f"{run_id}.lock"
