"""What one run has to do for one model, and why: all of it, the touched scopes, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableId, TableVersion
from plinth.transform.choice import Choice
from plinth.transform.model import Model

OUT_OF_MEMORY = "Out of Memory Error"
"""In the reason of a model that failed: DuckDB had no room left, and what it held could not be spilled."""


class Mode(str, Enum):
    """How a model is brought up to its inputs."""

    ALL = "all rows"
    SCOPES = "touched scopes"
    NOTHING = "nothing to do"


class Status(str, Enum):
    """What became of a model in a run."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    WITHHELD = "withheld"
    FAILED = "failed"


@dataclass(frozen=True)
class Decision:
    """The mode of a model in this run, and the reason in words."""

    mode: Mode
    reason: str
    inputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Work:
    """A model in the course of one run: what its SQL asked for while dbt rendered it, and what was decided.

    Attributes:
        watched: inputs whose changed rows the SQL asks for, and the name under which it finds them.
        touched_sql: the query that says which scopes those changes touch.
        scoped: queries for the rows of inputs that belong to the touched scopes, and the names under which the SQL reads them.
        choice: the profile and engine for all of its rows, and why.
    """

    model: Model
    base: TableVersion | None
    choice: Choice
    watched: dict[TableId, str] = field(default_factory=dict)
    touched_sql: str = ""
    scoped: dict[str, str] = field(default_factory=dict)
    decision: Decision | None = None


@dataclass(frozen=True)
class ModelOutcome:
    """What a run did to one model's table.

    Attributes:
        table: `<layer>/<name>`.
        status: `published` with new rows, `unchanged` (its rows are what they were), `withheld` (a test of it or of an input failed; the
            table is as it was) or `failed`.
        mode: how it was computed.
        reason: why so, in words.
        version: Delta version after the run, None where the table does not exist.
        content: names the rows, see `TableVersion.content`.
        rows, size: of the table after the run; `size` in bytes.
        inserted, updated, deleted: rows that differ from the version before.
        seconds: wall time of rendering, computing and staging it.
        columns: columns of the table.
        engine: what computed its rows, `duckdb` or `spark`; None where nothing was computed.
        profile: the profile that it was given.
        engine_reason: why this engine and profile, in words.
    """

    table: TableId
    status: Status
    mode: Mode
    reason: str
    version: int | None = None
    content: str | None = None
    rows: int = 0
    size: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    seconds: float = 0.0
    columns: tuple[DeltaColumn, ...] = ()
    engine: str | None = None
    profile: str | None = None
    engine_reason: str = ""


@dataclass(frozen=True)
class TestOutcome:
    """What became of one dbt test: `pass`, `warn`, `fail`, `error` or `skipped`, and how many rows broke it."""

    name: str
    status: str
    failures: int
    message: str
    sql: str

    __test__ = False  # pytest would take it for a class of tests

    @property
    def passed(self) -> bool:
        """Whether nothing broke it."""
        return self.status == "pass"
