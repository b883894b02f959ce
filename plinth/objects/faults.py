"""What an object store's clients say when something fails, told as errors of this project.

Three clients speak to a store, DuckDB, delta-rs and obstore, and each has texts of its own; what went wrong is told apart by the words that
stand in all of them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from plinth.errors import StorageFailure, StorageUnavailable
from plinth.objects.stores import known_stores

_REFUSED = re.compile(
    r"\b40[13]\b|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|Unauthorized|Forbidden|ExpiredToken|InvalidToken"
    r"|not signed|credential|Unauthenticated|permission",
    re.IGNORECASE,
)
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist|bucket not found", re.IGNORECASE)
_AWAY = re.compile(
    r"\b(408|429|500|502|503|504)\b|connect|timed? ?out|unreachable|reset by peer|broken pipe|dns|resolve|error sending request|SlowDown"
    r"|Internal Server Error|Service Unavailable|Max retries|HTTP status server error|sending request|channel closed",
    re.IGNORECASE,
)
_SECRET = re.compile(r"(?i)(secret|signature|token|password|account_?key|\bsig\b)([^\s:=<>]*\s*[:=>]\s*)[^\s<&]+")


def storage_fault(error: BaseException, uri: str, doing: str) -> StorageFailure:
    """The error of this project for what a client said.

    Args:
        doing: what was tried, as the start of a sentence: `the table could not be read`.
    """
    said = _SECRET.sub(r"\1\2…", " ".join(str(error).split()))[:400]
    if _NO_BUCKET.search(said):
        return StorageFailure(
            f"{doing}: the bucket is not there",
            found=said,
            where=uri,
            remedy="make it, or mend the zone's root and endpoint in platform.yaml",
        )
    if _REFUSED.search(said):
        return StorageFailure(
            f"{doing}: the object store refused the credentials",
            expected="credentials that may read, write, list and delete below the zone's root",
            found=said,
            where=uri,
            remedy="mend the environment's credentials or the workload's role (docs/storage.md), and run again",
        )
    if _AWAY.search(said):
        return StorageUnavailable(
            f"{doing}: the object store did not answer",
            found=said,
            where=uri,
            remedy="look whether it and the network are up, and run again; nothing needs to be cleaned up",
        )
    return StorageFailure(f"{doing}", found=said, where=uri, remedy="mend the storage and run again")


@contextmanager
def reading_faults() -> Iterator[None]:
    """Turns what DuckDB says of an object store while a query reads from it into an error of this project.

    Raises:
        StorageFailure, StorageUnavailable: instead of DuckDB's own error, where that names the root of a zone.
    """
    try:
        yield
    except _engine_errors() as error:
        said = str(error)
        roots = [store.root for store in known_stores() if store.root in said or _bucket_in(store.root, said)]
        if not roots:
            raise
        raise storage_fault(error, roots[0], "a table could not be read") from error


def _bucket_in(root: str, said: str) -> bool:
    # DuckDB names the address of the request, in which the bucket stands before the host or in the path.
    bucket = root.partition("://")[2].partition("/")[0].partition("@")[0]
    return "HTTP" in said and re.search(rf"[/.@]{re.escape(bucket)}[/.]|/{re.escape(bucket)}\b", said) is not None


def _engine_errors() -> tuple[type[Exception], ...]:
    """DuckDB's errors of input and output; none where the process has not loaded it."""
    engine = sys.modules.get("duckdb")
    return (engine.IOException, engine.HTTPException) if engine is not None else ()
