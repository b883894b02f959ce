"""What each commit of ours carries in its metadata, and carries forward: the state of the table's way so far.

The watermark lives here and nowhere else: a commit publishes rows and watermark together, or neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

METADATA_KEY = "plinth"


@dataclass(frozen=True)
class State:
    """The metadata of a commit.

    Attributes:
        data_version: grows by one with each commit that changed rows; equal numbers mean equal content.
        rows: rows of the table after the commit.
        watermark: cursor value up to which the source has been read, as canonical text.
        probe: what the cheap look at the source said when the rows were read.
        reconciled_at: when keys were last compared with the source, ISO 8601 in UTC.
        asset: asset key, `bronze/customer`.
        run: identifier of the run that committed.
        inputs: the `content` of each input table that the rows were made from.
        code: fingerprint of the code or query that made the rows.
        notes: counts worth keeping, e.g. zero dates that became null.
    """

    data_version: int = 0
    rows: int = 0
    watermark: str | None = None
    probe: str | None = None
    reconciled_at: str | None = None
    asset: str | None = None
    run: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    notes: Mapping[str, int] = field(default_factory=dict)

    def next(self, *, changed: bool, **changes: Any) -> State:
        """The state after one more commit: what is not given is carried forward."""
        return replace(self, data_version=self.data_version + (1 if changed else 0), **changes)

    def to_metadata(self) -> dict[str, Any]:
        """The state as the JSON object of a commit."""
        return {METADATA_KEY: {key: value for key, value in asdict(self).items() if value not in (None, {})}}

    @classmethod
    def from_metadata(cls, commit: Mapping[str, Any]) -> State | None:
        """The state of a commit, or None where another tool made the commit."""
        values = commit.get(METADATA_KEY)
        if not isinstance(values, Mapping):
            return None
        known = {entry.name for entry in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
