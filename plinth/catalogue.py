"""Every contract of a platform together.

What belongs here: reading the contract of each source, and what only shows when they stand side by side. What does not: one contract by
itself (`plinth.contracts`).
"""

from __future__ import annotations

from plinth.contracts.load import load_contract
from plinth.contracts.model import Contract, Table
from plinth.errors import ConfigurationError, ContractError
from plinth.platform import Platform


def load_contracts(platform: Platform) -> tuple[Contract, ...]:
    """The contract of each source, in the order of `platform.yaml`.

    Raises:
        ContractError: a contract is missing or wrong, or two sources have a table of one name: both would be `bronze/<name>`.
    """
    contracts = tuple(load_contract(platform.path(source.contract), name) for name, source in platform.sources.items())
    owner: dict[str, Contract] = {}
    for contract in contracts:
        for table in contract.tables:
            first = owner.setdefault(table.name, contract)
            if first is not contract:
                raise ContractError(
                    f"two sources have a table {table.name}, and there can be only one bronze/{table.name}",
                    expected="names that are unique over all contracts",
                    found=f"{table.name} in {first.path} and in {contract.path}",
                    remedy=f"give one of them another name, such as {contract.source}_{table.name}",
                )
    return contracts


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
