"""SQLite's own reading to nowhere: `python -m benchmarks.sqlite_dump FILE` steps through every row and keeps none."""

from __future__ import annotations

import sqlite3
import sys
from collections import deque

from benchmarks.lines import TABLE

if __name__ == "__main__":
    deque(sqlite3.connect(sys.argv[1]).execute(f"SELECT * FROM {TABLE}"), maxlen=0)
