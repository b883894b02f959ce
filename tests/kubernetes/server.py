"""The API server: the cluster's objects over HTTP, as the official client speaks it.

Paths, selectors, watches, logs, evictions, deletes with propagation and the errors' form are those of Kubernetes; what a path is not known for is
answered with 404, as there.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.kubernetes.cluster import Cluster, Object
from tests.kubernetes.kubelet import Kubelet

_PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<kind>jobs|pods|events)(?:/(?P<name>[^/]+))?(?:/(?P<part>[a-z]+))?"
)
_KINDS = {"jobs": ("Job", "batch/v1"), "pods": ("Pod", "v1"), "events": ("Event", "v1")}


class ApiServer(ThreadingHTTPServer):
    """Serves a cluster on a free port of this machine, to who has the token."""

    daemon_threads = True

    def __init__(self, cluster: Cluster, kubelet: Kubelet, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster, self.kubelet, self.token = cluster, kubelet, token
        self.requests: list[tuple[str, str]] = []
        self.trouble: Literal["", "unavailable", "away", "silent"] = ""
        """What every request meets: 503, a connection that is cut, or no answer for two seconds and then the same."""

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig file for it."""
        user = {"name": "tester", "user": {"token": self.token}}
        cluster = {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.server_address[1]}"}}
        context = {"name": "fake", "context": {"cluster": "fake", "user": "tester", "namespace": "plinth"}}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "fake",
                "clusters": [cluster],
                "users": [user],
                "contexts": [context],
            }
        )

    def used(self, namespace: str) -> dict[tuple[str, str], set[str]]:
        """The verbs that were asked for in a namespace since this was last called, by group and resource, as a Role names them."""
        found: dict[tuple[str, str], set[str]] = {}
        for method, path in self.requests:
            place, _, query = path.partition("?")
            before, _, what = place.partition(f"/namespaces/{namespace}/")
            if not what:
                continue
            kind, name, part = [*what.split("/"), "", ""][:3]
            written = {"POST": "create", "DELETE": "delete" if name else "deletecollection"}
            verb = written.get(method) or ("get" if name else "watch" if "watch=" in query else "list")
            found.setdefault(("batch" if "/batch/" in before else "", f"{kind}/{part}".rstrip("/")), set()).add(verb)
        self.requests.clear()
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def log_message(self, *_: Any) -> None:
        """Nothing: the server keeps the requests itself."""

    def do_GET(self) -> None:
        found = self._found()
        if found is None:
            return
        kind, namespace, name, part, asked = found
        if name is None and asked.get("watch") in ("true", "True", "1"):
            self._watch(kind, namespace, asked)
        elif name is None:
            with self.server.cluster.lock:
                items = [
                    self._shown(kind, each)
                    for each in self.server.cluster.all(kind, namespace)
                    if _selected(each, asked)
                ]
                self._json(200, {"kind": f"{kind}List", "apiVersion": _version(kind), "metadata": {"resourceVersion": str(len(self.server.cluster.log))}, "items": items})  # fmt: skip
        elif part == "log":
            self._text(200, self.server.kubelet.log_of(name))
        else:
            with self.server.cluster.lock:
                there = self.server.cluster.objects.get((kind, namespace or "", name))
                self._json(200, self._shown(kind, there)) if there is not None else self._missing(kind, name)

    def do_POST(self) -> None:
        found = self._found()
        if found is None:
            return
        kind, namespace, name, part, _ = found
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cluster = self.server.cluster
        if part == "eviction" and name is not None:
            grace = (body.get("deleteOptions") or {}).get("gracePeriodSeconds")
            cluster.disrupt(name, "EvictionByEvictionAPI", "Eviction API: evicting", 30.0 if grace is None else grace)
            self._json(201, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
            return
        try:
            self._json(201, self._shown(kind, cluster.create(kind, namespace or "default", body)))
        except KeyError as taken:
            self._status(409, "AlreadyExists", f"{kind} {taken} already exists")

    def do_DELETE(self) -> None:
        found = self._found()
        if found is None:
            return
        kind, namespace, name, _, asked = found
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        # As the real server: the API's default for jobs leaves their pods behind.
        propagation = (
            body.get("propagationPolicy")
            or asked.get("propagationPolicy")
            or ("Orphan" if kind == "Job" else "Background")
        )
        grace = body.get("gracePeriodSeconds")
        with self.server.cluster.lock:
            names = (
                [name]
                if name
                else [
                    each["metadata"]["name"]
                    for each in self.server.cluster.all(kind, namespace)
                    if _selected(each, asked)
                ]
            )
            try:
                for each in names:
                    self.server.cluster.delete(kind, namespace or "", each, propagation, grace)
            except KeyError:
                self._missing(kind, str(name))
                return
        self._json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _found(self) -> tuple[str, str | None, str | None, str | None, dict[str, str]] | None:
        parts = urlsplit(self.path)
        self.server.requests.append((self.command, self.path))
        if self.server.trouble == "unavailable":
            self._status(503, "ServiceUnavailable", "the server is currently unable to handle the request")
            return None
        if self.server.trouble:
            time.sleep(2 if self.server.trouble == "silent" else 0)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._status(401, "Unauthorized", "Unauthorized")
            return None
        match = _PATH.fullmatch(parts.path)
        if match is None:
            self._status(404, "NotFound", "the server could not find the requested resource")
            return None
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return _KINDS[match["kind"]][0], match["namespace"], match["name"], match["part"], asked

    def _watch(self, kind: str, namespace: str | None, asked: Mapping[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        after = int(asked.get("resourceVersion") or 0)
        for what, each in self.server.cluster.changes(kind, after, float(asked.get("timeoutSeconds") or 30)):
            if namespace in (None, each["metadata"]["namespace"]) and _selected(each, asked):
                line = json.dumps({"type": what, "object": self._shown(kind, each)}).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _shown(self, kind: str, found: Object) -> Object:
        return {
            "kind": kind,
            "apiVersion": _version(kind),
            **{key: value for key, value in found.items() if key != "counted"},
        }

    def _missing(self, kind: str, name: str) -> None:
        self._status(404, "NotFound", f'{kind.lower()}s "{name}" not found')

    def _status(self, code: int, reason: str, message: str) -> None:
        self._json(
            code,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": reason,
                "message": message,
                "code": code,
            },
        )

    def _json(self, code: int, body: Object) -> None:
        self._send(code, "application/json", json.dumps(body).encode())

    def _text(self, code: int, body: str) -> None:
        self._send(code, "text/plain", body.encode())

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _version(kind: str) -> str:
    return next(version for name, version in _KINDS.values() if name == kind)


def _selected(found: Object, asked: Mapping[str, str]) -> bool:
    """Whether an object has the labels and fields that a request selects."""
    labels = found["metadata"].get("labels") or {}
    for term in filter(None, asked.get("labelSelector", "").split(",")):
        name, negated, value = re.fullmatch(r"([^!=]+)(!?)=?=?(.*)", term).groups()  # type: ignore[union-attr]
        if "=" not in term and name not in labels:
            return False
        if "=" in term and (labels.get(name) == value) is bool(negated):
            return False
    for term in filter(None, asked.get("fieldSelector", "").split(",")):
        path, _, value = term.partition("=")
        at: Any = found
        for part in path.split("."):
            at = at.get(part) if isinstance(at, dict) else None
        if at != value.removeprefix("="):
            return False
    return True
