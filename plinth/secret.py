"""Secrets that `platform.yaml` names and never holds: the values of environment variables, read when they are needed.

What belongs here: reading a variable, and putting a password into a URL. What does not: which setting names which variable
(`plinth.platform`).
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit, urlunsplit

from plinth.errors import ConfigurationError


def variable(name: str, key: str) -> str:
    """The value of an environment variable that a key of `platform.yaml` names.

    Raises:
        ConfigurationError: it is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(
            f"the environment variable {name} is not set",
            expected="what platform.yaml names it for",
            where=f"platform.yaml, {key}",
            remedy=f"export {name}=… before the run, or put it into the deployment's secret",
        )
    return value


def with_password(url: str, password: str) -> str:
    """A URL with a password beside its user."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.split(':')[0]}:{quote(password, safe='')}@{host}"))
