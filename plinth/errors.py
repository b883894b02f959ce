"""The errors of this project: each says what was expected, what was found, where, and what to do next.

Every error that a user can meet is a `PlinthError`. `transient` tells a passing fault (worth a retry: the network, a conflict with
another writer) from a permanent one (a broken contract, a wrong key), so that whoever runs the work retries only the former.
"""

from __future__ import annotations


class PlinthError(Exception):
    """Base of all errors of the platform.

    Args:
        what: one sentence that says what went wrong.
        expected: what would have been right.
        found: what was there instead.
        where: file and key, table and column, or address (never with a password).
        remedy: what the reader can do now.
    """

    transient = False

    def __init__(
        self,
        what: str,
        *,
        expected: object | None = None,
        found: object | None = None,
        where: object | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        self.where = where
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        parts = [self.what]
        for label, value in (
            ("expected", self.expected),
            ("found", self.found),
            ("where", self.where),
            ("what to do", self.remedy),
        ):
            if value is not None:
                parts.append(f"  {label}: {value}")
        return "\n".join(parts)


class ConfigurationError(PlinthError):
    """`platform.yaml`, an overlay of it or an environment variable is wrong."""


class ContractError(PlinthError):
    """A contract file cannot be used as it stands."""


class ContractViolation(PlinthError):
    """Data broke its contract by more than the contract allows; nothing was published."""


class SchemaDrift(ContractViolation):
    """The source's columns differ from the contract and its drift policy does not let them pass."""


class DriverMissing(PlinthError):
    """A database driver is not installed; the message names the extra that brings it."""


class SourceUnavailable(PlinthError):
    """The legacy system did not answer, or the connection was cut while reading; nothing was published."""

    transient = True


class SourceUnreadable(PlinthError):
    """The legacy system answered, but the table cannot be read as the contract says."""


class ClusterUnavailable(PlinthError):
    """A cluster that work was to be spread over did not answer, or lost it."""

    transient = True


class HistoryUnavailable(PlinthError):
    """The database of Dagster's history did not answer, or refused the user; nothing was started."""

    transient = True


class StorageFailure(PlinthError):
    """A zone could not be written: disk full, no permission. The table is as it was."""


class StorageUnavailable(StorageFailure):
    """An object store did not answer. A table that was to be written is as it was."""

    transient = True


class CommitConflict(PlinthError):
    """Another writer committed to the same table first; nothing of this write is visible."""

    transient = True


class ResidencyViolation(PlinthError):
    """A table holds columns of a classification for which the zone is not cleared; nothing was written."""


class TableMissing(PlinthError):
    """A table was asked for that no run has made yet."""


class OutOfMemory(PlinthError):
    """The process or pod of a step was killed because it took more memory than its profile has."""


class WorkInterrupted(PlinthError):
    """The node below the work was taken away: spot capacity, an eviction, a preemption, a shutdown. The work itself did nothing wrong."""

    transient = True


class PodUnplaced(PlinthError):
    """A pod did not start in time: no node takes it, or its image cannot be had."""


class PodFailed(PlinthError):
    """A pod ended without telling how its work went, and not because of its node."""
