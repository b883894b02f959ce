"""One command per claim: `python -m benchmarks.<name>` runs the work and its peer or limit in turn and prints a ratio.

What belongs here: the commands, what they measure with (`measure`, `report`) and the peers' scripts. What does not: tests (the suite runs
each command with `--small` only to see that it works) and anything that the platform needs.
"""

import plinth  # noqa: F401  # threads that wait do not spin here either, whatever a command imports first
