"""The server as a process: it ends without failing a request, outlives its own death, and keeps its limits on a raw connection."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.keys.key import new_key
from api.keys.table import KeyTable
from tests.api.process import ApiProcess
from tests.api.published import CUSTOMERS, publish

pytestmark = pytest.mark.slow

PATH = "/v1/customers/1/recommendations"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiProcess]:
    """A server over a store with one version."""
    url = f"sqlite:///{tmp_path / 'online.db'}"
    publish(url)
    server = ApiProcess(
        tmp_path, url, drain_seconds=0.5, poll_seconds=0.1, request_seconds=1, rate_per_second=1e6, burst=1e6
    )
    server.start()
    yield server
    server.kill()


def test_it_prints_a_key_at_once_and_says_nothing_personal_in_its_log(api: ApiProcess) -> None:
    with api.client() as client:
        assert client.get(PATH).status_code == 200
        assert client.get("/v1/customers/Zebra-4711/features?country=Atlantis").status_code == 404
        events = [{"id": "Okapi-1", "customer": "Zebra-4711", "session": "Gnu-9", "item": "Emu-3", "kind": "view"}]
        assert client.post("/v1/events", json={"events": events}).status_code == 200
        assert client.post("/v1/events", json={"events": [{"id": "Yak\x00"}]}).status_code == 422
        assert client.post("/v1/recommendations", json={"items": ["Emu-3"], "session": "Gnu-9"}).status_code == 200
        api.raw(b"GET /Lemur HTTP/1.1\r\nHost: x\r\nX-Ibex: 1\r\nConnection: close\r\n\r\n", seconds=1)
        api.raw(b"Quagga\r\n\r\n", seconds=1)
        # The id of a request is in its answer and in the log.
        request = client.get(PATH).headers["x-request-id"]
    time.sleep(0.5)
    assert api.terminate() in (0, -signal.SIGTERM)
    # The key for trying is told to whoever started it; that part is no log.
    lines = [line for line in api.printed().splitlines() if line.startswith("{")]
    log = "\n".join(lines)
    assert any(json.loads(line).get("request") == request for line in lines)
    for word in (
        "Zebra",
        "4711",
        "Gnu",
        "Emu",
        "Okapi",
        "Yak",
        "Lemur",
        "Quagga",
        "Ibex",
        "Atlantis",
        "127.0.0.1",
        api.key[-43:],
    ):
        assert word not in log
    assert '"route":"/v1/customers/{id}/features","status":404' in log


def test_sigterm_fails_no_request(api: ApiProcess) -> None:
    failures: list[str] = []
    answered = [0] * 4
    drained: list[int] = []
    pauses = (0, 0, 0.05, 0.45)

    def ask(number: int) -> None:
        with api.client() as client:
            while True:
                try:
                    response = client.get(PATH)
                except httpx.TransportError as error:
                    failures.append(type(error).__name__)
                    return
                if response.status_code != 200:
                    failures.append(str(response.status_code))
                answered[number] += 1
                if response.headers.get("connection") == "close":
                    # As a balancer does it: who says that it drains gets no new connection.
                    drained.append(number)
                    return
                time.sleep(pauses[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while answered[3] < 2:
        time.sleep(0.01)
    assert api.terminate() in (0, -signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(drained) == [0, 1, 2, 3]


def test_while_it_drains_it_is_not_ready_and_sends_clients_away(api: ApiProcess) -> None:
    assert api.process is not None
    with api.client() as client:
        assert "connection" not in client.get(PATH).headers
        api.process.send_signal(signal.SIGTERM)
        for _ in range(1000):
            ready = httpx.get(api.base + "/health/ready")
            if ready.status_code == 503:
                break
        assert ready.json()["status"] == "draining"
        response = client.get(PATH)
        assert (response.status_code, response.headers["connection"]) == (200, "close")
    api.process.wait(20)


def test_events_that_were_accepted_outlive_a_killed_server_and_count_once(api: ApiProcess) -> None:
    accepted: list[str] = []
    stop = threading.Event()

    def send() -> None:
        with api.client() as client:
            number = 0
            while not stop.is_set():
                batch = [{"id": f"k{number}", "customer": "2", "item": "10002", "kind": "view"}]
                try:
                    response = client.post("/v1/events", json={"events": batch})
                except httpx.TransportError:
                    return
                if response.status_code == 200:
                    accepted.extend(response.json()["accepted"])
                number += 1

    sender = threading.Thread(target=send)
    sender.start()
    while len(accepted) < 30:
        time.sleep(0.01)
    api.kill()
    stop.set()
    sender.join()
    api.start()
    with api.client() as client:
        again = [{"id": name, "customer": "2", "item": "10002", "kind": "view"} for name in accepted]
        answer = client.post("/v1/events", json={"events": again}).json()
        assert answer == {"accepted": [], "repeated": accepted}
        # What happened before the end still counts in the list.
        assert client.get("/v1/customers/2/recommendations").json()["session_events"] >= 30


def test_a_publication_under_load_is_seen_whole(api: ApiProcess, tmp_path: Path) -> None:
    seen: set[tuple[str, str]] = set()
    wrong: list[str] = []
    ended = threading.Event()

    def ask(customer: str) -> None:
        with api.client() as client:
            while not ended.is_set():
                response = client.get(f"/v1/customers/{customer}/recommendations")
                reasons = {each["reason"] for each in response.json()["items"]}
                if len(reasons) != 1:
                    wrong.append(response.text)
                seen.add((response.headers["plinth-version"], reasons.pop()))

    threads = [threading.Thread(target=ask, args=(customer,)) for customer in CUSTOMERS]
    for thread in threads:
        thread.start()
    while ("1", "bought before (first)") not in seen:
        time.sleep(0.02)
    for mark in ("second", "third"):
        number = publish(f"sqlite:///{tmp_path / 'online.db'}", mark).id
        while (str(number), f"bought before ({mark})") not in seen:
            time.sleep(0.02)
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert seen == {("1", "bought before (first)"), ("2", "bought before (second)"), ("3", "bought before (third)")}


def test_a_raw_connection_has_its_limits(api: ApiProcess) -> None:
    head = f"Host: x\r\nAuthorization: Bearer {api.key}\r\nContent-Type: application/json\r\n".encode()
    post = b"POST /v1/events HTTP/1.1\r\n" + head
    cases = {
        "a body that does not come": (post + b"Content-Length: 100\r\n\r\n{", b" 408 "),
        "a body longer than said may be": (post + b"Content-Length: 99999999\r\n\r\n{", b" 413 "),
        "chunks without end": (post + b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"[" * 0x8000 + b"\r\n" + b"40000\r\n" + b" " * 0x40000 + b"\r\n", b" 413 "),
        "a head without end": (b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 400_000, b" 431 "),
        "no HTTP": (b"\x16\x03\x01\x02\x00" * 40, b" 400 "),
        "two lengths": (post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b" 400 "),
        "length and chunks": (post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b" 400 "),
        "a header with a line break in its name": (b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n", b" 400 "),
        "a path up": (b"GET /v1/../v1/tables HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n", b" 404 "),
        "bytes in a path": (b"GET /v1/\xff\xfe HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n", b" 40"),
        "an address as a path": (b"GET http://169.254.169.254/v1 HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n", b" 404 "),
        "an upgrade": (b"GET /v1/tables HTTP/1.1\r\n" + head + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n", b" 200 "),
    }  # fmt: skip
    for name, (sent, status) in cases.items():
        received = api.raw(sent, seconds=4)
        assert status in received.split(b"\r\n")[0], (name, received[:300])
        if status != b" 200 ":
            assert b"application/problem+json" in received, name
    with api.client() as client:
        assert client.get(PATH).status_code == 200
        # Two requests in one packet are two answers.
        twice = api.raw(2 * (b"GET " + PATH.encode() + b" HTTP/1.1\r\n" + head + b"\r\n"), seconds=1)
        assert len(re.findall(rb"HTTP/1.1 200 OK", twice)) == 2


def test_several_workers_share_keys_events_and_figures(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'online.db'}"
    publish(url)
    server = ApiProcess(tmp_path, url, workers=2, poll_seconds=0.1, drain_seconds=0.1)
    try:
        server.start()
        batch = {"events": [{"id": "w1", "customer": "1", "item": "10003", "kind": "view"}]}
        with server.client() as client:
            assert client.post("/v1/events", json=batch).status_code == 200
        in_a_row = 0
        while in_a_row < 20:
            # A connection for each request: either worker may get it.
            body = httpx.get(server.base + PATH, headers={"Authorization": f"Bearer {server.key}"}).json()
            in_a_row = in_a_row + 1 if body.get("session_events") == 1 else 0
        counted = httpx.get(server.base + "/metrics").text
        assert "plinth_api_events_accepted_total 1.0" in counted
        done = re.search(r'requests_total\{route="/v1/customers/\{id\}/recommendations",status="200"\} (\d+)', counted)
        assert done is not None
        assert int(done.group(1)) >= 20
        _check_rate_of_all_workers(server)
        assert server.terminate() in (0, -signal.SIGTERM)
    finally:
        server.kill()


def _check_rate_of_all_workers(server: ApiProcess) -> None:
    """A key's rate holds for the server, whichever worker a connection comes to."""
    made = subprocess.run(
        [sys.executable, "-m", "plinth.cli", "key", "create", "few", "--scope", "recommendations:read", "--rate", "0.001", "--burst", "6"],
        cwd=server.folder, env=_environment(), capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    # Until both workers know it, one of them refuses it as unknown.
    statuses = [0]
    while 429 not in statuses or statuses[-20:].count(429) < 20:
        statuses.append(httpx.get(server.base + PATH, headers={"Authorization": f"Bearer {made}"}).status_code)
    assert set(statuses[1:]) <= {200, 401, 429}
    assert 3 <= statuses.count(200) <= 6


def test_keys_are_made_listed_rotated_and_revoked_by_command(api: ApiProcess) -> None:
    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "plinth.cli", "key", *arguments],
            cwd=api.folder, env={**_environment()}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    made = command("create", "webshop", "--scope", "recommendations:read", "--days", "30")
    identity = made.split("_")[1]
    with httpx.Client(base_url=api.base) as client:

        def status(text: str, wanted: int) -> None:
            for _ in range(500):
                found = client.get(PATH, headers={"Authorization": f"Bearer {text}"}).status_code
                if found == wanted:
                    return
                time.sleep(0.01)
            raise AssertionError(f"{wanted} was expected, {found} found")

        status(made, 200)
        assert identity in command("list")
        rotated = command("rotate", identity)
        status(rotated, 200)
        status(made, 200)
        command("revoke", identity)
        status(made, 401)
        status(rotated, 200)


@pytest.mark.parametrize("broken", ["damaged", "away"])
def test_it_starts_beside_a_store_that_does_not_answer_and_serves_it_once_it_does(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "there" / "online.db"
    good = tmp_path / "good.db"
    publish(f"sqlite:///{good}")
    with sqlite3.connect(good) as con:
        con.execute("PRAGMA journal_mode = DELETE")
    con.close()
    if broken == "damaged":
        file.parent.mkdir()
        file.write_bytes(b"no database" * 1000)
    else:
        file.parent.write_text("a file in the place of the folder, like a disk that was not mounted")
    server = ApiProcess(tmp_path, f"sqlite:///{file}", poll_seconds=0.1)
    try:
        server.start(ready=False)
        assert "did not answer" in server.printed() and "starts all the same" in server.printed()
        assert httpx.get(server.base + "/health/ready").status_code == 503
        if broken == "away":
            file.parent.unlink()
            file.parent.mkdir()
        good.replace(file)
        limit = time.monotonic() + 60
        while httpx.get(server.base + "/health/ready").status_code != 200:
            assert time.monotonic() < limit, server.printed()
            time.sleep(0.05)
    finally:
        server.kill()


def test_where_others_have_keys_it_says_so_and_how_to_ask_all_the_same(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'online.db'}"
    publish(url)
    table = KeyTable(url)
    table.set_up()
    table.add(new_key("webshop", ["events:write"], rate=1, burst=1, lasts=None).key)
    table.close()
    server = ApiProcess(tmp_path, url)
    try:
        server.start()
        said = server.printed()
        assert "No key is made for trying, since there are others: webshop" in said
        assert f"curl -H 'Authorization: Bearer plinth_…' {server.base}/v1/customers/" in said
        assert "plinth key create" in said
    finally:
        server.kill()


def _environment() -> dict[str, str]:
    import os

    from tests.frame.shop import PROJECT

    return {**os.environ, "PYTHONPATH": str(PROJECT), "PLINTH_PLATFORM": ""}
