"""A store that ignores the condition of a put is refused before a table is made in it: there two writers would both win."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from plinth.engine import connect
from plinth.errors import ConfigurationError
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.objects import stores
from plinth.objects.settings import StoreOptions
from plinth.platform import Platform, Profile, Zone

pytest.importorskip("obstore", reason="the extra objects is not installed: requirements/objects.lock")


class TakesEverything(BaseHTTPRequestHandler):
    """Every put is fine, whatever it asks for; nothing is ever there."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str]]

    def _answer(self, status: int) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path.partition("?")[0]))
        self.send_response(status)
        self.send_header("ETag", '"same"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        self._answer(200)

    def do_DELETE(self) -> None:
        self._answer(204)

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (TakesEverything,), {"asked": []})
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_store_that_overwrites_in_spite_of_the_condition_is_refused(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_KNOWN", {})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    options = StoreOptions(endpoint=f"http://127.0.0.1:{server.server_port}", retries=0)
    zone = Zone(root="s3://bucket/lake", clearance=("internal",), options=options)
    platform = Platform(
        zones={"cloud": zone},
        layers=dict.fromkeys(("bronze", "silver", "gold", "ops"), "cloud"),  # type: ignore[arg-type]
        profiles={"small": Profile(cpu=1, memory=256 * 2**20, threads=1)},
        default_profile="small",
        home=tmp_path,
    )
    write = Write(None, (DeltaColumn("id", "long"),), State().next(changed=True))
    with pytest.raises(ConfigurationError, match="overwrites where a put says that nothing may be there") as refused:
        commit(Lakehouse(platform), TableId("gold", "sales"), write)
    assert refused.value.where == "s3://bucket/lake"
    asked = server.RequestHandlerClass.asked  # type: ignore[attr-defined]
    assert [method for method, _ in asked] == ["PUT", "PUT", "DELETE"], "no log was written, and what was tried is gone"
    assert len({path for _, path in asked}) == 1
    connect(platform.profile(), scratch=tmp_path / "s").close()
