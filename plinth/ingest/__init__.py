"""Loading legacy tables into bronze: plan, read, judge, publish.

What belongs here: deciding how much to read, holding rows against their contract, and publishing rows and watermark together. What does
not: how a database is read (`plinth.sources`), how a table is written (`plinth.lakehouse`).
"""

from plinth.ingest.load import bronze_id, ingest, unchanged
from plinth.ingest.outcome import Outcome

__all__ = ["Outcome", "bronze_id", "ingest", "unchanged"]
