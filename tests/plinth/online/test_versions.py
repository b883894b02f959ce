"""Versions against a plain model of them: a dictionary for each, and which one is served."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from plinth.online import Document, DocumentRefused, OnlineStore, VersionMissing
from plinth.online.address import parse_address
from plinth.online.schema import documents, versions

Content = dict[tuple[str, str], bytes]

_KEYS = st.sampled_from(["", "a", "b", "Z", "ä", "ü\U0001f9f6", "a'; DROP TABLE x; --", "%_"])
_CONTENT = st.dictionaries(
    st.tuples(st.sampled_from(["list", "item"]), _KEYS), st.sampled_from([b"", b"1", b"2\x00\xff"])
)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), _CONTENT),
        st.tuples(st.just("rollback"), st.integers(0, 4)),
        st.tuples(st.just("prune"), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=8,
)


def stream(content: Content) -> Iterator[Document]:
    """A version's documents, in an order that is not that of the keys."""
    for (kind, key), body in reversed(content.items()):
        yield Document(kind, key, body)


@settings(max_examples=25, deadline=None)
@given(steps=_STEPS)
def test_every_kept_version_reads_as_it_was_published_whatever_came_after(steps: list[tuple[str, object]]) -> None:
    with TemporaryDirectory() as folder, OnlineStore.open(f"sqlite:///{folder}/online.db") as store:
        _follow(store, steps)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(steps=_STEPS)
def test_the_same_holds_in_postgres(postgres_url: str, steps: list[tuple[str, object]]) -> None:
    with OnlineStore.open(postgres_url) as store:
        store.publish([], inputs={"reset": str(id(steps))})
        store.prune(1)
        current = store.current()
        assert current is not None
        _follow(store, steps, {current.id: {}})


def _follow(store: OnlineStore, steps: list[tuple[str, object]], kept: dict[int, Content] | None = None) -> None:
    store.set_up()
    kept = dict(kept or {})
    served = max(kept) if kept else None
    for place, (step, value) in enumerate(steps):
        if step == "publish":
            content: Content = dict(value)  # type: ignore[call-overload]
            served = store.publish(stream(content), inputs={"step": str(place)}).id
            kept[served] = content
        elif step == "rollback" and kept:
            served = sorted(kept)[int(value) % len(kept)]  # type: ignore[call-overload]
            assert store.rollback(served).id == served
        elif step == "prune" and kept:
            store.prune(int(value))  # type: ignore[call-overload]
            floor = min([*sorted(kept)[-int(value) :], served or 0])  # type: ignore[call-overload]
            kept = {version: content for version, content in kept.items() if version >= floor}
        assert [version.id for version in store.versions()] == sorted(kept, reverse=True)
        current = store.current()
        assert (current.id if current is not None else None) == served
        for version, content in kept.items():
            _reads_as(store, version, content)
        if served is not None:
            _reads_as(store, None, kept[served])


def _reads_as(store: OnlineStore, version: int | None, content: Content) -> None:
    for kind in ("list", "item"):
        expected = {key: body for (each, key), body in content.items() if each == kind}
        assert dict(store.scan(kind, None, 100, version)) == expected
        assert store.read_many(kind, ["", "a", "b", "Z", "ä", "gone"], version) == {
            key: body for key, body in expected.items() if key in ("", "a", "b", "Z", "ä")
        }
        for key in ("", "a", "ü\U0001f9f6", "a'; DROP TABLE x; --"):
            assert store.read(kind, key, version) == expected.get(key)


def test_pages_follow_each_other_without_gap_or_repeat_in_the_order_of_bytes(store: OnlineStore) -> None:
    keys = ["", "B", "a", "a b", "b", "ä", "é", "\U0001f9f6", *(f"{number:04}" for number in range(2000))]
    store.publish((Document("list", key, key.encode()) for key in keys), inputs={})
    found: list[str] = []
    after: str | None = None
    while page := store.scan("list", after, 300):
        found += [key for key, _ in page]
        after = page[-1][0]
    assert found == sorted(keys, key=lambda key: key.encode())
    assert [key for key, _ in store.scan("list", "", 1)] == ["0000"]
    assert len(store.read_many("list", keys)) == len(keys)


def test_an_unchanged_document_is_not_written_again_and_the_version_says_how_many_were(store: OnlineStore) -> None:
    content = {("list", f"{number}"): b"same" for number in range(1200)}
    assert store.publish(stream(content), inputs={"a": "1"}).changed == 1200
    content[("list", "7")] = b"other"
    del content[("list", "8")]
    assert store.publish(stream(content), inputs={"a": "2"}).changed == 2
    assert _rows(store) == 1200 + 2
    store.prune(1)
    assert _rows(store) == 1199


def test_of_a_version_that_went_nothing_stays(store: OnlineStore) -> None:
    for number in range(6):
        store.publish([Document("list", "1", b"%d" % number)], inputs={})
        store.prune(2)
    engine = parse_address(store.address.url.render_as_string(hide_password=False)).engine()
    with engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(versions)).scalar_one() == 2
    engine.dispose()
    assert _rows(store) == 2


def test_a_publish_of_the_same_from_the_same_confirms_the_version_that_is_there(store: OnlineStore) -> None:
    content = {("list", "1"): b"x"}
    first = store.publish(stream(content), inputs={"a": "1"})
    again = store.publish(stream(content), inputs={"a": "1"})
    assert again.id == first.id
    assert again.verified_at > first.verified_at
    assert store.publish(stream(content), inputs={"a": "2"}).id > first.id
    assert len(store.versions()) == 2


def test_a_publish_ends_a_rollback_also_where_nothing_changed(store: OnlineStore) -> None:
    store.publish(stream({("list", "1"): b"old"}), inputs={"a": "1"})
    newest = store.publish(stream({("list", "1"): b"new"}), inputs={"a": "2"})
    store.rollback()
    assert store.read("list", "1") == b"old"
    again = store.publish(stream({("list", "1"): b"new"}), inputs={"a": "2"})
    assert again.id > newest.id
    assert store.read("list", "1") == b"new"


def test_a_version_that_is_not_kept_is_told_from_a_document_that_is_not_there(store: OnlineStore) -> None:
    first = store.publish(stream({("list", "1"): b"x"}), inputs={"a": "1"})
    second = store.publish(stream({("list", "2"): b"x"}), inputs={"a": "2"})
    assert store.read("list", "1", second.id) is None
    store.prune(1)
    for ask in (lambda: store.read("list", "1", first.id), lambda: store.scan("list", None, 5, first.id)):
        with pytest.raises(VersionMissing):
            ask()
    with pytest.raises(VersionMissing):
        store.read_many("list", ["1"], first.id)
    with pytest.raises(VersionMissing):
        store.rollback(first.id)
    with pytest.raises(VersionMissing):
        store.rollback()
    with pytest.raises(VersionMissing):
        store.read("list", "2", second.id + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        Document("list", "\x00", b""),
        Document("list", "\ud800", b""),
        Document("list", "x" * 600, b""),
        Document("", "x", b""),
        Document("list", "twice", b"1"),
    ],
    ids=["nul", "surrogate", "long", "kind", "twice"],
)
def test_a_document_that_cannot_be_stored_stops_the_publish(store: OnlineStore, wrong: Document) -> None:
    first = store.publish([Document("list", "twice", b"0")], inputs={})
    with pytest.raises(DocumentRefused):
        store.publish([Document("list", "twice", b"2"), wrong], inputs={"a": "1"})
    current = store.current()
    assert current is not None
    assert current.id == first.id
    assert store.read("list", "twice") == b"0"


@pytest.mark.parametrize("key", ["\x00", "\ud800", "x" * 10_000, "' OR 1=1 --", "../../etc"])
def test_a_key_that_can_be_no_key_has_no_document(store: OnlineStore, key: str) -> None:
    store.publish([Document("list", "1", b"x")], inputs={})
    assert store.read("list", key) is None
    assert store.read_many("list", [key, "1"]) == {"1": b"x"}
    assert store.scan("list", key) in ([], [("1", b"x")])


def test_the_stream_is_never_held_in_memory(sqlite_url: str) -> None:
    living = peak = 0

    class Body(bytes):
        def __del__(self) -> None:
            nonlocal living
            living -= 1

    def many() -> Iterator[Document]:
        nonlocal living, peak
        for number in range(6000):
            living += 1
            peak = max(peak, living)
            yield Document("list", str(number), Body(b"%d" % number))

    with OnlineStore.open(sqlite_url) as store:
        store.publish(many(), inputs={})
    gc.collect()
    assert living == 0
    assert peak < 2000


def test_a_reader_without_the_right_to_write_makes_nothing(sqlite_url: str, tmp_path: Path) -> None:
    from plinth.errors import ConfigurationError

    with OnlineStore.open(sqlite_url, read_only=True) as reader:
        with pytest.raises(ConfigurationError):
            reader.publish([], inputs={})
        assert not (tmp_path / "online").exists()


def _rows(store: OnlineStore) -> int:
    engine = parse_address(store.address.url.render_as_string(hide_password=False)).engine()
    with engine.begin() as connection:
        found = connection.execute(select(func.count()).select_from(documents)).scalar_one()
    engine.dispose()
    return int(found)
