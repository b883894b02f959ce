"""MLflow as this platform uses it: opened late, quiet, closed to pickle, and one writer at a time.

What belongs here: the settings that MLflow needs before it is imported, opening its client, the lock, and its errors as ours. What does not:
what is stored (`plinth.registry.registry`). This is the only module that imports mlflow.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.registry.errors import RegistryRefused, RegistryUnavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CLOSED = {
    # True by default: a model of another flavour would be unpickled by whoever asks MLflow to load it.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # Telemetry calls out from a background thread.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # With a server each run's end prints two links into the output of whatever command it is.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_PATIENCE = {
    # MLflow's own 7 retries with growing waits are two minutes; a step is retried as a whole, and sees its log in between.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
# Some 40 lines of migrations at the first use, on the standard error of every step.
_LOUD = ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry.abstract_store", "mlflow.tracking.client")

_PASSING = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED")


class Absent(RegistryRefused):
    """There is no such thing, which is an answer and no fault."""


class Store:
    """One MLflow store: a tracking server's URL, or an SQLite file that is made at the first write.

    Attributes:
        uri: `sqlite:///<absolute path>` or `http(s)://…`.
        root: local folder for the lock, the artefacts of a local store, and fetched models.
    """

    def __init__(self, uri: str, root: Path) -> None:
        self.uri = uri
        self.root = root

    @property
    def is_local(self) -> bool:
        """Whether this process reads and writes the store's files itself."""
        return self.uri.startswith("sqlite:")

    @property
    def exists(self) -> bool:
        """Whether there is anything to read; a server is taken to be there."""
        return not self.is_local or Path(self.uri.removeprefix("sqlite:///")).exists()

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; a local store is made, or brought up, by one process while the others wait."""
        os.environ.update(_CLOSED)
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        with self.lock("opening"), faults(self.uri):
            import mlflow

            _be_quiet()
            client = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            if self.is_local:
                # The client opens its database at the first call: that is the call that has to stand within the lock.
                client.search_registered_models(max_results=1)
                client.search_experiments(max_results=1)
            return client

    @contextmanager
    def lock(self, name: str = "writing") -> Iterator[None]:
        """Keeps other processes of this machine from doing the same thing meanwhile.

        SQLite alone would serialise single statements, but a digest is looked up before a version is made, and a champion is compared before it
        is replaced. The lock dies with its process. Writers on several machines share a tracking server, not this lock: a Dagster pool per
        model keeps them apart.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f".{name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


@contextmanager
def faults(uri: str) -> Iterator[None]:
    """MLflow's errors as those of this platform.

    Raises:
        RegistryUnavailable: no answer, or a database that is busy; worth a retry.
        RegistryRefused: an answer that says no.
    """
    import mlflow.exceptions
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except mlflow.exceptions.MlflowException as error:
        passing = error.error_code in _PASSING
        kind = (
            Absent
            if error.error_code == "RESOURCE_DOES_NOT_EXIST"
            else RegistryUnavailable
            if passing
            else RegistryRefused
        )
        raise kind(
            "the model registry cannot do what was asked",
            found=_short(error.message),
            where=_without_password(uri),
            remedy=_remedy(error.message, uri, passing),
        ) from None  # MLflow's own text holds the address with its password
    except DBAPIError as error:
        raise RegistryUnavailable(
            "the model registry's database did not answer",
            found=_short(str(error.orig)),
            where=_without_password(uri),
            remedy="run it again; if it stays, see who holds the database open",
        ) from error


def _remedy(message: str, uri: str, passing: bool) -> str:
    if "schema" in message and "upgrade" in message:
        return (
            f"another release of MLflow made it: copy the file, then run `mlflow db upgrade {_without_password(uri)}`"
        )
    return "see that the server or the disk is there, then run it again" if passing else "see what was found"


def _short(message: str) -> str:
    first = re.sub(r"//[^/@\s]+@", "//", message.strip().splitlines()[0] if message.strip() else "no message")
    return first if len(first) <= 400 else first[:400] + "…"


def _without_password(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _be_quiet() -> None:
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
