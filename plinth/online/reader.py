"""Reading documents and versions: what the API sees. It never writes, and needs no more than the right to read.

Each answer comes from one statement, which finds the version and reads its documents at once: a publish or a rollback in between cannot mix
two versions. Who needs several answers of one version asks for `current()` first and names its number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from plinth.online.errors import VersionMissing
from plinth.online.model import OnlineVersion, from_microseconds, storable
from plinth.online.reading import Reading
from plinth.online.schema import versions
from plinth.online.statements import MANY

_PAGE = 5000
_COLUMNS = [column.name for column in versions.columns]


class OnlineReader:
    """The store as its readers see it; any number of threads may share one.

    Raises:
        StoreUnavailable: from every method, where the store does not answer or nothing was ever published into it.
    """

    def __init__(self, reading: Reading) -> None:
        self._rows = reading.rows

    def current(self) -> OnlineVersion | None:
        """The version that readers see; None before the first publish."""
        rows = self._rows("current_version", {})
        return _version(rows[0]) if rows else None

    def versions(self) -> list[OnlineVersion]:
        """The versions that are kept, newest first."""
        return [_version(row) for row in self._rows("published_versions", {})]

    def read(self, kind: str, key: str, version: int | None = None) -> bytes | None:
        """One document; None where the version has none of that kind and key.

        Raises:
            VersionMissing: `version` was never published, or is no longer kept.
        """
        if not storable(key):
            return None
        if version is None:
            rows = self._rows("one_current", {"kind": kind, "key": key})
        else:
            rows = self._rows("one_pinned", {"kind": kind, "key": key, "version": version})
        if rows:
            body: bytes | None = rows[0][0]
            return body
        if version is not None:
            self._require(version)
        return None

    def read_many(self, kind: str, keys: Iterable[str], version: int | None = None) -> dict[str, bytes]:
        """The documents of some keys, by key, all of one version; keys without a document are left out.

        Raises:
            VersionMissing: as `read`.
        """
        wanted = [key for key in dict.fromkeys(keys) if storable(key)]
        if version is None and len(wanted) > MANY[-1]:
            seen = self.current()
            if seen is None:
                return {}
            version = seen.id
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), MANY[-1]):
            found.update(self._many(kind, wanted[start : start + MANY[-1]], version))
        if version is not None and not found:
            self._require(version)
        return found

    def scan(
        self, kind: str, after: str | None = "", limit: int = 1000, version: int | None = None
    ) -> list[tuple[str, bytes]]:
        """The next documents of a kind in the order of their keys; fewer than `limit` only at the end.

        Args:
            after: the last key of the page before. None begins at the very first; an empty text after the document with the empty key.

        Raises:
            VersionMissing: as `read`.
        """
        if after is not None and not storable(after):
            return []
        name = f"scan_{'current' if version is None else 'pinned'}{'_from_start' if after is None else ''}"
        rows = self._rows(name, {"kind": kind, "after": after, "limit": limit, "version": version})
        if not rows and version is not None:
            self._require(version)
        return rows

    def digests(self, version: int) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
        """Kind, keys and digests of all documents up to a version, in pages."""
        kind = self._next_kind("")
        while kind is not None:
            name, values = "digests_from_start", {"kind": kind, "limit": _PAGE, "version": version}
            while page := self._rows(name, values):
                yield kind, page
                name, values = "digests", {**values, "after": page[-1][0]}
            kind = self._next_kind(kind)

    def _next_kind(self, after: str) -> str | None:
        rows = self._rows("next_kind", {"after": after})
        return rows[0][0] if rows else None

    def _many(self, kind: str, keys: list[str], version: int | None) -> dict[str, bytes]:
        size = next(each for each in MANY if each >= len(keys))
        values: dict[str, Any] = {f"key{number}": keys[min(number, len(keys) - 1)] for number in range(size)}
        values["kind"] = kind
        if version is None:
            return dict(self._rows(f"many_current_{size}", values))
        return dict(self._rows(f"many_pinned_{size}", {**values, "version": version}))

    def _require(self, version: int) -> None:
        if not self._rows("published_version", {"version": version}):
            raise VersionMissing(
                f"the online store has no version {version}",
                expected="one of those that `plinth online versions` lists",
                remedy="read the current one, or one of those",
            )


def _version(row: tuple[Any, ...]) -> OnlineVersion:
    values = dict(zip(_COLUMNS, row, strict=True))
    return OnlineVersion(
        id=values["id"],
        published_at=from_microseconds(values["published_at"]),
        inputs=json.loads(values["inputs"]),
        documents=json.loads(values["documents"]),
        label=values["label"],
        changed=values["changed"],
        verified_at=from_microseconds(values["verified_at"]),
    )
