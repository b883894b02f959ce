"""What the newest version holds, as keys and digests beside the stream of a new one: what is new, what changed, what is gone.

Kept in a private temporary file that SQLite removes by itself, so that memory does not grow with the number of documents.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from types import TracebackType

from plinth.online.errors import DocumentRefused
from plinth.online.model import Document

_CACHE_KIB = 16 * 1024


def digest_of(body: bytes) -> bytes:
    """The name of a document's content: equal digests are taken for equal bodies."""
    return blake2b(body, digest_size=16).digest()


class Held:
    """Keys and digests of one version; each document of the stream is held against them once."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute(
            "CREATE TABLE held (kind TEXT, key TEXT, digest BLOB, seen INTEGER, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def load(self, kind: str, rows: Iterable[tuple[str, bytes]]) -> None:
        """Adds keys and digests of the version that is there."""
        self._file.executemany("INSERT INTO held VALUES (?, ?, ?, 0)", ((kind, key, digest) for key, digest in rows))

    def differing(self, documents: Iterable[Document]) -> Iterator[tuple[Document, bytes]]:
        """Those documents that are new or changed, with their digests.

        Raises:
            DocumentRefused: the stream brings a document a second time.
        """
        for document in documents:
            digest = digest_of(document.body)
            found = self._file.execute(
                "UPDATE held SET seen = 1 WHERE kind = ? AND key = ? AND seen = 0 RETURNING digest",
                (document.kind, document.key),
            ).fetchone()
            if found is None:
                self._note_new(document)
            if found is None or found[0] != digest:
                yield document, digest

    def gone(self) -> Iterator[tuple[str, str]]:
        """Kind and key of each document that the stream did not bring."""
        yield from self._file.execute("SELECT kind, key FROM held WHERE seen = 0 ORDER BY kind, key")

    def _note_new(self, document: Document) -> None:
        try:
            self._file.execute("INSERT INTO held VALUES (?, ?, NULL, 1)", (document.kind, document.key))
        except sqlite3.IntegrityError:
            raise DocumentRefused(
                "a document comes twice in one version",
                expected="one document for each kind and key",
                found=f"{document.kind} {document.key}",
                remedy="see why the table that the documents are made from has two rows of one key",
            ) from None
