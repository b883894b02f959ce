"""dbt-duckdb's plugin interface over `plinth.transform`: the in-memory DuckDB, and the questions that macros ask.

dbt-duckdb makes the plugin by the name of this module (`dbt_project/profiles.yml`). Its only way from a macro into Python is
`adapter.store_relation`, so every question of `dbt_project/macros/delta.sql` comes through `Plugin.store`, with a mapping that carries
the question and takes the answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.factory import FACTORY
from dbt_common.exceptions import DbtRuntimeError

from plinth.errors import PlinthError
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import load_platform
from plinth.transform.project import prepare
from plinth.transform.publish import publish, results_from
from plinth.transform.session import Session

PLATFORM_VARIABLE, RUN_VARIABLE = "PLINTH_PLATFORM_FILE", "PLINTH_RUN"

_awaited: list[Session] = []


@contextmanager
def expect(session: Session) -> Iterator[None]:
    """Makes the next plugin of this process serve the session; without one it makes its own from the environment.

    dbt-duckdb builds the plugin itself and hands it nothing but the profile, hence this hand-over. It is for `plinth.transform.run`.
    """
    _awaited.append(session)
    try:
        yield
    finally:
        _awaited.clear()


class Plugin(BasePlugin):
    """One per dbt invocation."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Takes the expected session, or opens the platform that the profile names."""
        self.session = _awaited.pop() if _awaited else _session(plugin_config)

    def configure_connection(self, conn: Any) -> None:
        """Loads the delta extension from its wheel and gives the connection to the session."""
        self.session.connect(conn)

    def store(self, target_config: Any) -> None:
        """Answers a question of a macro.

        Raises:
            DbtRuntimeError: with the text of our error, which dbt then shows as the node's.
        """
        question: dict[str, Any] = target_config.config
        answers: dict[str, Callable[[dict[str, Any]], object]] = {
            "start": self._start,
            "watch": lambda q: self.session.watch(q["model"], TableId(q["schema"], q["name"])),
            "touched": lambda q: self.session.touched(q["model"], q["sql"]),
            "scoped": lambda q: self.session.scoped(q["model"], TableId(q["schema"], q["name"]), q["expressions"]),
            "store": lambda q: self.session.store(q["model"], q["sql"]),
            "publish": self._publish,
        }
        try:
            question["answer"] = answers[question["ask"]](question)
        except PlinthError as error:
            raise DbtRuntimeError(str(error)) from error

    def _start(self, question: dict[str, Any]) -> None:
        graph: Mapping[str, Any] = question["graph"]
        nodes = {**graph["nodes"], **graph["sources"]}
        adapter: Any = FACTORY.lookup_adapter("duckdb")
        manifest: Any = adapter.get_macro_resolver()
        if self.session.lineage is None:
            project = prepare(Path(adapter.config.project_root))
            self.session.lineage = {model.table: model.lineage for model in project.models}
        self.session.start(nodes, manifest.macros, question["selected"])

    def _publish(self, question: dict[str, Any]) -> None:
        self.session.outcomes = publish(self.session, results_from(question["results"]))


def _session(config: Mapping[str, Any]) -> Session:
    named = config.get("platform_file") or os.environ.get(PLATFORM_VARIABLE)
    platform = load_platform(named or _nearest("platform.yaml"))
    return Session(Lakehouse(platform), run=os.environ.get(RUN_VARIABLE))


def _nearest(name: str) -> Path:
    here = Path.cwd()
    return next((folder / name for folder in (here, *here.parents) if (folder / name).exists()), here / name)
