"""How much memory this process holds, now and at most.

Not by `getrusage` where the system says it better: on Linux a process that another one started by vfork, as Python's subprocess does, begins with the
highest that its parent had (tried: 610 MB of a child that held 9).
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Bytes that the process holds now; where the system does not say (macOS), the most that it ever held."""
    return _status("VmRSS") or _highest()


def peak_bytes() -> int:
    """The most bytes that the process ever held."""
    return _status("VmHWM") or _highest()


def _status(field: str) -> int:
    if not _STATUS.exists():
        return 0
    lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def _highest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
