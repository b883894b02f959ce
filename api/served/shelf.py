"""A worker's copy of one published version: bodies as they were stored, found by kind and key without asking anybody.

What belongs here: the copy, its bound, and how it is filled. What does not: when a newer one is looked for (`api.worker`) and what
visitors did since (`api.served.live`).

The bound counts bodies, keys and 200 bytes for each entry. What fits is whole kinds, in the order of KINDS: a kind that is held whole
answers "not there" as well. Of a kind that does not fit the documents that are asked for are kept as they come (`remember`), the
oldest going first; while the store is away they still answer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from api.served.offers import OFFERS_KIND, current_offers
from plinth.online import OnlineStore, OnlineVersion, VersionMissing
from plinth.recommend.errors import ModelRefused
from plinth.recommend.session import ItemModel
from plinth.serving.lengths import LIST_KIND, REST_KIND

KINDS = (
    *("model", "popular", "item", "table", LIST_KIND, "similar", "promotions", "features", "item_features"),
    *(REST_KIND, "customer_items"),
)
"""What is loaded first: without the first three no list is made, and the others are asked for in this order."""

ENTRY_BYTES = 200
_PAGE = 500
_PAUSE_SECONDS = 0.0005

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer as it goes out: body, its headers, and the ETag among them."""

    body: bytes
    headers: Headers
    etag: bytes


@dataclass
class Shelf:
    """The copy.

    Attributes:
        version: what is served.
        whole: kinds of which every document is here.
        size: bytes by the bound's count.
        model: weights by which an event changes a list; None where the version has none, or one that cannot be used.
        withheld: customers whose offers are shown to nobody, whatever the version says.
        today: the day by which offers have ended.
    """

    version: OnlineVersion
    limit: int
    documents: dict[str, dict[str, bytes]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    size: int = 0
    model: ItemModel | None = None
    model_refused: bool = False
    withheld: frozenset[str] = frozenset()
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    _head: Headers = field(default_factory=list)

    def __post_init__(self) -> None:
        self._head = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"private, no-cache"),
            (b"plinth-version", b"%d" % self.version.id),
        ]

    def get(self, kind: str, key: str) -> bytes | None:
        """A body as it is shown, or None where it is not in the copy or not to be shown."""
        found = self.documents.get(kind)
        body = None if found is None else found.get(key)
        return body if body is None or kind != OFFERS_KIND else self.shown(kind, key, body)

    def shown(self, kind: str, key: str, body: bytes) -> bytes | None:
        """What of a stored body is shown today; None where nothing is."""
        if kind != OFFERS_KIND:
            return body
        if key in self.withheld:
            return None
        return current_offers(body, self.version.published_at, self.today)

    def on(self, withheld: frozenset[str], today: date) -> Shelf:
        """The same copy, as it is shown now: itself where nothing changed, and another object where answers that lie ready may not stay so."""
        if withheld == self.withheld and today == self.today:
            return self
        return replace(self, withheld=withheld, today=today)

    def list_of(self, customer: str) -> list[bytes] | None:
        """The documents of a customer's stored list, in its order; None where one of them may be in the store alone."""
        found = []
        for kind in (LIST_KIND, REST_KIND):
            body = self.get(kind, customer)
            if body is not None:
                found.append(body)
            elif kind not in self.whole:
                return None
        return found

    def wrap(self, body: bytes) -> Ready:
        """A body with the headers of this version. The ETag follows from the bytes: it outlives a version that does not change them."""
        etag = b'"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()
        head = [*self._head, (b"content-length", b"%d" % len(body)), (b"etag", etag)]
        return Ready(body, head, etag)

    def remember(self, kind: str, key: str, body: bytes) -> None:
        """Keeps a document that was read from the store on demand; the oldest of its kind make room."""
        held = self.documents.setdefault(kind, {})
        if key in held or kind in self.whole:
            return
        held[key] = body
        self.size += _cost(key, body)
        while self.size > self.limit and len(held) > 1:
            oldest = next(iter(held))
            self.size -= _cost(oldest, held.pop(oldest))

    def counts(self) -> Mapping[str, int]:
        """How many documents of each kind are here."""
        return {kind: len(held) for kind, held in self.documents.items()}


def load_shelf(store: OnlineStore, version: OnlineVersion, limit: int) -> Shelf:
    """Copies a version, up to the bound.

    Raises:
        VersionMissing: it was pruned meanwhile; a newer one is there.
        StoreUnavailable: the store went away.
    """
    shelf = Shelf(version, limit)
    for kind in KINDS:
        if not version.documents.get(kind) or (shelf.size < limit and _fill(shelf, store, kind)):
            shelf.whole.add(kind)
    model = shelf.get("model", "item_model")
    if model is not None:
        try:
            shelf.model = ItemModel.from_bytes(model)
        except ModelRefused:
            # Stored lists answer without it; only events would change nothing. Readiness says so.
            shelf.model_refused = True
        # The weights are in memory once more as arrays; nobody asks for the bytes again.
        del shelf.documents["model"]["item_model"]
    return shelf


def _fill(shelf: Shelf, store: OnlineStore, kind: str) -> bool:
    held = shelf.documents.setdefault(kind, {})
    after: str | None = None
    while True:
        page = store.scan(kind, after, _PAGE, version=shelf.version.id)
        for key, body in page:
            if shelf.size + _cost(key, body) > shelf.limit:
                return False
            held[key] = body
            shelf.size += _cost(key, body)
        if len(page) < _PAGE:
            break
        after = page[-1][0]
        # Requests are answered by the same interpreter: they go first.
        time.sleep(_PAUSE_SECONDS)
    if len(held) != shelf.version.documents[kind]:
        raise VersionMissing(
            "the version went away while it was copied",
            expected=f"{shelf.version.documents[kind]} documents of kind {kind}",
            found=len(held),
            remedy="the next look finds the version that is served now",
        )
    return True


def _cost(key: str, body: bytes) -> int:
    return len(key) + len(body) + ENTRY_BYTES
