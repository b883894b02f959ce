"""Whether an address can be listened on, found out before a server with many parts is started on it.

What belongs here: the look and its error. What does not: any server.
"""

from __future__ import annotations

import socket

from plinth.errors import ConfigurationError


def require_free(host: str, port: int, *, remedy: str) -> None:
    """Passes where a server may listen.

    Raises:
        ConfigurationError: another process listens there, or the address is none of this machine; `remedy` says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"the address {host}:{port} cannot be listened on", found=error.strerror or error, remedy=remedy
            ) from None
