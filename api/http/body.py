"""Reading a body within its limits: bytes, time, type and depth, before anything parses it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from api.http.problems import MALFORMED, MEDIA_TYPE_REFUSED, TIMED_OUT, TOO_LARGE, Problem
from plinth.api_settings import Api

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_CLOSE = {"Connection": "close"}
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
_DIGITS = re.compile(rb"[0-9]{1,15}")


class ClientGone(Exception):
    """The client hung up before its body was complete."""


async def read_body(headers: list[tuple[bytes, bytes]], receive: Receive, settings: Api) -> bytes:
    """The body of a request.

    Raises:
        Problem: it is too large, too slow, too deep, or no JSON by its type.
        ClientGone: there is nobody to answer.
    """
    said = dict(headers)
    if not _is_json(said.get(b"content-type", b"")):
        raise Problem(MEDIA_TYPE_REFUSED, "Send application/json in UTF-8.", headers=_CLOSE)
    if said.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise Problem(
            MEDIA_TYPE_REFUSED,
            "Send the body as it is, not compressed.",
            headers={**_CLOSE, "Accept-Encoding": "identity"},
        )
    length = said.get(b"content-length", b"0")
    if not _DIGITS.fullmatch(length) or int(length) > settings.body_bytes:
        raise _too_large(settings)
    try:
        async with asyncio.timeout(settings.request_seconds):
            body = await _gather(receive, settings)
    except TimeoutError:
        raise Problem(
            TIMED_OUT, f"The body did not arrive within {settings.request_seconds:g} s.", headers=_CLOSE
        ) from None
    if b"\0" in body:
        # In UTF-8 no JSON has such a byte; in UTF-16, which the parser would take as well, every second one is.
        raise Problem(MALFORMED, "The body is no JSON in UTF-8.")
    if _deeper_than(body, settings.body_depth):
        raise Problem(MALFORMED, f"The body is nested deeper than {settings.body_depth} levels.")
    return body


def _is_json(content_type: bytes) -> bool:
    media, *parameters = [each.strip().lower() for each in content_type.split(b";")]
    charsets = [each[len(b"charset=") :].strip(b'"') for each in parameters if each.startswith(b"charset=")]
    return media == b"application/json" and all(each in (b"utf-8", b"utf8") for each in charsets)


async def _gather(receive: Receive, settings: Api) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > settings.body_bytes:
            raise _too_large(settings)
        if not message.get("more_body", False):
            return bytes(body)


def _too_large(settings: Api) -> Problem:
    return Problem(TOO_LARGE, f"At most {settings.body_bytes} bytes are taken.", headers=_CLOSE)


def _deeper_than(body: bytes, most: int) -> bool:
    """Whether brackets outside of texts nest deeper; a parser that recurses must never see such a body."""
    depth = 0
    for match in _TOKENS.finditer(body):
        token = body[match.start()]
        if token in b"[{":
            depth += 1
            if depth > most:
                return True
        elif token in b"]}":
            depth -= 1
    return False
