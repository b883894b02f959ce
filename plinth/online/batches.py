"""A stream in portions: bounded by number and by bytes, so that a transaction is short and memory does not grow with the stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from plinth.online.errors import DocumentRefused
from plinth.online.model import LONGEST_KEY, Document, storable

T = TypeVar("T")

ROWS = 500
_BYTES = 4 * 2**20
LARGEST_BODY = 64 * 2**20
"""Bytes. PostgreSQL takes up to 1 GB and CockroachDB advises 1 MB a row; the largest of ours is the item model."""


def by_size(stream: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in portions of at most `ROWS`, and of some megabytes unless one alone is larger.

    Raises:
        DocumentRefused: a document that one of the databases could not hold.
    """
    portion: list[Document] = []
    size = 0
    for document in stream:
        _check(document)
        if portion and (len(portion) >= ROWS or size + len(document.body) > _BYTES):
            yield portion
            portion, size = [], 0
        portion.append(document)
        size += len(document.body)
    if portion:
        yield portion


def by_number(items: Iterable[T], number: int = ROWS) -> Iterator[Sequence[T]]:
    """Items in portions of at most `number`."""
    portion: list[T] = []
    for item in items:
        portion.append(item)
        if len(portion) == number:
            yield portion
            portion = []
    if portion:
        yield portion


def _check(document: Document) -> None:
    if not document.kind or not storable(document.kind) or not storable(document.key):
        raise DocumentRefused(
            "a document's kind or key cannot be stored",
            expected=f"a kind, and texts of at most {LONGEST_KEY} characters without NUL",
            found=f"{document.kind[:40]!r}, {document.key[:40]!r}",
        )
    if len(document.body) > LARGEST_BODY:
        raise DocumentRefused(
            "a document is too large", expected=f"at most {LARGEST_BODY} bytes", found=len(document.body)
        )
