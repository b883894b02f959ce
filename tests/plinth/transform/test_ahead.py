"""The size of a build before it starts: by the measurements in the tables' logs, else the largest that may be chosen."""

from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.state import Measured
from plinth.objects.settings import StoreOptions
from plinth.platform import Platform, Zone
from plinth.profile import Profile
from plinth.transform.ahead import size_ahead
from plinth.transform.choosing import may_choose
from plinth.transform.model import table_id
from plinth.transform.project import PreparedModel, prepare
from tests.plinth.transform.shop import Shop

pytestmark = pytest.mark.slow  # the project is parsed
GIB = 2**30


def offer(shop: Shop, granted: str | None = None, **more: Any) -> None:
    """Gives the shop's platform three sizes, of which models get what fits, and this process one of them."""
    sizes = {"small": GIB, "middle": 2 * GIB, "memory": 4 * GIB}
    values = shop.lakehouse.platform.model_dump() | {
        "home": shop.lakehouse.platform.home,
        "profiles": {name: Profile(cpu=1, memory=memory) for name, memory in sizes.items()},
        "default_profile": "auto",
        "granted": granted,
        **more,
    }
    shop.lakehouse.platform = Platform.model_validate(values)


def model(shop: Shop, name: str) -> PreparedModel:
    return next(each for each in prepare(shop.project).models if each.name == name)


def measured(shop: Shop, table: str, peak_mb: float, rows_in: int = 200) -> None:
    """Makes a table whose last run held so much memory."""
    shop.put(table, "SELECT i AS id FROM range(3) t(i)")
    base = shop.lakehouse.open(table_id(table))
    run = Measured(rows_in, 3, 2.0, peak_mb, profile="middle", engine="duckdb")
    state = base.state.next(changed=False, measured=(run,))
    commit(shop.lakehouse, base.id, Write(base, base.columns, state))


@pytest.mark.parametrize("granted", [None, "small"])
def test_what_was_measured_gives_the_size_whatever_pod_asks(shop: Shop, granted: str | None) -> None:
    shop.open_shop()
    offer(shop, granted)
    orders, people = model(shop, "orders"), model(shop, "people")
    assert may_choose(shop.lakehouse.platform, orders.profile) == ("small", "middle", "memory")
    measured(shop, "silver/orders", peak_mb=700)
    size = size_ahead(shop.lakehouse, [orders])
    assert size.profile == "small" and "200 input rows" in size.reason and size.reason.startswith("silver/orders: ")
    measured(shop, "silver/orders", peak_mb=1_500)
    assert size_ahead(shop.lakehouse, [orders]).profile == "middle"
    # Of several models the largest; seven rows are read where one was measured.
    measured(shop, "silver/people", peak_mb=700, rows_in=1)
    assert size_ahead(shop.lakehouse, [orders, people]).profile == "memory"


def test_what_is_not_known_gives_the_largest(shop: Shop) -> None:
    offer(shop)
    orders = model(shop, "orders")
    size = size_ahead(shop.lakehouse, [orders])
    assert (size.profile, size.reason) == ("memory", "bronze/orders, which silver/orders reads, is not there yet")
    shop.open_shop()
    assert "was measured yet" in size_ahead(shop.lakehouse, [orders]).reason
    measured(shop, "silver/orders", peak_mb=700)
    assert size_ahead(shop.lakehouse, [orders]).profile == "small"


class _Refusing(BaseHTTPRequestHandler):
    """An object store that knows nobody, as that of a zone whose credentials only the pods of steps have."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_where_the_tables_cannot_be_read_the_largest_is_taken(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    store = StoreOptions(endpoint=f"http://127.0.0.1:{server.server_address[1]}", retries=1)
    cloud = Zone(root="s3://lake/refused", clearance=("public", "internal"), options=store)
    offer(shop, zones={**shop.lakehouse.platform.zones, "cloud": cloud})
    try:
        size = size_ahead(shop.lakehouse, [model(shop, "orders")])
    finally:
        server.shutdown()
        server.server_close()
    assert size.profile == "memory"
    assert "cannot be read here" in size.reason and "refused the credentials" in size.reason


def test_a_model_that_names_its_profile_keeps_it(shop: Shop) -> None:
    offer(shop)
    fixed = replace(model(shop, "orders"), profile="middle")
    size = size_ahead(shop.lakehouse, [fixed])
    assert (size.profile, size.reason) == ("middle", "silver/orders asks for middle")
