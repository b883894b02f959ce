"""The shortest way out answers what the application answers: the same bytes for the same request, and the same lines in the log."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from api.app import Application
from api.http.fast import App, FastLane, Receive, Scope, Send
from api.http.protocol import GuardedProtocol
from api.keys.table import KeyTable
from plinth.api_settings import Api
from tests.api.conftest import make_key

LIST = "/v1/customers/1/recommendations"
PLAIN = (
    LIST, "/v1/customers/1/promotions", "/v1/customers/2/features", "/v1/customers/2/items", "/v1/items/10001/similar",
    "/v1/items/10002/features", "/v1/tables/gold/interactions",
)  # fmt: skip
LAST = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHANGING = re.compile(rb"(x-request-id: |urn:plinth:request:)[0-9a-f]+-[0-9a-f]+|date: [^\r]+")


class Both:
    """One worker behind two listeners: one whose protocol may answer by itself, and one where every request reaches the application.

    Attributes:
        reached: requests of the first listener that the application saw.
    """

    def __init__(self, application: Application, log: io.StringIO, keys: KeyTable) -> None:
        self.application = application
        self.keys = keys
        self.key = make_key(keys, application=application).text
        self.reached = 0
        self._log = log
        self.ports: list[int] = []

    async def listen(self) -> list[asyncio.Server]:
        lane = self.application.asgi
        assert isinstance(lane, FastLane)
        # What is no fast lane is never asked for a direct answer.
        servers = [await _listener(app) for app in (_Counting(lane, self), _through(lane))]
        self.ports = [each.sockets[0].getsockname()[1] for each in servers]
        return servers

    async def ask(self, sent: bytes) -> tuple[bytes, bytes]:
        """What each listener answers until it closes; a last request asks it to."""
        return await self.exchange(0, sent), await self.exchange(1, sent)

    async def same(self, sent: bytes) -> bytes:
        """The answer, which is the same from both but for what names the request and the second."""
        direct, through = await self.ask(sent)
        assert _steady(direct) == _steady(through), sent
        return direct

    def lines(self) -> list[tuple[str, str, int, str]]:
        """What the log says of the requests since the last call."""
        self.application.worker.log.flush()
        lines = [json.loads(line) for line in self._log.getvalue().splitlines()]
        self._log.seek(0)
        self._log.truncate()
        return [(each["method"], each["route"], each["status"], each["key"]) for each in lines]

    async def exchange(self, place: int, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[place])
        writer.write(sent)
        await writer.drain()
        writer.write(LAST)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


class _Counting(FastLane):
    def __init__(self, lane: FastLane, both: Both) -> None:
        self.direct = lane.direct
        self._lane, self._both = lane, both

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._both.reached += scope["path"] != "/health/live"
        await self._lane(scope, receive, send)


def _through(app: App) -> App:
    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return pass_on


async def _listener(app: App) -> asyncio.Server:
    config = Config(app, http=GuardedProtocol, proxy_headers=False, lifespan="off", log_config=None)  # type: ignore[arg-type]
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Tue, 24 Nov 2026 10:00:00 GMT")]
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: GuardedProtocol(config, state, {}), "127.0.0.1", 0)


def _steady(answer: bytes) -> bytes:
    return CHANGING.sub(b"-", answer)


def over_both(url: str, folder: Path, test: Callable[[Both], Awaitable[None]]) -> None:
    """Runs a test over both listeners."""

    async def run() -> None:
        async with _both(url, folder) as both:
            await test(both)

    asyncio.run(run())


@asynccontextmanager
async def _both(url: str, folder: Path) -> AsyncIterator[Both]:
    keys = KeyTable(url)
    keys.set_up()
    log = io.StringIO()
    settings = Api.model_validate({"poll_seconds": 0.05, "drain_seconds": 0})
    application = Application(url, settings, counters=folder / "counters", log=log)
    await application.worker.start()
    both = Both(application, log, keys)
    servers = await both.listen()
    try:
        yield both
    finally:
        for each in servers:
            each.close()
        await application.worker.stop()
        keys.close()


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request's bytes; `{key}` in a header is left to whoever sends it."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *headers, "", ""]).encode()


KEY = "Authorization: Bearer {key}"
WRONG = "Authorization: Bearer plinth_0123456789abcdef_" + "A" * 43
REQUESTS = {
    **{f"plain {path}": get(path, KEY) for path in PLAIN},
    "names in capitals": get(LIST, "AUTHORIZATION: Bearer {key}", "ACCEPT: */*"),
    "kept open by name": get(LIST, KEY, "Connection: keep-alive"),
    "two in a packet": 2 * get(LIST, KEY),
    "a slow one between quick ones": get(LIST, KEY) + get(f"{LIST}?limit=1", KEY) + get(PLAIN[1], KEY),
    "a quick one after a slow one": get("/v1/tables", KEY) + get(LIST, KEY) + get("/v1/none", KEY) + get(LIST, KEY),
    "an ETag of another body": get(LIST, KEY, 'If-None-Match: "other"'),
    "any ETag": get(LIST, KEY, "If-None-Match: *"),
    "two ETag headers": get(LIST, KEY, 'If-None-Match: "other"', "If-None-Match: *"),
    "closing": get(LIST, KEY, "Connection: close") + get(LIST, KEY),
    "HTTP/1.0": get(LIST, KEY, version="1.0"),
    "HTTP/1.0 kept open": get(LIST, KEY, "Connection: keep-alive", version="1.0"),
    "HEAD": get(LIST, KEY, method="HEAD"),
    "another method": get(LIST, KEY, "Content-Length: 0", method="DELETE"),
    "no key": get(LIST),
    "a wrong key": get(LIST, WRONG),
    "a key twice": get(LIST, KEY, KEY),
    "a key in another scheme": get(LIST, "Authorization: Basic YTpi"),
    "a query": get(f"{LIST}?limit=2", KEY),
    "an empty query": get(f"{LIST}?", KEY),
    "a fragment": get(f"{LIST}#x", KEY),
    "another spelling": get("/v1/customers/%31/recommendations", KEY),
    "a hidden slash": get("/v1/customers/1%2frecommendations", KEY),
    "two slashes": get("/v1//customers/1/recommendations", KEY),
    "a slash at the end": get(f"{LIST}/", KEY),
    "a whole address": get(f"http://x{LIST}", KEY),
    "an id with a colon": get("/v1/customers/a:b/recommendations", KEY),
    "nobody known": get("/v1/customers/new/recommendations", KEY),
    "nothing published": get("/v1/customers/new/features", KEY) + get("/v1/tables/gold/none", KEY),
    "no such path": get("/v1/customers/1/orders", KEY),
    "a body on a GET": get(LIST, KEY, "Content-Length: 5") + b"hello" + get(LIST, KEY),
    "chunks on a GET": get(LIST, KEY, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n" + get(LIST, KEY),
    "a body that is announced": get(LIST, KEY, "Expect: 100-continue", "Content-Length: 5") + b"hello",
    "an upgrade": get(LIST, KEY, "Connection: Upgrade", "Upgrade: websocket"),
    "two lengths": get(LIST, KEY, "Content-Length: 1", "Content-Length: 2") + b"a",
    "a broken header": get(LIST, KEY, "Br oken: x"),
}  # fmt: skip


def test_every_request_gets_the_same_bytes_by_either_way_and_the_same_line_in_the_log(
    store_url: str, tmp_path: Path
) -> None:
    async def test(both: Both) -> None:
        for name, request in REQUESTS.items():
            direct, through = await both.ask(request.replace(b"{key}", both.key.encode()))
            assert _steady(direct) == _steady(through), name
            assert direct.startswith(b"HTTP/1.1 "), name
            lines = both.lines()
            half = len(lines) // 2
            assert lines[:half] == lines[half:], name

    over_both(store_url, tmp_path, test)


def test_plain_requests_never_reach_the_application(store_url: str, tmp_path: Path) -> None:
    async def test(both: Both) -> None:
        for path in PLAIN:
            direct = await both.same(3 * get(path, f"Authorization: Bearer {both.key}"))
            assert direct.count(b"HTTP/1.1 200 OK") == 4
        assert both.reached == 0
        await both.same(get(LIST))
        assert both.reached == 1

    over_both(store_url, tmp_path, test)


def test_what_a_client_has_already_costs_no_body_and_no_application(store_url: str, tmp_path: Path) -> None:
    async def test(both: Both) -> None:
        head = f"Authorization: Bearer {both.key}"
        found = re.search(rb"etag: ([^\r]+)", await both.same(get(LIST, head)))
        assert found is not None
        for etag in (found[1].decode(), f'"a", W/{found[1].decode()}'):
            said = await both.same(get(LIST, head, f"If-None-Match: {etag}"))
            assert said.startswith(b"HTTP/1.1 304 Not Modified\r\n")
            assert b"bought before" not in said
        assert both.reached == 0

    over_both(store_url, tmp_path, test)


def test_a_head_that_comes_in_pieces_is_answered_once_it_is_there(store_url: str, tmp_path: Path) -> None:
    async def test(both: Both) -> None:
        request = get(LIST, f"Authorization: Bearer {both.key}")
        answers = []
        for port in both.ports:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for place in range(0, len(request), 7):
                writer.write(request[place : place + 7])
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(LAST)
            answers.append(_steady(await reader.read()))
            writer.close()
        assert answers[0] == answers[1]
        assert answers[0].count(b"HTTP/1.1 200 OK") == 2

    over_both(store_url, tmp_path, test)


@pytest.mark.parametrize("scopes", [("recommendations:read",), ("features:read",)], ids=" ".join)
def test_scope_and_rate_of_a_key_hold_by_either_way(store_url: str, tmp_path: Path, scopes: tuple[str, ...]) -> None:
    async def test(both: Both) -> None:
        keys = [make_key(both.keys, *scopes, application=both.application, rate=0.01, burst=3) for _ in range(2)]
        answers = [
            await both.exchange(place, 5 * get(LIST, f"Authorization: Bearer {key.text}"))
            for place, key in enumerate(keys)
        ]
        assert _steady(answers[0]) == _steady(answers[1])
        statuses = re.findall(rb"HTTP/1.1 (\d+)", answers[0])
        assert statuses == ([b"200"] * 3 + [b"429"] * 2 if "recommendations:read" in scopes else [b"403"] * 5) + [
            b"200"
        ]

    over_both(store_url, tmp_path, test)


def test_a_revoked_key_and_a_changed_list_are_seen_by_either_way(store_url: str, tmp_path: Path) -> None:
    async def test(both: Both) -> None:
        head = f"Authorization: Bearer {both.key}"
        before = await both.same(get(LIST, head))
        event = b'{"events":[{"id":"e1","customer":"1","item":"10004","kind":"view"}]}'
        post = get("/v1/events", head, "Content-Type: application/json", f"Content-Length: {len(event)}", method="POST")
        await both.exchange(0, post + event)
        after = await both.same(get(LIST, head))
        assert (b"session_events" in before, b"session_events" in after) == (False, True)
        made = make_key(both.keys, application=both.application)
        assert b"200 OK" in (await both.same(get(LIST, f"Authorization: Bearer {made.text}")))[:20]
        both.keys.revoke(made.key.id)
        while b" 401 " not in (await both.ask(get(LIST, f"Authorization: Bearer {made.text}")))[0][:20]:
            await asyncio.sleep(0.01)

    over_both(store_url, tmp_path, test)


def test_while_the_store_is_away_or_the_worker_drains_either_way_says_so(store_url: str, tmp_path: Path) -> None:
    async def test(both: Both) -> None:
        request = get(LIST, f"Authorization: Bearer {both.key}")
        Path(store_url.removeprefix("sqlite:///")).rename(tmp_path / "away.db")
        while both.application.worker.stale_since is None:
            await asyncio.sleep(0.01)
        for said in await both.ask(request):
            assert re.search(rb"plinth-stale: \d+\r\n", said)
        both.application.worker.drain()
        for said in await both.ask(2 * request):
            assert said.count(b"HTTP/1.1 ") == 1
            assert b"connection: close\r\n" in said

    over_both(store_url, tmp_path, test)
