"""The shortest way out: a plain GET whose answer lies ready is written to the connection as soon as its head has been parsed, without
uvicorn making a scope, a task and messages for it.

What belongs here: which requests are plain enough, and their answers as bytes. What does not: what may be answered (`api.http.hot`), and the
connection (`api.http.protocol`). The bytes are those that uvicorn writes for the same answer from `api.http.fast`; the suite compares them.
"""

from __future__ import annotations

import time

from api.http.hot import HotAnswers, RequestNumbers, matches, wire_of, without_body
from api.served.shelf import Headers
from api.worker import Worker

# Whatever says that there is more to a request than its head, or that the connection is to be something else.
_NOT_PLAIN = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))


class DirectAnswers:
    """Answers of one worker as bytes."""

    def __init__(self, hot: HotAnswers, worker: Worker, numbers: RequestNumbers) -> None:
        self._hot = hot
        self._worker = worker
        self._numbers = numbers
        self._server: Headers = []
        self._ok = self._not_modified = b""

    def answer(self, path: bytes, headers: Headers, server: Headers) -> bytes | None:
        """The whole answer to a GET, head and body; None where it has to go the longer way, and nothing has been taken.

        Args:
            path: as it was sent.
            headers: of the request, names in lower case.
            server: headers that the server puts before every answer's own; a new list when they change.
        """
        started = time.perf_counter()
        worker = self._worker
        if worker.trailing:
            return None
        authorization = matching = None
        for name, value in headers:
            if name == b"authorization":
                if authorization is not None:
                    return None
                authorization = value
            elif name == b"if-none-match":
                if matching is not None:
                    return None
                matching = value
            elif name in _NOT_PLAIN:
                return None
        found = self._hot.find(path, authorization)
        if found is None:
            return None
        hot, key = found
        if server is not self._server:
            self._begin_with(server)
        request = self._numbers.next()
        if matching is not None and matches(matching, hot.ready.etag):
            status = 304
            head = wire_of(without_body(hot.ready.headers))
            said = b"%s%sx-request-id: %s\r\n\r\n" % (self._not_modified, head, request.encode())
        else:
            status = 200
            said = b"%s%sx-request-id: %s\r\n\r\n%s" % (self._ok, hot.wire, request.encode(), hot.ready.body)
        worker.log.note(request, "GET", hot.lane.route, status, time.perf_counter() - started, key.id)
        return said

    def _begin_with(self, server: Headers) -> None:
        self._server = server
        said = wire_of(server)
        self._ok = b"HTTP/1.1 200 OK\r\n" + said
        self._not_modified = b"HTTP/1.1 304 Not Modified\r\n" + said
