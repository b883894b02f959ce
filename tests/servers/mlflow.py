"""An MLflow tracking server: the code of the installed mlflow-skinny with what its server imports beside a client (the extra dev)."""

from __future__ import annotations

import importlib.util
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import Server, ServerMissing

_NEEDED = ("flask", "flask_cors", "graphene")
# No workers for evaluations, which need a queue's library, and no calls out.
_QUIET = ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true")


class MlflowServer(Server):
    """A server with an SQLite store and its own folder of artefacts, which it hands out itself."""

    def __init__(self) -> None:
        if lacking := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
            raise ServerMissing(f"no MLflow server: {', '.join(lacking)} missing; install requirements/dev.lock")
        super().__init__(None)

    def initialise(self) -> None:
        self.artefacts.mkdir()

    def command(self) -> Sequence[str]:
        return [
            "env", *_QUIET, sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}", "--artifacts-destination", str(self.artefacts),
        ]  # fmt: skip

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def url(self) -> str:
        """The address that clients ask."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def artefacts(self) -> Path:
        """The folder below which the files of models lie, by experiment and run."""
        return self.folder / "files"
