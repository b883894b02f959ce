"""What pinned tables hold, as texts that are equal only where the rows are.

What belongs here: naming contents. What does not: reading them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from plinth.lakehouse.tables import TableVersion


def contents_of(versions: Mapping[str, TableVersion]) -> dict[str, str]:
    """The content of each table, by `<layer>/<name>`.

    Not its version, which also a commit raises that changes no row; and with the table's own id, because one that was dropped and made anew counts
    from the beginning.
    """
    return {name: content_of(version) for name, version in sorted(versions.items())}


def content_of(version: TableVersion) -> str:
    """The content of one table's version."""
    return f"{version.delta.metadata().id}:{version.content}"


def digest_of_contents(versions: Mapping[str, TableVersion]) -> str:
    """All contents as one short text."""
    return hashlib.sha256(json.dumps(contents_of(versions)).encode()).hexdigest()[:12]
