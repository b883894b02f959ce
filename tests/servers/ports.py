"""A port of this machine that a server may take, and take again after it was killed."""

from __future__ import annotations

import secrets
import socket

_LEAST, _BEYOND = 20_000, 32_000
"""Below 32,768 begin no connections of the kernel's own choosing, any of which could hold the port of a server that is just down, or about to
start; 10,002 to 19,999 are those of Ray's workers."""


def free_port() -> int:
    """A port of the loopback on which nobody listens. Drawn, so that processes that ask at the same time do not get the same one.

    Raises:
        RuntimeError: none of 1,000 drawn ports is free.
    """
    for _ in range(1_000):
        port = _LEAST + secrets.randbelow(_BEYOND - _LEAST)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {_LEAST} to {_BEYOND}: end what listens there")
