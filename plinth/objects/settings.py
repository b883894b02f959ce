"""The `options` of a zone that lies in an object store. No key of it can hold a secret: each names a variable, or is none."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SCHEMES = ("s3", "gs", "abfss")
_ALIKE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "az": "abfss", "azure": "abfss", "abfs": "abfss", "adl": "abfss"}


class StoreOptions(BaseModel):
    """How an object store is reached.

    Attributes:
        endpoint: address of a store that is not the cloud's own, `https://s3.example.com`; with `http://` nothing is encrypted.
        endpoint_env: names the variable that holds the endpoint instead.
        region: of the bucket (S3); by default what AWS_REGION says.
        path_style: whether the bucket stands in the path (S3); by default where an endpoint is given.
        access_key_env, secret_key_env: name the variables of a key (S3, HMAC keys of gs://) or of the account's key (abfss://, the second
            alone). Without them the environment's usual variables, then workload identity, are asked.
        retries: how often a request is sent again before it counts as failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str | None = None
    endpoint_env: str | None = None
    region: str | None = None
    path_style: bool | None = None
    access_key_env: str | None = None
    secret_key_env: str | None = None
    retries: int = Field(default=5, ge=0, le=20)

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://none")
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ValueError("an address such as https://s3.example.com is expected")
        if parts.username or parts.password:
            raise ValueError("a secret stands in endpoint: name its variables in access_key_env and secret_key_env")
        return value.rstrip("/") if value else value

    @model_validator(mode="after")
    def _one_endpoint(self) -> StoreOptions:
        if self.endpoint is not None and self.endpoint_env is not None:
            raise ValueError("only one of endpoint and endpoint_env is expected")
        return self


def check_root(root: str, options: StoreOptions | None) -> None:
    """Refuses a root that no engine here can read, or options that do not go with it.

    Raises:
        ValueError: says what is expected instead.
    """
    if "://" not in root:
        if options is not None:
            raise ValueError("options belong to a root in an object store, and the root is a folder")
        return
    parts = urlsplit(root)
    if parts.scheme not in SCHEMES:
        meant = f" (did you mean {_ALIKE[parts.scheme]}://?)" if parts.scheme in _ALIKE else ""
        raise ValueError(f"root: a folder, s3://, gs:// or abfss:// is expected, found {parts.scheme}://{meant}")
    if parts.password or (parts.username and parts.scheme != "abfss"):
        raise ValueError("a secret stands in root: credentials come from the environment (docs/storage.md)")
    if parts.query or parts.fragment or not parts.netloc:
        raise ValueError("root: scheme://bucket/prefix is expected, nothing after it")
    if parts.scheme == "abfss" and not (parts.username and "." in (parts.hostname or "")):
        raise ValueError("root: abfss://container@account.dfs.core.windows.net/prefix is expected")
    _check_options(parts.scheme, options or StoreOptions())


def _check_options(scheme: str, options: StoreOptions) -> None:
    if scheme != "s3":
        wrong = [
            name for name in ("region", "path_style", "endpoint", "endpoint_env") if getattr(options, name) is not None
        ]
        if wrong:
            raise ValueError(f"options.{wrong[0]} belongs to s3://")
    if scheme == "abfss" and options.access_key_env is not None:
        raise ValueError("options.access_key_env: an account's key has no second part, secret_key_env alone names it")
    if scheme != "abfss" and (options.access_key_env is None) != (options.secret_key_env is None):
        raise ValueError("options: access_key_env and secret_key_env are expected together")
