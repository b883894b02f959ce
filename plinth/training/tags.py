"""The tags that a round leaves on a version.

What belongs here: their names, and reading them. What does not: the tags that the registry itself writes (`plinth.registry.version`).
"""

from __future__ import annotations

import json
from datetime import datetime

from plinth.registry import RegisteredVersion

REASON, RUN = "plinth.reason", "plinth.run"
CONTENTS = "plinth.contents"
"""What each table held, as `plinth.training.contents` names it."""
UNTIL = "plinth.until"
"""The first moment that the version did not learn from."""
SEEN = "plinth.seen"
"""The first moment after the newest purchase that was there when it was trained, or found to be what training gives."""


def contents_seen(version: RegisteredVersion) -> dict[str, str]:
    """What each table held that a version was trained on, by `<layer>/<name>`."""
    found: dict[str, str] = json.loads(version.tags.get(CONTENTS, "{}"))
    return found


def seen_by(version: RegisteredVersion | None) -> datetime | None:
    """The first moment that a version has not seen; None where it does not say so."""
    text = (version.tags.get(SEEN) or version.tags.get(UNTIL)) if version is not None else None
    return datetime.fromisoformat(text) if text else None
