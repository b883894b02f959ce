"""Reading documents and versions: what the API sees. It never writes, and needs no more than the right to read.

An answer comes from one statement, which finds the version and reads its documents at once, or from several that name one published version,
which never changes: a publish or a rollback in between cannot mix two. Who needs several answers of one version asks for `current()` first and
names its number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from plinth.online.errors import VersionMissing
from plinth.online.model import OnlineVersion, from_microseconds, storable
from plinth.online.reading import Reading
from plinth.online.schema import versions
from plinth.online.statements import MANY

T = TypeVar("T")

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
        """One document; None where the version has none of that kind and key, or it is withheld.

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
        """The documents of some keys, by key, all of one version; keys without a document, or with
        a withheld one, are left out.

        Raises:
            VersionMissing: as `read`.
        """
        wanted = [key for key in dict.fromkeys(keys) if storable(key)]
        if version is None and len(wanted) <= MANY[-1]:
            return self._many(kind, wanted, None) if wanted else {}
        if version is not None:
            return self._many_of(kind, wanted, version)
        return self._of_current(lambda seen: self._many_of(kind, wanted, seen)) or {}

    def withheld(self, kind: str) -> frozenset[str]:
        """Keys of documents of a kind that are shown to nobody, whichever version is read; see `OnlineStore.withhold`."""
        return frozenset(row[0] for row in self._rows("withheld", {"kind": kind}))

    def keys(self, kind: str) -> frozenset[str]:
        """Keys that a kind has in any version that is kept."""
        return frozenset(row[0] for row in self._rows("keys_of_kind", {"kind": kind}))

    def scan(
        self, kind: str, after: str | None = "", limit: int = 1000, version: int | None = None
    ) -> list[tuple[str, bytes]]:
        """The next documents of a kind in the order of their keys; fewer than `limit` only at the end.

        It gives what the version holds, also what is withheld: whoever shows what was copied asks `withheld` as well.

        Args:
            after: the last key of the page before. None begins at the very first; an empty text after the document with the empty key.

        Raises:
            VersionMissing: as `read`.
        """
        if after is not None and not storable(after):
            return []
        if version is not None:
            return self._scan(kind, after, limit, version)
        return self._of_current(lambda seen: self._scan(kind, after, limit, seen)) or []

    def digests(self, version: int) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
        """Kind, keys and digests of all documents of a version, in pages; none where it is not published."""
        kind = self._next_kind("")
        while kind is not None:
            after: str | None = None
            while True:
                page, after = self._page(kind, after, version, _PAGE)
                yield kind, page
                if after is None:
                    break
            kind = self._next_kind(kind)

    def _of_current(self, ask: Callable[[int], T]) -> T | None:
        """What several statements say of the version that readers see now; None where there is none."""
        while (seen := self.current()) is not None:
            try:
                return ask(seen.id)
            except VersionMissing:
                # It was pruned between two of them, so there is a newer one.
                continue
        return None

    def _scan(self, kind: str, after: str | None, limit: int, version: int) -> list[tuple[str, bytes]]:
        keys: list[str] = []
        while len(keys) < limit:
            page, after = self._page(kind, after, version, limit - len(keys) + 1)
            keys += [key for key, _ in page]
            if after is None:
                break
        found = self._many_of(kind, keys[:limit], version, "many_copied")
        return [(key, found[key]) for key in keys[:limit] if key in found]

    def _page(
        self, kind: str, after: str | None, version: int, rows: int
    ) -> tuple[list[tuple[str, bytes]], str | None]:
        """Keys and digests of documents that a version sees, from about so many rows, and the key to go on after; None at the end."""
        name = "page_from_start" if after is None else "page"
        found = self._rows(name, {"kind": kind, "after": after, "version": version, "limit": rows})
        last = found[-1][0] if len(found) == rows else None
        if last is not None and found[0][0] == last:
            # All of one key, whose newest row may be yet to come.
            return self._page(kind, after, version, 2 * rows + 8)
        # The newest row of a key comes last, and one without a digest says that the document is gone.
        newest = {key: digest for key, digest in found if key != last}
        end = next((key for key, _ in reversed(found) if key != last), None) if last is not None else None
        return [(key, digest) for key, digest in newest.items() if digest is not None], end

    def _next_kind(self, after: str) -> str | None:
        rows = self._rows("next_kind", {"after": after})
        return rows[0][0] if rows else None

    def _many_of(self, kind: str, keys: list[str], version: int, name: str = "many_pinned") -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), MANY[-1]):
            found.update(self._many(kind, keys[start : start + MANY[-1]], version, name))
        if len(found) < len(keys) or not keys:
            # Nothing is there, or the version went while it was read.
            self._require(version)
        return found

    def _many(self, kind: str, keys: list[str], version: int | None, name: str = "many_pinned") -> dict[str, bytes]:
        size = next(each for each in MANY if each >= len(keys))
        values: dict[str, Any] = {f"key{number}": keys[min(number, len(keys) - 1)] for number in range(size)}
        values["kind"] = kind
        if version is None:
            return dict(self._rows(f"many_current_{size}", values))
        return dict(self._rows(f"{name}_{size}", {**values, "version": version}))

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
