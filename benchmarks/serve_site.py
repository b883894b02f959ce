"""What the benchmarks of the API are run on: a published version of some size, and servers pinned to one core each with wrk on another.

What belongs here: making the store, starting and ending servers, calling wrk. What does not: which figures come of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import yaml

from api.keys.key import SCOPES, new_key
from api.keys.table import KeyTable
from benchmarks.measure import ROOT
from plinth.online import Document, OnlineStore
from plinth.recommend.session import ItemModel
from plinth.serving.lengths import ANSWER_LENGTH, LIST_KIND, LIST_LENGTH, POPULAR_LENGTH, REST_KIND, SIMILAR_LENGTH
from tests.servers.ports import free_port

SERVER_CORE, CLIENT_CORE = "0", "1"


def item_model(items: int, row: int, seed: int = 7) -> ItemModel:
    """A model of random rows: what it says is nonsense, what it costs is not."""
    random = np.random.default_rng(seed)
    row = min(row, items)
    columns = np.concatenate([np.sort(random.choice(items, row, replace=False)) for _ in range(items)])
    return ItemModel(
        items=np.array([f"{10_000 + number}" for number in range(items)]),
        pointer=np.arange(0, items * row + 1, row, dtype=np.int64),
        columns=columns.astype(np.int32),
        weights=random.random(items * row).astype(np.float32),
        popularity=random.random(items).astype(np.float32),
    )


def documents(customers: int, items: int) -> Iterator[Document]:
    """A version as a run publishes one: lists in their lengths, some offers, some forty feature values, nine of each of twenty pairs."""
    for number in range(customers):
        name = str(number)
        rows = _list(number, items, LIST_LENGTH)
        yield _document(LIST_KIND, name, {"customer": name, "items": rows[:ANSWER_LENGTH]})
        yield _document(REST_KIND, name, {"customer": name, "items": rows[ANSWER_LENGTH:]})
        offers = [
            {"promotion": f"P-{each}", "name": "Summer garden", "type": "percent_off", "starts_on": "2026-08-01",
             "ends_on": "2026-08-14", "expected_profit": 1.84} for each in range(3)
        ]  # fmt: skip
        yield _document("promotions", name, {"customer": name, "planned_on": "2026-08-01", "offers": offers})
        values = {f"feature_{each}": round(number / (each + 1), 4) for each in range(40)}
        yield _document(
            "features", name, {"customer": name, "as_of": "2026-07-27", "features": {"customer_rfm": values}}
        )
        pairs = [{"item": row["item"], "values": dict(list(values.items())[:9])} for row in rows[:20]]
        body = {"customer": name, "as_of": "2026-07-27", "features": {"customer_item": pairs}}
        yield _document("customer_items", name, body)
    for number in range(items):
        name = f"{10_000 + number}"
        yield _document("item", name, {"item": name, "description": f"ITEM {name} IN RED AND WHITE", "price": 2.55})
        yield _document("similar", name, {"item": name, "items": _list(number, items, SIMILAR_LENGTH)})
        sold = {f"feature_{each}": round(number / (each + 1), 4) for each in range(17)}
        yield _document("item_features", name, {"item": name, "as_of": "2026-07-27", "features": {"item": sold}})
    yield _document("popular", "", {"country": None, "items": _list(0, items, POPULAR_LENGTH)})
    for number in range(60):
        columns = [{"name": f"column_{each}", "type": "string", "description": "A column."} for each in range(20)]
        table = {"table": f"gold/table_{number}", "owner": "team:commerce", "columns": columns}
        yield _document("table", f"gold/table_{number}", table)
    yield Document("model", "item_model", item_model(items, 60).to_bytes())


def _list(number: int, items: int, rows: int) -> list[dict[str, object]]:
    return [
        {"item": f"{10_000 + (number * 31 + place * 7) % items}", "score": round(0.9 / (1 + place / 10), 4),
         "reason": "bought before", "description": "WHITE HANGING HEART T-LIGHT HOLDER"} for place in range(rows)
    ]  # fmt: skip


def _document(kind: str, key: str, body: dict[str, object]) -> Document:
    return Document(kind, key, json.dumps(body, separators=(",", ":")).encode())


@dataclass
class Site:
    """A project's folder with a published store and a key with every scope.

    Attributes:
        port: of the API, once it is started; `hello_port` of its peer.
    """

    folder: Path
    key: str
    port: int
    hello_port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def make_site(folder: Path, *, customers: int, items: int) -> Site:
    """Publishes a version, makes a key, and writes the project's settings."""
    url = f"sqlite:///{folder / 'online.db'}"
    with OnlineStore.open(url) as store:
        store.publish(documents(customers, items), inputs={"benchmark": str(customers)})
    table = KeyTable(url)
    table.set_up()
    made = new_key("benchmark", SCOPES, rate=1e9, burst=1e9, lasts=None)
    table.add(made.key)
    table.close()
    settings = {
        "zones": {"here": {"root": "data", "clearance": ["public", "internal", "confidential", "restricted"]}},
        "layers": {"bronze": "here", "silver": "here", "gold": "here", "ops": "here"},
        "stores": {"online": url},
        "profiles": {"small": {"cpu": 1, "memory": "256MiB"}},
        "default_profile": "small",
    }
    (folder / "platform.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return Site(folder, made.text, free_port(), free_port())


@contextmanager
def running_api(site: Site, *, workers: int = 1) -> Iterator[int]:
    """The API as `plinth serve` starts it, gives its process id; one worker is pinned to a core, several have all of them."""
    command = [sys.executable, "-m", "plinth.cli", "serve", "--port", str(site.port), "--workers", str(workers)]
    with _running(command, site.folder, f"{site.base}/health/ready", pinned=workers == 1) as process:
        yield process


@contextmanager
def running_hello(site: Site) -> Iterator[int]:
    """The bare application on the same server: uvicorn with uvloop and httptools, pinned to the same core."""
    command = [
        *(sys.executable, "-m", "uvicorn", "benchmarks.serve_hello:app", "--port", str(site.hello_port)),
        *("--no-access-log", "--loop", "uvloop", "--http", "httptools", "--log-level", "warning"),
    ]
    with _running(command, site.folder, f"http://127.0.0.1:{site.hello_port}/") as process:
        yield process


@contextmanager
def _running(command: Sequence[str], folder: Path, address: str, *, pinned: bool = True) -> Iterator[int]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PLINTH_PLATFORM", None)
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*(_pinned(SERVER_CORE) if pinned else ()), *command], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        limit = time.monotonic() + 120
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError("a server did not start:\n" + (folder / "server.log").read_text()[-2000:])
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@dataclass(frozen=True)
class Load:
    """What wrk measured: requests a second, and the median and the 99th percentile of the latency in milliseconds.

    `per_cpu` is requests for each second of the server's own CPU time, which other work on the machine does not change much.
    """

    rate: float
    per_cpu: float
    p50: float
    p99: float


def wrk(address: str, script: str, folder: Path, process: int, *, seconds: float, connections: int) -> Load:
    """Loads an address from the other core; `process` is the server's.

    Raises:
        RuntimeError: an answer was no success.
    """
    file = folder / "load.lua"
    file.write_text(script, encoding="utf-8")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(file), address]
    before = psutil.Process(process).cpu_times()
    done = subprocess.run([*_pinned(CLIENT_CORE), *command], capture_output=True, text=True, check=True)
    after = psutil.Process(process).cpu_times()
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    half, most = re.search(r"50%\s+([\d.]+)(us|ms|s)", done.stdout), re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    count = re.search(r"(\d+) requests in", done.stdout)
    assert rate and half and most and count, done.stdout
    used = after.user + after.system - before.user - before.system
    return Load(float(rate.group(1)), int(count.group(1)) / max(used, 0.01), _milliseconds(half), _milliseconds(most))


def _milliseconds(found: re.Match[str]) -> float:
    return float(found.group(1)) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found.group(2)]


def _pinned(core: str) -> list[str]:
    several = (os.cpu_count() or 1) > 1 and shutil.which("taskset") is not None
    return ["taskset", "-c", core] if several else []


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
