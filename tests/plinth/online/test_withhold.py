"""What is withheld is read in no version, whatever is published or rolled back to, until it is withheld no more."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import delete, inspect

from plinth.online import Document, OnlineStore
from plinth.online.address import parse_address
from plinth.online.schema import WITHHELD_COUNTER, counters, withheld


def offers(mark: bytes, *keys: str) -> Iterator[Document]:
    for key in keys:
        yield Document("promotions", key, mark)
        yield Document("list", key, mark)


def shown(store: OnlineStore, key: str) -> set[bytes | None]:
    """What every way of reading says of a key: in the version that is served, and in each that is kept."""
    found = {store.read("promotions", key), store.read_many("promotions", [key]).get(key)}
    if store.read("promotions", key) is None:
        for version in store.versions():
            found |= {store.read("promotions", key, version.id)}
            found |= {store.read_many("promotions", [key], version.id).get(key)}
    return found


def test_no_version_shows_what_is_withheld_neither_after_a_publish_nor_after_a_rollback(store: OnlineStore) -> None:
    store.publish(offers(b"1", "a", "b"), inputs={"plan": "1"})
    assert shown(store, "a") == {b"1"}
    assert store.withhold("promotions", ["a", "never published"])
    assert shown(store, "a") == {None}
    store.publish(offers(b"2", "a", "b"), inputs={"plan": "2"})
    assert (shown(store, "a"), shown(store, "b")) == ({None}, {b"2"})
    store.rollback()
    assert (shown(store, "a"), shown(store, "b")) == ({None}, {b"1"})
    store.prune(1)
    assert shown(store, "a") == {None}
    assert store.read("list", "a") == b"1", "another kind is not meant"
    assert store.keys("promotions") == {"a", "b"}
    assert store.withhold("promotions", ["b"])
    assert (shown(store, "a"), shown(store, "b")) == ({b"1"}, {None})
    assert store.withheld("promotions") == {"b"}
    assert not store.withhold("promotions", ["b"])


def test_who_keeps_a_copy_is_told_of_each_change(store: OnlineStore) -> None:
    store.set_up()
    seen = [store.withheld_change()]
    for keys in (["a"], ["b"], []):
        store.withhold("promotions", keys)
        seen.append(store.withheld_change())
    assert seen == sorted(set(seen))


def test_more_than_a_portion_is_withheld_and_shown_again(store: OnlineStore) -> None:
    keys = [str(number) for number in range(1203)]
    store.withhold("promotions", keys)
    assert store.withheld("promotions") == set(keys)
    store.withhold("promotions", keys[1200:])
    assert store.withheld("promotions") == set(keys[1200:])


def test_a_store_of_before_gets_the_table_with_its_next_user(url: str) -> None:
    with OnlineStore.open(url) as store:
        store.publish(offers(b"1", "a"), inputs={})
    engine = parse_address(url).engine()
    with engine.begin() as connection:
        withheld.drop(connection)
        connection.execute(delete(counters).where(counters.c.name == WITHHELD_COUNTER))
        assert not inspect(connection).has_table(withheld.name)
    engine.dispose()
    with OnlineStore.open(url) as store:
        store.set_up()
        assert store.read("promotions", "a") == b"1"
        assert store.withhold("promotions", ["a"])
        assert store.read("promotions", "a") is None
