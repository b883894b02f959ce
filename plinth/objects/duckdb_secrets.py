"""Letting a DuckDB connection reach the object stores that are known.

Each root gets a secret of its own, bound to it by SCOPE, in the memory of that connection. Without a key in the settings DuckDB asks the
chain of its cloud: environment, web identity or workload identity, the machine's role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plinth.objects.stores import ObjectStore

if TYPE_CHECKING:
    import duckdb

EXTENSIONS = {"s3": ("httpfs", "aws"), "gs": ("httpfs",), "abfss": ("azure",)}
_S3_CHAIN = "env;web_identity;sso;config;instance"
_AZURE_CHAIN = "env;workload_identity;managed_identity;cli"


def attach(con: duckdb.DuckDBPyConnection, store: ObjectStore, name: str) -> None:
    """Gives a connection the secret of one store; its extensions have to be loaded.

    Raises:
        ConfigurationError: a variable that the zone's options name is not set.
    """
    settings = {"s3": _s3, "gs": _gs, "abfss": _azure}[store.scheme](store)
    listed = ", ".join(f"{key} {_text(value)}" for key, value in {**settings, "SCOPE": f"{store.root}/"}.items())
    con.execute(f"CREATE OR REPLACE TEMPORARY SECRET {name} ({listed})")
    if "httpfs" in EXTENSIONS[store.scheme]:
        con.execute(f"SET http_retries = {store.options.retries}")


def _s3(store: ObjectStore) -> dict[str, object]:
    settings: dict[str, object] = {"TYPE": "s3", "REGION": store.region}
    settings["URL_STYLE"] = "path" if store.path_style else "vhost"
    if store.endpoint is not None:
        scheme, _, host = store.endpoint.partition("://")
        settings |= {"ENDPOINT": host, "USE_SSL": scheme == "https"}
    if store.key is not None:
        return settings | {"KEY_ID": store.key[0], "SECRET": store.key[1]}
    # A missing credential is told where something is read, by whoever reads: a load of another zone goes on.
    return settings | {"PROVIDER": "credential_chain", "CHAIN": _S3_CHAIN, "VALIDATION": "none", "REFRESH": "auto"}


def _gs(store: ObjectStore) -> dict[str, object]:
    # DuckDB reads Google's store through its S3 form alone, which knows HMAC keys and no workload identity.
    keys = {"KEY_ID": store.key[0], "SECRET": store.key[1]} if store.key is not None else {}
    return {"TYPE": "gcs", **keys}


def _azure(store: ObjectStore) -> dict[str, object]:
    if store.key is not None:
        key = f"DefaultEndpointsProtocol=https;AccountName={store.account};AccountKey={store.key[1]};EndpointSuffix=core.windows.net"
        return {"TYPE": "azure", "CONNECTION_STRING": key}
    return {"TYPE": "azure", "PROVIDER": "credential_chain", "CHAIN": _AZURE_CHAIN, "ACCOUNT_NAME": store.account}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "'" + str(value).replace("'", "''") + "'"
