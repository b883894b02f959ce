"""Keys: each opens its scopes and nothing else, ends when it should, is kept as a hash, and has so many requests a second."""

from __future__ import annotations

import re
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.sql import ClauseElement

from api.cli import development_key
from api.keys.key import SCOPES, KeyRefused, new_key
from api.keys.ring import Held, Ring
from api.keys.table import KeyTable, api_keys
from plinth.api_settings import Api
from tests.api.conftest import Served, bearer, problem, serve_here
from tests.plinth.online.test_statements import DIALECTS, REFUSED

NEEDS = {
    "/v1/customers/1/recommendations": "recommendations:read",
    "/v1/customers/1/recommendations?limit=1": "recommendations:read",
    "/v1/customers/1/promotions": "promotions:read",
    "/v1/customers/1/features": "features:read",
    "/v1/customers/1/items": "features:read",
    "/v1/items/10001/features": "features:read",
    "/v1/items/10001/similar": "recommendations:read",
    "/v1/tables": "catalogue:read",
    "/v1/tables/gold/interactions": "catalogue:read",
}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_its_scope_and_no_other(served: Served, scope: str) -> None:
    head = bearer(served.made(scope).text)
    for path, needed in NEEDS.items():
        response = served.client.get(path, headers=head)
        if needed == scope:
            assert response.status_code == 200
        else:
            assert needed in problem(response, 403, "scope-missing")["detail"]
    for path, needed, body in (
        ("/v1/events", "events:write", {"events": [{"id": scope, "customer": "1", "item": "10001", "kind": "view"}]}),
        ("/v1/recommendations", "recommendations:read", {"items": ["10001"]}),
        ("/v1/features", "features:read", {"pairs": [{"customer": "1", "item": "10001"}]}),
    ):
        assert served.client.post(path, headers=head, json=body).status_code == (200 if needed == scope else 403)


@pytest.mark.parametrize(
    "sent",
    [
        "", "Bearer", "Bearer ", "Basic YTpi", "Bearer plinth_0123456789abcdef_" + "A" * 43, "Bearer plinth_" + "x" * 60,
        "bearer {key}", "Bearer  {key}", "Bearer {key} ", "Bearer {key}A", "Bearer {wrong}", "{key}", "Bearer {key},Bearer {key}",
    ],
)  # fmt: skip
def test_whatever_is_not_a_valid_key_is_refused_alike(served: Served, sent: str) -> None:
    key = served.key.text
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    for path in ("/v1/customers/1/recommendations", "/v1/tables"):
        response = served.client.get(path, headers={"Authorization": sent.format(key=key, wrong=wrong)})
        if sent == "Bearer {key} ":
            # Blanks around a header's value are no part of it, and the test's transport leaves them in place.
            assert response.status_code in (200, 401)
            continue
        said = problem(response, 401, "not-authenticated")
        assert response.headers["www-authenticate"] == "Bearer"
        assert "errors" not in said


def test_two_keys_in_one_request_are_refused(served: Served) -> None:
    head = [("Authorization", f"Bearer {served.key.text}")] * 2
    client = served.client
    request = client.build_request("GET", "/v1/customers/1/recommendations")
    request.headers = type(request.headers)([("host", "testserver"), *head])
    problem(client.send(request), 401, "not-authenticated")


def test_a_revoked_key_is_refused_soon(served: Served) -> None:
    made = served.made("features:read")
    head = bearer(made.text)
    assert served.client.get("/v1/customers/1/features", headers=head).status_code == 200
    served.keys.revoke(made.key.id)
    for _ in range(2000):
        response = served.client.get("/v1/customers/1/features", headers=head)
        if response.status_code != 200:
            break
    problem(response, 401, "not-authenticated")


def test_a_look_that_finds_the_keys_as_they_were_leaves_the_ring_as_it_was(served: Served) -> None:
    made = served.made("features:read")
    sent, ring = f"Bearer {made.text}".encode(), Ring()
    ring.renew(served.keys.all())
    held = ring.find(sent)
    assert held is not None
    ring.renew(served.keys.all())
    assert ring.find(sent) is held
    served.made("features:read")
    ring.renew(served.keys.all())
    assert ring.find(sent) is not held
    served.keys.revoke(made.key.id)
    ring.renew(served.keys.all())
    assert ring.find(sent) is None


def test_a_key_ends_at_its_time_also_between_two_looks_at_the_table() -> None:
    made = new_key("short", ["features:read"], rate=1, burst=1, lasts=timedelta(seconds=30))
    ring = Ring()
    ring.renew([made.key])
    sent = f"Bearer {made.text}".encode()
    held = ring.find(sent)
    assert held is not None
    held.ends = (datetime.now(UTC) - timedelta(seconds=1)).timestamp()
    assert ring.find(sent) is None
    ring.renew([new_key("x", SCOPES, rate=1, burst=1, lasts=None).key])
    assert ring.find(sent) is None


def test_after_a_rotation_both_keys_open_the_same_until_the_overlap_ends(served: Served) -> None:
    old = served.made("promotions:read", lasts=timedelta(days=1))
    fresh, ending = served.keys.rotate(old.key.id, timedelta(hours=2), None)
    served.application.worker.ring.renew(served.keys.all())
    for text in (old.text, fresh.text):
        assert served.client.get("/v1/customers/1/promotions", headers=bearer(text)).status_code == 200
        assert served.client.get("/v1/customers/1/features", headers=bearer(text)).status_code == 403
    assert ending.expires_at is not None
    assert timedelta(hours=1) < ending.expires_at - datetime.now(UTC) <= timedelta(hours=2)
    assert (fresh.key.rate, fresh.key.burst, fresh.key.name) == (old.key.rate, old.key.burst, old.key.name)
    served.keys.rotate(fresh.key.id, timedelta(0), None)
    served.application.worker.ring.renew(served.keys.all())
    assert served.client.get("/v1/customers/1/promotions", headers=bearer(fresh.text)).status_code == 401
    with pytest.raises(KeyRefused, match="has ended"):
        served.keys.rotate(fresh.key.id, timedelta(0), None)


def test_nothing_in_the_store_gives_a_secret_away(served: Served) -> None:
    made = served.made("features:read")
    secret = made.text.rpartition("_")[2] if made.text.count("_") == 2 else made.text[24:]
    with sqlite3.connect(served.url.removeprefix("sqlite:///")) as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        held = "".join(con.iterdump())
    assert made.key.id in held
    assert secret not in held
    assert secret.encode().hex().upper() not in held.upper()


def test_a_key_that_cannot_be_is_refused_with_what_can() -> None:
    with pytest.raises(KeyRefused, match="recommendations:read"):
        new_key("x", ["everything"], rate=1, burst=1, lasts=None)
    with pytest.raises(KeyRefused):
        new_key("x", [], rate=1, burst=1, lasts=None)
    with pytest.raises(KeyRefused):
        new_key("x\n", ["features:read"], rate=1, burst=1, lasts=None)
    with pytest.raises(KeyRefused):
        new_key("x", ["features:read"], rate=0, burst=1, lasts=None)


def test_too_many_requests_are_told_when_to_come_again(served: Served) -> None:
    head = bearer(served.made(rate=0.5, burst=3).text)
    answers = [served.client.get("/v1/customers/1/features", headers=head) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    problem(answers[-1], 429, "rate-limited")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
    # The limit is the key's, whichever route it asks, and no other key's.
    problem(served.client.get("/v1/tables", headers=head), 429, "rate-limited")
    assert served.client.get("/v1/tables").status_code == 200


def test_a_look_at_the_table_fills_no_bucket() -> None:
    made = new_key("x", SCOPES, rate=0.001, burst=2, lasts=None)
    ring = Ring()
    for _ in range(3):
        ring.renew([made.key])
        held = ring.find(f"Bearer {made.text}".encode())
        assert held is not None
        held.take()
    assert not held.take()


@given(
    st.floats(0.1, 1000),
    st.floats(1, 100),
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(rate: float, burst: float, gaps: list[float]) -> None:
    clock = 1000.0
    held = Held(new_key("x", SCOPES, rate=rate, burst=burst, lasts=None).key)
    held.filled_at = clock
    taken, began = 0, clock
    for gap in gaps:
        clock += gap
        taken += held.take(now=clock)
        assert taken <= burst + rate * (clock - began) + 1e-6
    assert held.wait() >= 0


def test_a_key_for_trying_takes_the_place_of_the_last_one_and_is_not_made_beside_real_ones(store_url: str) -> None:
    table = KeyTable(store_url)
    table.set_up()
    first = development_key(table, Api())
    second = development_key(table, Api())
    assert first is not None and second is not None
    states = {key.id: key.state(datetime.now(UTC)) for key in table.all()}
    assert states == {first.key.id: "revoked", second.key.id: "valid"}
    table.add(new_key("webshop", ["events:write"], rate=1, burst=1, lasts=None).key)
    assert development_key(table, Api()) is None


def test_statements_about_keys_keep_to_what_cockroachdb_has(store_url: str) -> None:
    ran: list[ClauseElement] = []

    def note(_: object, statement: ClauseElement, *__: object) -> None:
        ran.append(statement)

    sa.event.listen(sa.Engine, "before_execute", note)
    try:
        table = KeyTable(store_url)
        table.set_up()
        table.add((made := new_key("webshop", SCOPES, rate=1, burst=1, lasts=None)).key)
        table.revoke(table.rotate(made.key.id, timedelta(hours=1), None)[0].key.id)
    finally:
        sa.event.remove(sa.Engine, "before_execute", note)
    texts = [str(each.compile(dialect=DIALECTS["cockroachdb"])).lower() for each in ran]
    assert {text.split()[0] for text in texts} >= {"create", "insert", "select", "update"}
    assert [(text, pattern) for text in texts for pattern in REFUSED if re.search(pattern, text)] == []
    assert api_keys.primary_key.columns.keys() == ["id"]


@pytest.mark.slow
def test_keys_are_kept_in_postgresql_as_well(postgres_db: str) -> None:
    table = KeyTable(postgres_db)
    table.set_up()
    table.set_up()
    made = new_key("webshop", ["events:write", "features:read"], rate=2.5, burst=7, lasts=timedelta(days=3))
    table.add(made.key)
    assert [(each.id, each.digest, each.scopes) for each in table.all()] == [
        (made.key.id, made.key.digest, made.key.scopes)
    ]
    fresh, _ = table.rotate(made.key.id, timedelta(hours=1), None)
    table.revoke(fresh.key.id)
    assert [each.state(datetime.now(UTC)) for each in table.all()] == ["valid", "revoked"]
    table.close()


def test_the_workers_of_a_server_share_a_rate_and_say_the_whole_of_it(store_url: str, tmp_path: Path) -> None:
    key = new_key("x", SCOPES, rate=9, burst=12, lasts=None).key
    parts = [Held(key, 3) for _ in range(3)]
    now = time.monotonic()
    assert sum(part.take(now=now) for part in parts for _ in range(50)) == 12
    assert sum(part.take(now=now + 1) for part in parts for _ in range(50)) == 9
    assert Held(new_key("x", SCOPES, rate=1, burst=1, lasts=None).key, 4).take(), "a part has room for a request"
    for served in serve_here(store_url, tmp_path, workers=2):
        made = served.made("features:read", rate=3, burst=2)
        path, head = "/v1/customers/1/features", bearer(made.text)
        statuses = [served.client.get(path, headers=head) for _ in range(2)]
        assert [each.status_code for each in statuses] == [200, 429]
        assert "3 requests a second" in statuses[1].text
