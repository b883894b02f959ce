"""From an exception to a problem: what FastAPI, the store or a fault of ours raise, in the one form in which errors go out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.events.writer import WriterBusy
from api.http import problems as kinds
from api.http.problems import Fault, Problem, answer
from plinth.online import EventRefused, StoreConflict, StoreUnavailable

_MOST_FAULTS = 20
_UNKNOWN_FIELD = "extra_forbidden"
_BY_STATUS = {400: kinds.MALFORMED, 404: kinds.NOT_FOUND, 405: kinds.METHOD_NOT_ALLOWED, 413: kinds.TOO_LARGE}


def add_handlers(app: FastAPI) -> None:
    """Makes every error of an application a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for error in (StoreUnavailable, StoreConflict):
        app.add_exception_handler(error, _store)
    app.add_exception_handler(WriterBusy, _busy)
    app.add_exception_handler(EventRefused, _refused)
    # Starlette raises it again after the answer, so that the server logs it: as a type and places, without its message.
    app.add_exception_handler(Exception, _internal)


def respond_with(request: Request, problem: Problem) -> Response:
    """The problem as a response."""
    said = answer(problem, getattr(request.state, "request_id", "none"))
    response = Response(said.body, said.status)
    response.raw_headers = said.headers
    return response


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return respond_with(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return respond_with(request, Problem(kinds.MALFORMED, "The body is no JSON."))
    return respond_with(request, Problem(kinds.INVALID, faults=[_fault(each) for each in found[:_MOST_FAULTS]]))


def _fault(error: dict[str, Any]) -> Fault:
    place = [str(part) for part in error["loc"]]
    if error["type"] == _UNKNOWN_FIELD:
        # The name of an unknown field is the client's own text.
        return Fault(_where(place[:-1]), "There is a field here that is not known.")
    return Fault(_where(place), str(error["msg"]).removeprefix("Value error, "))


def _where(place: list[str]) -> str:
    """A JSON pointer for what stands in the body, the parameter's name for what does not."""
    if place[:1] == ["body"]:
        return "/" + "/".join(place[1:])
    return " ".join(place)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _BY_STATUS.get(error.status_code, kinds.INTERNAL if error.status_code >= 500 else kinds.MALFORMED)
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        # The guard answers HEAD wherever a route answers GET, which the routes do not know.
        headers["Allow"] = "GET, HEAD"
    detail = f"Allowed: {headers['Allow']}." if "Allow" in headers else None
    if kind is kinds.NOT_FOUND:
        detail = "There is no such path."
    return respond_with(request, Problem(kind, detail, headers=headers))


async def _store(request: Request, error: Exception) -> Response:
    return respond_with(request, Problem(kinds.STORE_UNAVAILABLE, headers={"Retry-After": "2"}))


async def _busy(request: Request, error: Exception) -> Response:
    return respond_with(request, Problem(kinds.BUSY, headers={"Retry-After": "1"}))


async def _refused(request: Request, error: Exception) -> Response:
    return respond_with(request, Problem(kinds.INVALID, "The store cannot hold an event as it is."))


async def _internal(request: Request, error: Exception) -> Response:
    return respond_with(request, Problem(kinds.INTERNAL))
