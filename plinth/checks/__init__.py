"""Checks that follow from a contract, run over one version of a bronze table.

What belongs here: which checks a contract table has (`derive`) and what one version says to them (`examine`). What does not: Dagster's
specs and results (`assets.checks`), and the judging of rows before they are published (`plinth.ingest.verify`): these checks look at
what was published, with queries of their own, so that a fault of the loader shows.
"""

from plinth.checks.derive import Check, Kind, checks_of
from plinth.checks.examine import Finding, Load, evidence, examine

__all__ = ["Check", "Finding", "Kind", "Load", "checks_of", "evidence", "examine"]
