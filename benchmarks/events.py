"""From an event to the changed list, in process and over HTTP, and how many events a second are made durable.

`python -m benchmarks.events [--small] [--events N] [--seconds S]`. Figures: `event_to_list_ms_p99` (in process: an event of a customer with
a stored list, until the new list lies ready; `event_to_list_cpu_ms_p99` is the same in CPU time; `waiting_event_to_list_ms_p99` and
`waiting_event_to_list_cpu_ms_p99` are of customers of whom more events wait than count), `http_event_to_list_ms_p99` (from sending the event until the customer's new list has
arrived, durable commit included), `events_per_second` (batches of 50 from sixteen connections) and `single_events_per_second` (one event a
request: group commit).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from api.served.live import Live
from api.served.shelf import load_shelf
from benchmarks.report import Bar, finish
from benchmarks.serve_site import Site, make_site, running_api
from plinth.online import Event, OnlineStore

BARS = {
    "event_to_list_ms_p99": Bar("<=", 1),
    "http_event_to_list_ms_p99": Bar("<=", 10),
}
_CUSTOMERS, _ITEMS = 2_000, 5_000
_BATCH, _CONNECTIONS = 50, 16


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    try:
        site = make_site(folder, customers=_CUSTOMERS, items=options.items)
        inside, computed = _in_process(folder, options.events, options.items)
        waiting, waiting_computed = _in_process(folder, options.events, options.items, customers=5)
        with running_api(site):
            over = _over_http(site, options.events, options.items)
            many = _durable(site, options.seconds, _BATCH, options.items)
            single = _durable(site, options.seconds, 1, options.items)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = {
        "event_to_list_ms_p99": float(np.percentile(inside, 99)),
        "event_to_list_ms_p50": float(np.percentile(inside, 50)),
        "event_to_list_cpu_ms_p99": float(np.percentile(computed, 99)),
        "waiting_event_to_list_ms_p99": float(np.percentile(waiting, 99)),
        "waiting_event_to_list_cpu_ms_p99": float(np.percentile(waiting_computed, 99)),
        "http_event_to_list_ms_p99": float(np.percentile(over, 99)),
        "http_event_to_list_ms_p50": float(np.percentile(over, 50)),
        "events_per_second": many,
        "single_events_per_second": single,
    }
    notes = {"events": options.events, "items": options.items, "batch": _BATCH, "connections": _CONNECTIONS}
    return finish("events", figures, {} if options.small else BARS, notes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--events", type=int)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    options.events = options.events or (100 if options.small else 2_000)
    options.seconds = options.seconds or (0.5 if options.small else 5)
    options.items = 500 if options.small else _ITEMS
    return options


def _in_process(folder: Path, events: int, items: int, customers: int = 200) -> tuple[list[float], list[float]]:
    """Milliseconds by the clock, and of the thread's own CPU time, in which other work on the machine has no part.

    Args:
        customers: that the events are of. With few, each has more events than count from early on, so that each costs as much as one can.
    """
    with OnlineStore.open(f"sqlite:///{folder / 'online.db'}") as store:
        version = store.current()
        assert version is not None
        shelf = load_shelf(store, version, 2**30)
    live = Live(20_000)
    random = np.random.default_rng(3)
    taken: list[float] = []
    computed: list[float] = []
    # A customer of five has fifty events by then, of whom the newest thirty count.
    first = 50 if customers == 200 else 50 * customers
    for number in range(events + first):
        customer = str(int(random.integers(customers)))
        event = Event(
            f"e{number}", customer, None, f"{10_000 + int(random.integers(items))}", "view", version.published_at, b""
        )
        began, before = time.perf_counter(), time.thread_time()
        live.apply(event)
        live.renew([event], shelf)
        computed.append((time.thread_time() - before) * 1000)
        taken.append((time.perf_counter() - began) * 1000)
        assert customer in live.lists
    return taken[first:], computed[first:]


def _over_http(site: Site, events: int, items: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    random = np.random.default_rng(5)
    taken: list[float] = []
    seen: dict[str, int] = {}
    for number in range(events + 20):
        customer = str(int(random.integers(200)))
        body = _batch([(f"h{number}", customer, int(random.integers(items)))])
        began = time.perf_counter()
        _ask(connection, "POST", "/v1/events", site.key, body)
        answer = _ask(connection, "GET", f"/v1/customers/{customer}/recommendations", site.key)
        taken.append((time.perf_counter() - began) * 1000)
        seen[customer] = seen.get(customer, 0) + 1
        assert json.loads(answer)["session_events"] == min(seen[customer], 30), "the list that came was an old one"
    connection.close()
    return taken[20:]


def _durable(site: Site, seconds: float, batch: int, items: int) -> float:
    """Accepted events a second of several connections that send one request after the other."""
    accepted = [0] * _CONNECTIONS
    end = time.monotonic() + seconds

    def send(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
        mark, number = os.urandom(4).hex(), 0
        while time.monotonic() < end:
            events = [
                (f"{mark}-{number + each}", str((place * 131 + each) % _CUSTOMERS), each % items)
                for each in range(batch)
            ]
            number += batch
            answer = _ask(connection, "POST", "/v1/events", site.key, _batch(events))
            accepted[place] += len(json.loads(answer)["accepted"])
        connection.close()

    began = time.monotonic()
    threads = [threading.Thread(target=send, args=(place,)) for place in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(accepted) / (time.monotonic() - began)


def _batch(events: list[tuple[str, str, int]]) -> bytes:
    rows = [{"id": name, "customer": who, "item": f"{10_000 + item}", "kind": "view"} for name, who, item in events]
    return json.dumps({"events": rows}).encode()


def _ask(connection: http.client.HTTPConnection, method: str, path: str, key: str, body: bytes | None = None) -> bytes:
    head = {"Authorization": f"Bearer {key}", **({"Content-Type": "application/json"} if body else {})}
    connection.request(method, path, body, head)
    response = connection.getresponse()
    said = response.read()
    if response.status != 200:
        raise RuntimeError(f"{method} {path}: {response.status} {said[:300]!r}")
    return said


if __name__ == "__main__":
    sys.exit(main())
