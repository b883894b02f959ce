"""What is wrong with a settings file, in words: the key, what is allowed there, and what was probably meant.

What belongs here: turning pydantic's findings into a `ConfigurationError`, and the check of a name against the names there are. What does not:
which keys there are (`plinth.platform` and the settings beside it).
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from plinth.errors import ConfigurationError


def explained(error: ValidationError, model: type[BaseModel], where: str) -> ConfigurationError:
    """All findings of a validation as one error, a line for each.

    Args:
        model: what the file was held against; its fields name the keys that are allowed.
        where: the file.
    """
    lines = [_line(detail, model) for detail in error.errors()]
    return ConfigurationError(
        "the platform file has wrong keys or values:\n    " + "\n    ".join(lines),
        where=where,
        remedy="mend the keys named above",
    )


def known(name: str, names: Collection[str], key: str, what: str) -> None:
    """Holds that a name is one of those that there are.

    Raises:
        ValueError: it is none; the message names the key and those that there are.
    """
    if name not in names:
        raise ValueError(
            f"{key}: {what} is expected, one of {', '.join(sorted(names))}; found {name!r}{suggestion(name, names)}"
        )


def suggestion(name: str, names: Collection[str]) -> str:
    """` (did you mean …?)` where one of the names is near, else nothing."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _line(detail: ErrorDetails, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        allowed = _allowed_keys(model, detail["loc"][:-1])
        return f"{key}: unknown key; allowed here: {', '.join(allowed)}{suggestion(str(detail['loc'][-1]), allowed)}"
    message = detail["msg"].removeprefix("Value error, ")
    found = "" if detail["type"] in ("missing", "value_error") else f", found {detail['input']!r}"
    return f"{key}: {message}{found}" if key else f"{message}{found}"


def _allowed_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys of the model that stands at a location, found by the fields' types: through mappings, lists and optional ones."""
    at: Any = model
    for part in location:
        at = _model_or_container(at)
        if isinstance(at, type) and issubclass(at, BaseModel):
            at = at.model_fields[str(part)].annotation
        else:
            at = get_args(at)[-1 if issubclass(get_origin(at) or object, Mapping) else 0]
    at = _model_or_container(at)
    return [name for name, field in at.model_fields.items() if not field.exclude]


def _model_or_container(annotation: Any) -> Any:
    """An annotation without its `Annotated` and its `| None`."""
    if get_origin(annotation) is Annotated:
        return _model_or_container(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _model_or_container(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation
