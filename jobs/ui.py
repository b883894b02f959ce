"""What `plinth ui` becomes: `dagster dev`, which ends without a traceback also while it is still loading.

What belongs here: the start of Dagster's own command. What does not: which project is shown (`plinth.newest`).
"""

from __future__ import annotations

import signal


def main() -> None:
    """Runs `dagster` with this process's arguments."""
    # Dagster takes a second or two to load, and Ctrl-C in the middle of an import prints pages: until it is there, the process just ends.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dagster._cli import main as dagster

    signal.signal(signal.SIGINT, signal.default_int_handler)
    dagster()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
