"""What is done to single files of a zone, in a folder or in an object store: size, removal, listing.

What belongs here: the only use of obstore. What does not: reading and writing rows, which DuckDB and delta-rs do themselves.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from plinth.errors import ConfigurationError, StorageFailure
from plinth.objects.faults import storage_fault
from plinth.objects.stores import ObjectStore, client_options, is_object, store_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client


def size_of(uri: str) -> int | None:
    """The bytes of a file; None where it is not there.

    Raises:
        StorageFailure: the object store refused or did not answer.
    """
    if not is_object(uri):
        return os.path.getsize(uri) if os.path.exists(uri) else None
    import obstore

    client, path = _client_and_path(uri)
    with _faults(uri, "the file could not be looked at"):
        try:
            return int(obstore.head(client, path)["size"])
        except FileNotFoundError:
            return None


def remove(uris: Iterable[str]) -> None:
    """Removes files; those that are gone already are no fault.

    Raises:
        StorageFailure: the object store refused or did not answer.
    """
    import contextlib

    objects: dict[int, tuple[Client, str, list[str]]] = {}
    for uri in uris:
        if is_object(uri):
            client, path = _client_and_path(uri)
            objects.setdefault(id(client), (client, uri, []))[2].append(path)
            continue
        with contextlib.suppress(FileNotFoundError):
            os.unlink(uri)
    for client, first, paths in objects.values():
        _remove_objects(client, first, paths)


def _remove_objects(client: Client, uri: str, paths: list[str]) -> None:
    import contextlib

    import obstore

    with _faults(uri, "the files could not be removed"):
        try:
            # Several at a time; of a table's old files there may be thousands.
            obstore.delete(client, paths)
        except FileNotFoundError:
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(client, path)


def files_below(uri: str) -> Iterator[str]:
    """The addresses of all files below a folder or prefix; none where it is not there.

    Raises:
        StorageFailure: the object store refused or did not answer.
    """
    if not is_object(uri):
        for folder, _, names in os.walk(uri):
            yield from (os.path.join(folder, name) for name in names)
        return
    import obstore

    client, path = _client_and_path(uri)
    root = uri[: len(uri) - len(path)] if path else f"{uri}/"
    with _faults(uri, "the files could not be listed"):
        for batch in obstore.list(client, f"{path}/" if path else None):
            yield from (root + entry["path"] for entry in batch)


def files_older(uri: str, seconds: float) -> list[str]:
    """The addresses of the files below a folder or prefix that were last written so many seconds ago, or longer.

    Raises:
        StorageFailure: the object store refused or did not answer.
    """
    limit = time.time() - seconds
    if not is_object(uri):
        return [path for path in files_below(uri) if _written(path) <= limit]
    import obstore

    client, path = _client_and_path(uri)
    root = uri[: len(uri) - len(path)] if path else f"{uri}/"
    with _faults(uri, "the files could not be listed"):
        return [
            root + entry["path"]
            for batch in obstore.list(client, f"{path}/" if path else None)
            for entry in batch
            if entry["last_modified"].timestamp() <= limit
        ]


def _written(path: str) -> float:
    """When a local file was last written; now, where somebody has just renamed or removed it."""
    try:
        return os.path.getmtime(path)
    except FileNotFoundError:
        return time.time()


def folders_in(uri: str) -> tuple[str, ...]:
    """The names of the folders just below a folder or prefix, in order; none where it is not there.

    Raises:
        StorageFailure: the object store refused or did not answer.
    """
    if not is_object(uri):
        return tuple(sorted(entry.name for entry in os.scandir(uri) if entry.is_dir())) if os.path.isdir(uri) else ()
    import obstore

    client, path = _client_and_path(uri)
    with _faults(uri, "the tables could not be listed"):
        found = obstore.list_with_delimiter(client, f"{path}/" if path else None)
    return tuple(sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]))


def read_text(uri: str) -> str:
    """A small text file whole.

    Raises:
        FileNotFoundError: it is not there.
        StorageFailure: the object store refused or did not answer.
    """
    if not is_object(uri):
        with open(uri, encoding="utf-8") as file:
            return file.read()
    import obstore

    client, path = _client_and_path(uri)
    with _faults(uri, "the file could not be read"):
        return bytes(obstore.get(client, path).bytes()).decode()


def require_conditional_puts(uri: str) -> None:
    """Tries whether the store of an address refuses to put an object that is there; of two writers both would win where it does not.

    Three requests: a table's creation asks once for each root in a process.

    Raises:
        ConfigurationError: it took the second put as well.
        StorageFailure: the object store refused or did not answer.
    """
    if is_object(uri):
        _require_conditional_puts(store_of(uri))


@lru_cache
def _require_conditional_puts(store: ObjectStore) -> None:
    import contextlib

    import obstore
    from obstore.exceptions import AlreadyExistsError

    client, path = _client_and_path(f"{store.root}/.plinth-conditional-put-{uuid.uuid4().hex}")
    with _faults(store.root, "the zone could not be written"):
        obstore.put(client, path, b"first", mode="create")
        try:
            obstore.put(client, path, b"second", mode="create")
        except AlreadyExistsError:
            return
        finally:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(client, path)
    raise ConfigurationError(
        f"the object store of zone {store.zone} overwrites where a put says that nothing may be there",
        expected="a store that holds conditional puts (If-None-Match), by which one of two writers wins",
        found="the second of two puts was taken",
        where=store.root,
        remedy="use or update to a store that does: Amazon S3, Google and Azure do, and so do current MinIO, Ceph and R2",
    )


def _client_and_path(uri: str) -> tuple[Client, str]:
    store = store_of(uri)
    bucket, _, path = uri.partition("://")[2].partition("/")
    return _client(store, f"{store.scheme}://{bucket}", tuple(client_options(uri).items())), path


@lru_cache
def _client(store: ObjectStore, bucket: str, options: tuple[tuple[str, str], ...]) -> Client:
    try:
        from obstore.store import from_url
    except ImportError:
        raise ConfigurationError(
            f"the library for object stores is not installed, and the zone {store.zone} lies in one",
            expected="the extra objects",
            where="platform.yaml, zones",
            remedy="install requirements/objects.lock into this environment",
        ) from None
    given: dict[str, Any] = dict(options)
    retries, http = int(given.pop("max_retries")), given.pop("aws_allow_http", "false") == "true"
    if store.scheme == "s3":
        # Not every store of this protocol knows the request that removes many.
        given["aws_disable_bulk_delete"] = "true"
    made: Client = from_url(
        bucket,
        config=given,  # type: ignore[call-overload]
        client_options={"allow_http": http},
        retry_config={"max_retries": retries},
    )
    return made


@contextmanager
def _faults(uri: str, doing: str) -> Iterator[None]:
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except (FileNotFoundError, AlreadyExistsError, StorageFailure):
        raise
    except (BaseError, OSError) as error:
        raise storage_fault(error, uri, doing) from error
