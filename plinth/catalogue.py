"""Every contract of a platform together.

What belongs here: reading the contract of each source, and what only shows when they stand side by side. What does not: one contract by
itself (`plinth.contracts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import get_args

from plinth.contracts.load import load_contract
from plinth.contracts.model import Contract, Table
from plinth.errors import ConfigurationError, ContractError
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableId
from plinth.platform import Classification, Platform

_LEVELS = get_args(Classification)
EVENTS = "online_events"
"""The one bronze table that comes from no legacy system: what the API took from its callers (`plinth.online.archive`)."""


def load_contracts(platform: Platform) -> tuple[Contract, ...]:
    """The contract of each source, in the order of `platform.yaml`.

    Raises:
        ContractError: a contract is missing or wrong, or two sources have a table of one name, or one that the platform's own events have: both
            would be `bronze/<name>`.
    """
    contracts = tuple(load_contract(platform.path(source.contract), name) for name, source in platform.sources.items())
    owner: dict[str, Contract] = {}
    for contract in contracts:
        for table in contract.tables:
            if table.name == EVENTS:
                raise ContractError(
                    f"a table is called {EVENTS}, and bronze/{EVENTS} holds what the API took from its callers",
                    expected="another name",
                    found=f"{EVENTS} in {contract.path}",
                    remedy=f"give it another name, such as {contract.source}_{EVENTS}; physicalName stays",
                )
            first = owner.setdefault(table.name, contract)
            if first is not contract:
                raise ContractError(
                    f"two sources have a table {table.name}, and there can be only one bronze/{table.name}",
                    expected="names that are unique over all contracts",
                    found=f"{table.name} in {first.path} and in {contract.path}",
                    remedy=f"give one of them another name, such as {contract.source}_{table.name}",
                )
    return contracts


def declared_classifications(platform: Platform) -> Mapping[str, Mapping[str, str]]:
    """For each contract table, by its name without the layer, the classifications of its columns.

    Raises:
        ContractError: a contract is missing or wrong.
    """
    return _declared(_state_of(platform))


_Files = tuple[tuple[str, str, int], ...]


def _state_of(platform: Platform) -> _Files:
    paths = {name: platform.path(source.contract) for name, source in platform.sources.items()}
    return tuple((name, str(path), path.stat().st_mtime_ns if path.exists() else 0) for name, path in paths.items())


@lru_cache(maxsize=8)
def _declared(files: _Files) -> dict[str, dict[str, str]]:
    """For each contract table the classifications of its columns, as the files say that were changed at those times."""
    contracts = [load_contract(Path(path), name) for name, path, _ in files]
    return {
        table.name: {column.name: column.classification for column in table.columns}
        for contract in contracts
        for table in contract.tables
    }


def find_table(contracts: tuple[Contract, ...], name: str) -> Table:
    """The contract table `name`, with or without `bronze/` before it.

    Raises:
        ConfigurationError: no contract has it.
    """
    wanted = name.removeprefix("bronze/")
    known = {table.name: table for contract in contracts for table in contract.tables}
    if wanted not in known:
        raise ConfigurationError(
            f"no contract has a table {wanted!r}",
            expected=f"one of {', '.join(sorted(known)) or 'none is declared'}",
            found=wanted,
            where=", ".join(str(contract.path) for contract in contracts) or "platform.yaml, sources",
        )
    return known[wanted]


def strictest(platform: Platform, table: TableId, columns: Sequence[DeltaColumn]) -> tuple[DeltaColumn, ...]:
    """The columns of a bronze table with the higher of the classifications that are stored and declared now.

    A contract that was raised counts at once, and one that was lowered only when a load has stored it.

    Raises:
        ContractError: a contract is missing or wrong, so that nobody knows what it declares.
    """
    if table.layer != "bronze" or not platform.sources:
        return tuple(columns)
    return stricter(columns, declared_classifications(platform).get(table.name, {}))


def stricter(columns: Sequence[DeltaColumn], declared: Mapping[str, str]) -> tuple[DeltaColumn, ...]:
    """The columns with the higher of their classification and the one that is declared for their name."""
    return tuple(
        replace(each, classification=max(each.classification, declared.get(each.name, _LEVELS[0]), key=_LEVELS.index))
        for each in columns
    )
