"""What `platform.yaml` may say of zones in object stores, and what the engines are told of it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import yaml

from plinth.engine import connect
from plinth.errors import ConfigurationError, StorageFailure, StorageUnavailable
from plinth.objects import stores
from plinth.objects.duckdb_secrets import attach
from plinth.objects.faults import storage_fault
from plinth.objects.settings import StoreOptions
from plinth.objects.stores import client_options, know, store_of
from plinth.platform import Platform, load_platform


@pytest.fixture(autouse=True)
def _none_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_KNOWN", {})
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_S3_ALLOW_UNSAFE_RENAME"):
        monkeypatch.delenv(name, raising=False)


def platform(tmp_path: Path, root: str, options: dict[str, object] | None = None) -> Platform:
    zone: dict[str, object] = {"root": root, "clearance": ["internal"]}
    if options is not None:
        zone["options"] = options
    values = {
        "zones": {"cloud": zone},
        "layers": dict.fromkeys(("bronze", "silver", "gold", "ops"), "cloud"),
        "profiles": {"small": {"cpu": 1, "memory": "256MiB"}},
        "default_profile": "small",
    }
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(values))
    return load_platform(tmp_path / "platform.yaml")


@pytest.mark.parametrize(
    ("root", "options", "said"),
    [
        ("s3a://bucket/x", None, "did you mean s3://"),
        ("az://container/x", None, "did you mean abfss://"),
        ("http://host/x", None, "a folder, s3://, gs:// or abfss:// is expected"),
        ("s3://key:secret@bucket/x", None, "a secret stands in root"),
        ("s3://bucket/x?endpoint=y", None, "nothing after it"),
        ("s3:///x", None, "scheme://bucket/prefix"),
        ("abfss://container/x", None, "container@account.dfs.core.windows.net"),
        ("folder", {"region": "eu-west-1"}, "the root is a folder"),
        ("s3://bucket/x", {"endpint": "http://h"}, "did you mean 'endpoint'"),
        ("s3://bucket/x", {"endpoint": "host:9000"}, "https://s3.example.com"),
        ("s3://bucket/x", {"endpoint": "http://u:p@host"}, "a secret stands in endpoint"),
        ("s3://bucket/x", {"endpoint": "http://h", "endpoint_env": "E"}, "only one of endpoint and endpoint_env"),
        ("s3://bucket/x", {"access_key_env": "K"}, "expected together"),
        ("gs://bucket/x", {"region": "eu"}, "options.region belongs to s3://"),
        ("abfss://c@a.dfs.core.windows.net/x", {"access_key_env": "K"}, "secret_key_env alone"),
    ],
)
def test_a_root_or_option_that_cannot_be_meant_is_refused_with_the_key(
    tmp_path: Path, root: str, options: dict[str, object] | None, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"zones\.cloud") as refused:
        platform(tmp_path, root, options)
    assert said in str(refused.value)


def test_one_setting_tells_delta_rs_where_the_bucket_is_and_to_commit_by_conditional_puts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform(tmp_path, "s3://bucket/lake/", {"endpoint_env": "LAKE", "region": "eu-west-1"})
    with pytest.raises(ConfigurationError, match=r"LAKE is not set[\s\S]*zones\.cloud\.options\.endpoint_env"):
        client_options("s3://bucket/lake/gold/sales")
    monkeypatch.setenv("LAKE", "http://127.0.0.1:9000/")
    assert client_options("s3://bucket/lake/gold/sales") == {
        "max_retries": "5",
        "aws_region": "eu-west-1",
        "aws_endpoint": "http://127.0.0.1:9000",
        "aws_allow_http": "true",
        "aws_virtual_hosted_style_request": "false",
        "aws_conditional_put": "etag",
    }
    assert client_options(str(tmp_path)) == {}
    with pytest.raises(ConfigurationError, match="lies in no zone"):
        client_options("s3://bucket/lakes/gold")


def test_amazon_itself_is_asked_by_the_buckets_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    platform(tmp_path, "s3://bucket/lake")
    options = client_options("s3://bucket/lake/x")
    assert options["aws_virtual_hosted_style_request"] == "true" and options["aws_region"] == "eu-central-1"
    assert "aws_endpoint" not in options


def test_an_azure_zone_names_its_account_and_a_google_zone_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform(tmp_path, "abfss://lake@shop.dfs.core.windows.net/x", {"secret_key_env": "AZ_KEY"})
    monkeypatch.setenv("AZ_KEY", "a2V5")
    uri = "abfss://lake@shop.dfs.core.windows.net/x/gold/sales"
    assert client_options(uri) == {
        "max_retries": "5",
        "azure_storage_account_name": "shop",
        "azure_storage_account_key": "a2V5",
    }
    platform(tmp_path, "gs://bucket/x")
    assert client_options("gs://bucket/x/gold") == {"max_retries": "5"}


@pytest.mark.parametrize("root", ["s3://bucket/x", "gs://bucket/x", "abfss://lake@shop.dfs.core.windows.net/x"])
def test_a_connection_gets_a_secret_for_each_zone_bound_to_its_root(
    tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("duckdb_extension_httpfs", reason="the extra objects: requirements/objects.lock")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AZ", "c2VjcmV0LW9mLXRoZS10ZXN0")
    options = {"secret_key_env": "AZ"} if root.startswith("abfss") else None
    con = connect(platform(tmp_path, root, options).profile(), scratch=tmp_path / "s")
    ((kind, scope, persistent, text),) = con.execute(
        "SELECT type, scope, persistent, secret_string FROM duckdb_secrets()"
    ).fetchall()
    assert kind == {"s3": "s3", "gs": "gcs", "ab": "azure"}[root[:2]] and scope == [f"{root}/"] and not persistent
    assert "secret-of-the-test" not in text and "c2VjcmV0" not in text
    con.close()


def test_a_zone_whose_variables_are_not_set_stops_no_work_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("duckdb_extension_httpfs", reason="the extra objects: requirements/objects.lock")
    monkeypatch.delenv("NOT_SET", raising=False)
    made = platform(tmp_path, "s3://bucket/x", {"access_key_env": "NOT_SET", "secret_key_env": "NOT_SET"})
    con = connect(made.profile(), scratch=tmp_path / "s")
    assert con.execute("SELECT count(*) FROM duckdb_secrets()").fetchone() == (0,)
    con.close()


def test_a_longer_root_goes_before_a_shorter_one() -> None:
    know("s3://bucket", None, "all")
    know("s3://bucket/private", StoreOptions(region="eu-west-1"), "own")
    assert store_of("s3://bucket/private/gold").zone == "own"
    assert store_of("s3://bucket/privately/gold").zone == "all"


def test_a_secret_with_quotes_is_a_text_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb_extension_httpfs", reason="the extra objects: requirements/objects.lock")
    con = connect(platform(tmp_path, "folder").profile(), scratch=tmp_path / "s")
    from plinth.engine import load_extension

    load_extension(con, "httpfs")
    monkeypatch.setenv("K", "a'); DROP SECRET x; --")
    know("s3://bucket/x", StoreOptions(access_key_env="K", secret_key_env="K"), "cloud")
    attach(con, store_of("s3://bucket/x"), "one")
    assert con.execute("SELECT count(*) FROM duckdb_secrets()").fetchone() == (1,)
    con.close()


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("HTTP GET error reading 's3://b/x' (HTTP 403 Forbidden)", StorageFailure, "refused the credentials"),
        ("Generic S3 error: NoSuchBucket", StorageFailure, "the bucket is not there"),
        ("error sending request for url: connection refused", StorageUnavailable, "did not answer"),
        ("HTTP 503 SlowDown", StorageUnavailable, "did not answer"),
        ("the file is no Parquet", StorageFailure, "the table could not be read"),
    ],
)
def test_a_fault_is_told_by_what_can_be_done(text: str, kind: type[StorageFailure], said: str) -> None:
    fault = storage_fault(duckdb.IOException(text), "s3://b/x", "the table could not be read")
    assert type(fault) is kind and said in str(fault) and fault.transient == (kind is StorageUnavailable)


def test_no_secret_of_a_clients_text_is_told() -> None:
    fault = storage_fault(OSError("403 aws_secret_access_key=abc123 Signature: deadbeef"), "s3://b/x", "it failed")
    assert "abc123" not in str(fault) and "deadbeef" not in str(fault)
