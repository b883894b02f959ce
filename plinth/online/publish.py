"""Publishing: a stream of documents becomes a version that readers see whole, or not at all.

The way of it: a draft gets the next number; what differs from the newest version is written under that number, in short transactions,
where no reader looks; one last transaction makes the draft a version and turns the pointer. A publisher that dies leaves a draft behind,
which the next one abandons and sweeps away before it publishes. A publisher that was abandoned while it lived finds out at its next
transaction, because every one of them writes the draft's row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from plinth.online.batches import by_number, by_size
from plinth.online.database import Database
from plinth.online.errors import PublishSuperseded
from plinth.online.held import Held
from plinth.online.model import Document, now
from plinth.online.reader import OnlineReader
from plinth.online.schema import CHANGE_COUNTER, SLOT, VERSION_COUNTER, WRITING
from plinth.online.sweep import sweep_abandoned


@dataclass(frozen=True)
class Draft:
    """A version that is being written: its number, and the published one that it is told apart from (0: none)."""

    id: int
    base: int


def publish(
    database: Database,
    reader: OnlineReader,
    documents: Iterable[Document],
    inputs: Mapping[str, str],
    label: str,
) -> int:
    """Publishes one version, and gives its number; see `OnlineStore.publish`."""
    draft = _begin(database, inputs, label)
    sweep_abandoned(database)
    counts: Counter[str] = Counter()
    changed = 0
    with Held() as held:
        for kind, page in reader.digests(draft.base):
            held.load(kind, page)
        for portion in by_size(documents):
            counts.update(document.kind for document in portion)
            rows = [_row(draft, *pair) for pair in held.differing(portion)]
            changed += len(rows)
            _write(database, draft, rows, changed)
        for gone in by_number(held.gone()):
            rows = [_tombstone(draft, kind, key) for kind, key in gone]
            changed += len(rows)
            _write(database, draft, rows, changed)
    if changed == 0 and _still_says(database, reader, draft, inputs, label):
        return draft.base
    _finish(database, draft, counts, changed)
    return draft.id


def _begin(database: Database, inputs: Mapping[str, str], label: str) -> Draft:
    said = json.dumps(dict(inputs), sort_keys=True)

    def work(connection: Connection) -> Draft:
        number = database.take_numbers(connection, VERSION_COUNTER)
        connection.execute(database.writes.abandon_drafts)
        base: int | None = connection.execute(database.writes.newest_published).scalar_one()
        row = {"id": number, "state": WRITING, "begun_at": now(), "label": label, "inputs": said, "documents": "{}"}
        connection.execute(database.writes.begin_version, {**row, "changed": 0, "settled": 0})
        return Draft(number, base or 0)

    return database.transact(work)


def _row(draft: Draft, document: Document, digest: bytes) -> dict[str, object]:
    return {
        "kind": document.kind,
        "key": document.key,
        "from_version": draft.id,
        "digest": digest,
        "body": document.body,
    }


def _tombstone(draft: Draft, kind: str, key: str) -> dict[str, object]:
    return {"kind": kind, "key": key, "from_version": draft.id, "digest": None, "body": None}


def _write(database: Database, draft: Draft, rows: Sequence[dict[str, object]], so_far: int) -> None:
    if not rows:
        return

    def work(connection: Connection) -> None:
        _touch(database, connection, draft, so_far)
        connection.execute(database.writes.put_document, list(rows))

    database.transact(work)


def _touch(database: Database, connection: Connection, draft: Draft, so_far: int) -> None:
    values = {"version": draft.id, "so_far": so_far}
    if connection.execute(database.writes.touch_draft, values).rowcount != 1:
        raise _superseded(database, draft)


def _still_says(database: Database, reader: OnlineReader, draft: Draft, inputs: Mapping[str, str], label: str) -> bool:
    """Where nothing changed and readers see the newest version already, that version is confirmed instead of repeated.

    A nightly publish of nothing new would otherwise push out the versions that a rollback is for.
    """
    newest = reader.current()
    if newest is None or newest.id != draft.base or dict(newest.inputs) != dict(inputs) or newest.label != label:
        return False

    def work(connection: Connection) -> bool:
        _touch(database, connection, draft, 0)
        if connection.execute(database.writes.pointed).scalar() != draft.base:
            return False
        connection.execute(database.writes.verify_version, {"version": draft.base, "at": now()})
        connection.execute(database.writes.drop_version, {"version": draft.id})
        return True

    return database.transact(work)


def _finish(database: Database, draft: Draft, counts: Mapping[str, int], changed: int) -> None:
    said = json.dumps(dict(counts), sort_keys=True)

    def work(connection: Connection) -> None:
        values = {"version": draft.id, "at": now(), "counts": said, "so_far": changed}
        if connection.execute(database.writes.finish_version, values).rowcount != 1:
            raise _superseded(database, draft)
        point_to(database, connection, draft.id)

    database.transact(work)


def point_to(database: Database, connection: Connection, version: int) -> None:
    """Turns the pointer that readers follow, as one more change of it."""
    change = database.take_numbers(connection, CHANGE_COUNTER)
    connection.execute(database.writes.point, {"slot": SLOT, "version": version, "change": change})


def _superseded(database: Database, draft: Draft) -> PublishSuperseded:
    return PublishSuperseded(
        f"version {draft.id} of the online store was abandoned: another publisher began after this one",
        where=database.address.text,
        remedy="nothing of it is visible; run one publisher at a time, the newest one wins",
    )
