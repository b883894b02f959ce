"""A contract file as a document: YAML with line numbers, checked against the shape of ODCS v3.

What belongs here: reading the text, refusing keys and value types that ODCS does not have, and collecting faults with their place.
What does not: the meaning of the values (`load`, `settings`, `rules`).

`open-data-contract-standard` lets unknown keys of sub-objects pass without a word (3.2.0: only its outermost model forbids them), so
a misspelt `primarykey: true` would silently make a keyless table. The walk here closes that.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml
from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import BaseModel, ValidationError

from plinth.contracts.naming import near
from plinth.errors import ContractError

At = tuple[str | int, ...]
"""A place in the document: keys and list positions from the root."""

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class ContractLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader (in C where libyaml is there: 8 times faster) without YAML's dates: ODCS wants them as text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Document:
    """One contract file and the faults found in it so far; all of them are reported at once.

    Attributes:
        path: the file.
        values: what it says, as plain Python values.
    """

    def __init__(self, path: Path, values: dict[str, Any], root: yaml.Node) -> None:
        self.path = path
        self.values = values
        self._root = root
        self._faults: list[tuple[int, str]] = []

    def fault(self, at: At, message: str) -> None:
        """Notes that the value at `at` is wrong."""
        line = self.line(at)
        self._faults.append((line, f"line {line}, {self.label(at)}: {message}"))

    def refuse(self) -> None:
        """Raises ContractError with every fault noted so far, in the order of the file; does nothing where there is none."""
        if not self._faults:
            return
        in_order = sorted(self._faults, key=lambda fault: fault[0])
        faults = list(dict.fromkeys(message for _, message in in_order))
        raise ContractError(
            f"the contract cannot be used, {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n    "
            + "\n    ".join(faults),
            where=self.path,
            remedy="mend the lines named above; docs/contracts.md describes every key",
        )

    def line(self, at: At) -> int:
        """The line (from 1) of the place, or of the nearest part of it that the file has."""
        node, line = self._root, self._root.start_mark.line
        for part in at:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return line + 1

    def label(self, at: At) -> str:
        """The place for people: list items by their name, such as `schema[invoice_line].properties[quantity].required`."""
        text, value = "", self.values
        for part in at:
            value = _step(value, part)
            if isinstance(part, int):
                name = (
                    next((value[key] for key in ("name", "property", "value") if key in value), part)
                    if _is_map(value)
                    else part
                )
                text += f"[{name}]"
            else:
                text += f".{part}" if text else part
        return text or "the file"


def read_document(path: Path) -> Document:
    """Reads a contract file and checks its shape.

    Raises:
        ContractError: the file is missing, is no YAML, names a key twice, or has keys or value types that ODCS v3 does not have.
    """
    document = _parse(path)
    _check_version(document)
    _check_keys(document, document.values, OpenDataContractStandard, ())
    _check_values(document)
    document.refuse()
    return document


def _parse(path: Path) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ContractError(
            "the contract file is missing",
            expected="an ODCS v3 YAML file",
            where=path,
            remedy="write a first draft with `plinth contract infer <url> --out <file>`",
        ) from None
    except UnicodeDecodeError as error:
        raise ContractError("the contract file is no UTF-8 text", found=str(error), where=path) from None
    try:
        loader = ContractLoader(text)
        node = loader.get_single_node()
        twice = _duplicates(
            node
        )  # before the values are made: making them unfolds `<<` merges in place, which repeat keys by right
        values = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        raise ContractError("the contract file is no YAML", found=str(error), where=path) from None
    if not isinstance(values, dict) or node is None:
        raise ContractError(
            "the contract file is no mapping", expected="apiVersion, kind, id, version, schema, …", where=path
        )
    if twice:
        raise ContractError(
            "a key stands twice, and YAML would keep only the last:\n    " + "\n    ".join(twice),
            where=path,
            remedy="keep the one that is meant",
        )
    return Document(path, values, node)


def _duplicates(node: yaml.Node | None) -> list[str]:
    """Every repeated key below `node`, with its lines. Walks without recursion and enters an aliased node once."""
    found, waiting, entered = [], [node], set()
    while waiting:
        node = waiting.pop()
        if id(node) in entered or not isinstance(node, yaml.CollectionNode):
            continue
        entered.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in lines:
                found.append(f"line {line}: {key.value!r}, first in line {lines[key.value]}")
            lines[str(key.value)] = line
            waiting.append(value)
    return found


def _check_version(document: Document) -> None:
    values = document.values
    if values.get("kind") != "DataContract":
        document.fault(("kind",), f"'DataContract' is expected, found {values.get('kind')!r}")
    if not str(values.get("apiVersion", "")).startswith("v3."):
        document.fault(
            ("apiVersion",),
            f"an ODCS version 3 such as 'v3.2.0' is expected, found {values.get('apiVersion')!r}",
        )
    for key in ("id", "version", "schema"):
        if not values.get(key):
            document.fault((key,), "a value is expected, found none")


def _check_keys(document: Document, value: Any, model: type[BaseModel], at: At) -> None:
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key in value:
        if key not in fields:
            document.fault((*at, key), f"unknown key; allowed here: {', '.join(sorted(fields))}{near(key, fields)}")
            continue
        inner = _model(fields[key], listed=isinstance(value[key], list))
        for place, item in _items(value[key], (*at, key)):
            if inner is not None and _is_map(item):
                _check_keys(document, item, inner, place)


def _check_values(document: Document) -> None:
    try:
        OpenDataContractStandard.model_validate(document.values)
    except ValidationError as error:
        for detail in error.errors():
            if detail["type"] == "extra_forbidden":
                continue
            at = _place(document.values, detail["loc"])
            document.fault(
                at, f"{_expected(detail['type'], detail['msg'])} is expected, found {_short(detail['input'])}"
            )


def _expected(kind: str, message: str) -> str:
    """What pydantic wanted, in the words of YAML."""
    words = {
        "string_type": "text (quote it)",
        "model_type": "a mapping (`{key: value}`)",
        "list_type": "a list",
        "dict_type": "a mapping",
    }
    return words.get(kind, message.removeprefix("Input should be "))


def _place(values: Any, location: tuple[int | str, ...]) -> At:
    """The place in the document of a pydantic location, which also names the branches of unions."""
    at: list[str | int] = []
    for part in location:
        inner = _step(values, part)
        if inner is not None or (_is_map(values) and part in values):
            at.append(part)
            values = inner
    return tuple(at)


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def _step(value: Any, part: str | int) -> Any:
    if _is_map(value):
        return value.get(part)
    return value[part] if isinstance(value, list) and isinstance(part, int) and part < len(value) else None


def _items(value: Any, at: At) -> Iterator[tuple[At, Any]]:
    if isinstance(value, list):
        yield from (((*at, index), item) for index, item in enumerate(value))
    else:
        yield at, value


def _model(annotation: Any, *, listed: bool) -> type[BaseModel] | None:
    """The model that an annotation such as `Team | list[Member] | None` has for one mapping, or for each of a list."""
    if typing.get_origin(annotation) is list:
        return _model(typing.get_args(annotation)[0], listed=False) if listed else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if listed else annotation
    found = (
        _model(inner, listed=listed)
        for inner in typing.get_args(annotation)
        if typing.get_origin(annotation) is not dict
    )
    return next((model for model in found if model is not None), None)


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
