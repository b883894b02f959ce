"""What a process is said to have held is its own."""

from __future__ import annotations

import subprocess
import sys

from plinth.resident import peak_bytes, resident_bytes

ASKED = """
from plinth.resident import peak_bytes, resident_bytes
kept = b"x" * (64 * 2**20)
most = resident_bytes()
del kept
print(most, resident_bytes(), peak_bytes())
"""


def test_a_process_does_not_count_what_the_one_that_started_it_held() -> None:
    held = b"x" * (256 * 2**20)
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    most, left, peak = map(int, done.stdout.split())
    # The kernel counts by processor and sums up now and then, so two looks may differ by some pages.
    assert left < most <= peak + 2**20 < 160 * 2**20 < len(held) < resident_bytes() <= peak_bytes() + 2**20
