"""As much of a Kubernetes API as Dagster's launcher asks for when it starts a run: it takes Jobs, and keeps them for the test to read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


@contextmanager
def taking_jobs(folder: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """A server on this machine: gives the kubeconfig that leads to it, and the Jobs that were posted, as they came over the wire."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.startswith("/apis/batch/v1/namespaces/"):
                self.send_error(404)
                return
            taken.append({"path": self.path, "job": body})
            answer = json.dumps(body).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = folder / "kubeconfig"
    named = {"cluster": "here", "user": "nobody"}
    config.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "contexts": [{"name": "here", "context": named}],
                "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "users": [{"name": "nobody", "user": {}}],
            }
        ),
        encoding="utf-8",
    )
    try:
        yield config, taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
