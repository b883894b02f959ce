"""A rolling restart under load: the new server is ready before the old one is told to end, and no client notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from api.keys.key import SCOPES, new_key
from api.keys.table import KeyTable
from tests.api.balancer import Balancer
from tests.api.process import ApiProcess
from tests.api.published import publish
from tests.servers import PostgresServer

pytestmark = pytest.mark.slow
CLIENTS = 4


class Load:
    """Clients that keep their connections open, ask as fast as they can, and repeat nothing."""

    def __init__(self, port: int, key: str) -> None:
        self.answers = [0] * CLIENTS
        self.failures: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port, key, number)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self, port: int, key: str, number: int) -> None:
        transport = httpx.HTTPTransport(retries=0, limits=httpx.Limits(max_connections=1))
        base, head = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=base, headers=head, timeout=20, transport=transport) as client:
            while not self._end.is_set() and self.answers[number] < 20_000:
                try:
                    # Every tenth goes the long way, through FastAPI.
                    path = "/v1/tables" if self.answers[number] % 10 == 0 else "/v1/customers/1/recommendations"
                    status = client.get(path).status_code
                except httpx.TransportError as error:
                    self.failures.append(repr(error))
                    continue
                if status != 200:
                    self.failures.append(str(status))
                self.answers[number] += 1

    def end(self) -> int:
        """Ends it; gives the number of answers."""
        self._end.set()
        for thread in self._threads:
            thread.join()
        return sum(self.answers)


def made_key(url: str) -> str:
    """A key for everything; the one for trying would be another with each start."""
    table = KeyTable(url)
    try:
        table.set_up()
        made = new_key("load", SCOPES, rate=1e6, burst=1e6, lasts=timedelta(hours=1))
        table.add(made.key)
        return made.text
    finally:
        table.close()


def wait_for(holds: Callable[[], bool]) -> None:
    """Returns once it holds; fails after half a minute."""
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_rolling_restart_under_load_fails_no_request(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    publish(url)
    servers = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        limits = {"rate_per_second": 1e6, "burst": 1e6}
        servers.append(ApiProcess(tmp_path / name, url, drain_seconds=1, poll_seconds=0.2, **limits))
    old, new = servers
    balancer = load = None
    try:
        key = made_key(url)
        old.start()
        balancer = Balancer([old.port])
        wait_for(lambda: bool(balancer.ready))
        load = Load(balancer.port, key)
        for _ in range(3):
            balancer.backends.append(new.port)
            new.start()
            wait_for(lambda: len(balancer.ready) == 2)
            balancer.served.clear()
            assert old.terminate() in (0, -15)
            balancer.backends.remove(old.port)
            assert new.port in balancer.served, "clients whose connections were closed came back, to the new server"
            old, new = new, old
        answers = load.end()
        assert load.failures == []
        assert answers > 2000
    finally:
        if load is not None:
            load.end()
        if balancer is not None:
            balancer.close()
        for server in servers:
            server.kill()
