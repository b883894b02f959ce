"""The API for people: one page that says what the OpenAPI document says, whole in itself.

What belongs here: the page. What does not: the document, from which every word on it comes. It loads nothing, from here or elsewhere, and has no
script; its Content-Security-Policy holds browsers to that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)

_CODE = re.compile("`([^`]*)`")

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --key: #0a6; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1 { margin-bottom: 0; } h2 { margin: 2.2rem 0 .4rem; } h4 { margin: 1rem 0 .3rem; }
nav a, header a { margin-right: 1rem; } p { margin: .4rem 0; }
code, pre { font: 14px/1.45 ui-monospace, monospace; } pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: 0 .9rem; }
details[open] { padding-bottom: .8rem; } summary { cursor: pointer; padding: .55rem 0; }
summary b { color: var(--key); display: inline-block; min-width: 3.4rem; font: 700 14px ui-monospace, monospace; }
summary span { opacity: .75; margin-left: .6rem; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
td, th { text-align: left; vertical-align: top; border-top: 1px solid var(--line); padding: .3rem .8rem .3rem 0; }
"""
_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)


@router.get("/docs")
@router.get("/")
async def docs(request: Request) -> Response:
    """The page, at the address that a newcomer tries first and at the one that he tries next."""
    said: dict[str, Any] = request.app.openapi()
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return Response(page(said), media_type="text/html; charset=utf-8", headers=headers)


def page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document.

    Args:
        document: as `/openapi.json` gives it.
    """
    title = escape(document["info"]["title"])
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f"<header><h1>{title} API</h1>{_text(document['info'].get('description', ''))}"
        '<p><a href="/openapi.json">The same for machines (OpenAPI 3.1)</a> <a href="/health/ready">Is it ready?</a></p></header>',
        "<nav>"
        + "".join(f'<a href="#{escape(tag["name"])}">{escape(tag["name"])}</a>' for tag in document["tags"])
        + "</nav><main>",
    ]
    for tag in document["tags"]:
        parts.append(
            f'<h2 id="{escape(tag["name"])}">{escape(tag["name"].capitalize())}</h2>{_text(tag["description"])}'
        )
        parts += [_operation(document, *each) for each in _operations(document, tag["name"])]
    return "".join([*parts, "</main></body></html>"])


def _operations(document: Mapping[str, Any], tag: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            if tag in said["tags"]:
                yield method, path, said


def _operation(document: Mapping[str, Any], method: str, path: str, said: Mapping[str, Any]) -> str:
    scopes = [scope for each in said.get("security", ()) for scopes in each.values() for scope in scopes]
    needs = f"<p>Needs a key with the scope <code>{escape(', '.join(scopes))}</code>.</p>" if scopes else ""
    asked = [_body("Body", document, each) for each in said.get("requestBody", {}).get("content", {}).values()]
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code><span>{escape(said['summary'])}</span></summary>"
        f"{_text(said.get('description', ''))}{needs}{_parameters(said.get('parameters', ()))}{''.join(asked)}"
        f"{_answers(document, said['responses'])}</details>"
    )


def _parameters(parameters: Any) -> str:
    rows = [
        (
            f"<code>{escape(each['name'])}</code>",
            escape(each["in"]) + (", required" if each.get("required") else ""),
            _marked(each.get("description", "")) + _bounds(each["schema"]),
        )
        for each in parameters
    ]
    return _table(("parameter", "where", "what"), rows) if rows else ""


def _bounds(schema: Mapping[str, Any]) -> str:
    # A parameter that may be left out is "this or null"; its bounds stand in the first of both.
    chosen = {**schema, **next((each for each in schema.get("anyOf", ()) if each.get("type") != "null"), {})}
    words = {"pattern": "matches", "minimum": "from", "maximum": "up to", "default": "by default"}
    said = [f"{word} {chosen[name]}" for name, word in words.items() if chosen.get(name) not in (None, "")]
    return f" <code>{escape('; '.join(said))}</code>" if said else ""


def _answers(document: Mapping[str, Any], responses: Mapping[str, Any]) -> str:
    rows = [
        (f"<code>{escape(status)}</code>", _marked(said["description"])) for status, said in sorted(responses.items())
    ]
    good = [
        _body("Answer", document, content)
        for status, said in responses.items()
        if status == "200"
        for media, content in said.get("content", {}).items()
        if media == "application/json"
    ]
    return "".join(good) + _table(("status", "when"), rows)


def _body(title: str, document: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    schema = document["components"]["schemas"].get(name, {})
    examples = "".join(
        f"<pre>{escape(json.dumps(each, indent=2, ensure_ascii=False))}</pre>" for each in schema.get("examples", ())
    )
    rows = [
        (f"<code>{escape(field)}</code>", _marked(said["description"]))
        for field, said in schema.get("properties", {}).items()
        if "description" in said
    ]
    return f"<h4>{title}</h4>{examples}" + (_table(("field", "what"), rows) if rows else "")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _text(words: str) -> str:
    return "".join(f"<p>{each}</p>" for each in _marked(words).split("\n\n") if each)


def _marked(words: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(words))
