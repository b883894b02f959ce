"""What each commit of ours carries in its metadata, and carries forward: the state of the table's way so far.

The watermark lives here and nowhere else: a commit publishes rows and watermark together, or neither.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

METADATA_KEY = "plinth"


@dataclass(frozen=True)
class Feed:
    """Where the rows are that a commit gained and lost, see `plinth.lakehouse.feed`.

    Attributes:
        since: the content of the table before the commit.
        files: their names, below the folder of the table's feeds.
        rows: rows in them; a changed row counts twice.
    """

    since: str
    files: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Measured:
    """What one computation of all rows of a table took: the choice of the next one's profile rests on it (`plinth.transform.choice`).

    Attributes:
        rows_in: rows of its inputs, all together.
        rows: rows that it made.
        seconds: wall time of computing and staging them.
        peak_mb: MiB that the process held at most meanwhile, and DuckDB had spilled; of Spark's own processes nothing.
        profile: the profile that it was given.
        engine: `duckdb` or `spark`.
    """

    rows_in: int
    rows: int
    seconds: float
    peak_mb: float
    profile: str
    engine: str


@dataclass(frozen=True)
class State:
    """The metadata of a commit.

    Attributes:
        data_version: grows by one with each commit that changed rows.
        content: names the rows after the commit; made anew by each commit that changed any. A number alone would come up again in a table that
            is removed and made anew, or put back from an older copy, and what was made from other rows would be taken for up to date.
        rows: rows of the table after the commit.
        watermark: cursor value up to which the source has been read, as canonical text.
        probe: what the cheap look at the source said when the rows were read.
        reconciled_at: when keys were last compared with the source, ISO 8601 in UTC.
        asset: asset key, `bronze/customer`.
        run: identifier of the run that committed.
        changed_by: identifier of the run that last changed rows.
        inputs: the `content` of each input table that the rows were made from.
        code: fingerprint of the code or query that made the rows.
        notes: counts worth keeping, e.g. zero dates that became null.
        feed: how the rows came about from those before, where the writer knew; it belongs to `content`, and stays with it.
        measured: what the newest computations of all rows took, the newest first.
    """

    data_version: int = 0
    content: str = ""
    rows: int = 0
    watermark: str | None = None
    probe: str | None = None
    reconciled_at: str | None = None
    asset: str | None = None
    run: str | None = None
    changed_by: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    notes: Mapping[str, int] = field(default_factory=dict)
    feed: Feed | None = None
    measured: tuple[Measured, ...] = ()

    def next(self, *, changed: bool, **changes: Any) -> State:
        """The state after one more commit: what is not given is carried forward."""
        if not changed:
            return replace(self, **changes)
        number = self.data_version + 1
        named = f"{number}-{uuid.uuid4().hex[:12]}"
        by = changes.get("run", self.run)
        return replace(self, data_version=number, content=named, changed_by=by, feed=None, **changes)

    @property
    def content_name(self) -> str:
        """`content`; of a commit from before it was written, the number."""
        return self.content or str(self.data_version)

    def to_metadata(self) -> dict[str, Any]:
        """The state as the JSON object of a commit."""
        return {METADATA_KEY: {key: value for key, value in asdict(self).items() if value not in (None, "", {}, ())}}

    @classmethod
    def from_metadata(cls, commit: Mapping[str, Any]) -> State | None:
        """The state of a commit, or None where another tool made the commit.

        delta-rs puts our object among the commit's own keys; Spark keeps one text, `userMetadata`, in which it stands as JSON.
        """
        values = commit.get(METADATA_KEY) or _from_text(commit.get("userMetadata"))
        if not isinstance(values, Mapping):
            return None
        known = {entry.name for entry in fields(cls)}
        state = cls(**{key: value for key, value in values.items() if key in known - {"feed", "measured"}})
        feed = values.get("feed")
        state = replace(state, measured=tuple(Measured(**run) for run in values.get("measured") or ()))
        return replace(state, feed=Feed(feed["since"], tuple(feed["files"]), feed["rows"])) if feed else state


def _from_text(text: object) -> object:
    if not isinstance(text, str):
        return None
    try:
        read = json.loads(text)
    except ValueError:
        return None
    return read.get(METADATA_KEY) if isinstance(read, Mapping) else None
