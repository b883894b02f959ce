"""Contract files for the tests: one table of two columns, changed as a test needs."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft201909Validator  # type: ignore[import-untyped]

from plinth.contracts.load import load_contract
from plinth.contracts.model import Table


def contract_values(
    *, columns: list[dict[str, Any]] | None = None, settings: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """A contract with the table `orders`; `settings` are its custom properties, `changes` further keys of the table."""
    table: dict[str, Any] = {"name": "orders", "logicalType": "object"}
    if settings:
        table["customProperties"] = [{"property": key, "value": value} for key, value in settings.items()]
    table["properties"] = columns or [
        column("id", "integer", primaryKey=True),
        column("changed_at", "timestamp"),
    ]
    table.update(changes)
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "shop",
        "version": "1.0.0",
        "schema": [table],
    }


def column(name: str, logical: str = "string", **keys: Any) -> dict[str, Any]:
    """One column of a contract."""
    return {"name": name, "logicalType": logical, **keys}


def write(folder: Path, values: dict[str, Any] | str) -> Path:
    """The values as a contract file."""
    path = folder / "shop.odcs.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def load_table(folder: Path, **keys: Any) -> Table:
    """The one table of `contract_values(**keys)`, loaded."""
    return load_contract(write(folder, contract_values(**keys)), "shop").tables[0]


@cache
def odcs_schema() -> dict[str, Any]:
    """The standard's own JSON schema, of the version that is installed."""
    text = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@cache
def _validator() -> Any:
    return Draft201909Validator(odcs_schema())


def odcs_faults(values: dict[str, Any]) -> list[str]:
    """What the standard's own JSON schema finds wrong with a contract."""
    return [f"{error.json_path}: {error.message}" for error in _validator().iter_errors(values)]
