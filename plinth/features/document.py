"""A strict YAML mapping with the lines of its parts, and pydantic's faults in words.

What belongs here: reading without YAML's silent favours (a key named twice keeps the last) and telling a wrong key from the allowed ones.
What does not: what the keys mean (`declare`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from plinth.contracts.naming import near

_OWN = ("name", "line")
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C gives the same nodes in a sixth of the time, where libyaml is there; definitions read the file at each load."""


def read_mapping(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The values of a YAML file, and the line of each entry of its mapping `views`.

    Raises:
        ValueError: the file is missing, is no YAML mapping, or names a key twice; the message says where.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=_PARSER)
    except FileNotFoundError:
        raise ValueError("the file is missing") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no YAML: {error}") from None
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("a mapping with since and views is expected")
    for node in _mappings(root):
        _each_key_once(node)
    loader = yaml.SafeLoader("")
    values = loader.construct_document(root)
    views = next((value for key, value in root.value if key.value == "views"), None)
    entries = views.value if isinstance(views, yaml.MappingNode) else ()
    return values, {key.value: key.start_mark.line + 1 for key, _ in entries}


def _mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value)


def _each_key_once(node: yaml.MappingNode) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in seen:
            raise ValueError(f"line {line}: the key {key.value!r} stands in line {seen[key.value]} already")
        seen[key.value] = line


def explain(error: ValidationError, models: Mapping[str, type[BaseModel]]) -> list[str]:
    """Each fault as a line that names the key, and where the key is unknown the allowed ones.

    Args:
        models: the model of the entries of each mapping, by the mapping's key; that of the file by "".
    """
    return [_line(detail, models) for detail in error.errors()]


def _line(detail: ErrorDetails, models: Mapping[str, type[BaseModel]]) -> str:
    place = [str(part) for part in detail["loc"]]
    key = ".".join(place)
    if detail["type"] == "extra_forbidden":
        allowed = _allowed(place, models)
        return f"{key}: unknown key; allowed here: {', '.join(allowed)}{near(place[-1], allowed)}"
    message = detail["msg"].removeprefix("Value error, ")
    found = "" if detail["type"] in ("missing", "value_error") else f", found {detail['input']!r}"
    return f"{key}: {message}{found}" if key else message


def _allowed(place: list[str], models: Mapping[str, type[BaseModel]]) -> list[str]:
    mapping = place[-3] if len(place) >= 3 else ""
    model = models.get(mapping, models[""])
    return [field.alias or name for name, field in model.model_fields.items() if name not in _OWN]
