"""Which object stores a process knows: the root of each zone with its options.

An address of a file travels far (staged files, files of a version, what a merge replaces), and whoever has one must reach its store. So a
platform says once where its zones are, and everything else asks by address. Of two platforms in one process that give one root different
options, the later one counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from plinth.errors import ConfigurationError
from plinth.objects.settings import StoreOptions
from plinth.secret import variable

_KNOWN: dict[str, ObjectStore] = {}


@dataclass(frozen=True)
class ObjectStore:
    """A zone's root in an object store. `zone` is its name, for messages."""

    root: str
    options: StoreOptions
    zone: str

    @property
    def scheme(self) -> str:
        """`s3`, `gs` or `abfss`."""
        return urlsplit(self.root).scheme

    @property
    def account(self) -> str:
        """The storage account of an abfss:// root."""
        return (urlsplit(self.root).hostname or "").split(".")[0]

    @property
    def endpoint(self) -> str | None:
        """The address of a store that is not the cloud's own, of the setting or of AWS_ENDPOINT_URL.

        Raises:
            ConfigurationError: the variable that `endpoint_env` names is not set.
        """
        if self.options.endpoint_env is not None:
            return self._variable(self.options.endpoint_env, "endpoint_env").rstrip("/")
        return self.options.endpoint or (os.environ.get("AWS_ENDPOINT_URL") if self.scheme == "s3" else None)

    @property
    def path_style(self) -> bool:
        """Whether the bucket stands in the path of a request."""
        return self.endpoint is not None if self.options.path_style is None else self.options.path_style

    @property
    def region(self) -> str:
        """The bucket's region; stores that are not Amazon's take any."""
        named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return self.options.region or named or "us-east-1"

    @property
    def key(self) -> tuple[str, str] | None:
        """The key that the settings name by its variables; None where the environment's usual ones or workload identity are asked.

        Raises:
            ConfigurationError: a variable is not set.
        """
        if self.options.secret_key_env is None:
            return None
        name = self.options.access_key_env
        return (
            self._variable(name, "access_key_env") if name is not None else self.account,
            self._variable(self.options.secret_key_env, "secret_key_env"),
        )

    @property
    def is_told(self) -> bool:
        """Whether every variable that the settings name is set."""
        named = (self.options.endpoint_env, self.options.access_key_env, self.options.secret_key_env)
        return all(os.environ.get(name) for name in named if name is not None)

    def _variable(self, name: str, key: str) -> str:
        return variable(name, f"zones.{self.zone}.options.{key}")


def is_object(uri: str) -> bool:
    """Whether an address is in an object store; otherwise it is a path."""
    return "://" in uri


def know(root: str, options: StoreOptions | None, zone: str) -> None:
    """Makes a zone's root known; a folder needs none of it."""
    if is_object(root):
        _KNOWN[root.rstrip("/")] = ObjectStore(root.rstrip("/"), options or StoreOptions(), zone)


def known_stores() -> tuple[ObjectStore, ...]:
    """Every store that has been made known."""
    return tuple(_KNOWN.values())


def store_of(uri: str) -> ObjectStore:
    """The store of an address: the longest known root that it lies below.

    Raises:
        ConfigurationError: no zone's root is above it.
    """
    above = [root for root in _KNOWN if uri == root or uri.startswith(f"{root}/")]
    if not above:
        raise ConfigurationError(
            "the address lies in no zone",
            expected=f"below one of {', '.join(_KNOWN) or 'no root: no zone is in an object store'}",
            found=uri,
            where="platform.yaml, zones",
        )
    return _KNOWN[max(above, key=len)]


def client_options(uri: str) -> dict[str, str]:
    """What delta-rs and obstore want to reach an address, beside what they read from the environment; nothing for a path.

    Raises:
        ConfigurationError: a variable that the zone's options name is not set, or one asks for commits that can overwrite each other.
    """
    if not is_object(uri):
        return {}
    store = store_of(uri)
    options = {"max_retries": str(store.options.retries)}
    if store.scheme == "s3":
        options |= _s3(store)
    elif store.scheme == "abfss":
        options["azure_storage_account_name"] = store.account
        if store.key is not None:
            options["azure_storage_account_key"] = store.key[1]
    # Of gs:// the client takes no HMAC key: it asks GOOGLE_APPLICATION_CREDENTIALS or the workload's identity.
    return options


def _s3(store: ObjectStore) -> dict[str, str]:
    if os.environ.get("AWS_S3_ALLOW_UNSAFE_RENAME", "").lower() in ("1", "true", "yes"):
        raise ConfigurationError(
            "AWS_S3_ALLOW_UNSAFE_RENAME is set, with which two writers can overwrite each other's commits",
            expected="commits by conditional puts",
            where="the environment",
            remedy="unset it; a store that knows no conditional puts cannot hold tables",
        )
    options = {
        "aws_region": store.region,
        "aws_virtual_hosted_style_request": str(not store.path_style).lower(),
        # A commit is a put that fails where the object is there: that makes one of two writers win.
        "aws_conditional_put": "etag",
    }
    if store.endpoint is not None:
        options["aws_endpoint"] = store.endpoint
        options["aws_allow_http"] = str(store.endpoint.startswith("http://")).lower()
    if store.key is not None:
        options["aws_access_key_id"], options["aws_secret_access_key"] = store.key
    return options
