"""The client of the cluster's API with which pods of runs and of steps are looked at: each question has an end.

What belongs here: how long an answer is waited for, and which errors mean that there was none. What does not: what is asked (`jobs.run_pods`,
`jobs.pods`, `jobs.leftovers`).
"""

from __future__ import annotations

from typing import Any

import kubernetes
import urllib3
from dagster_k8s.client import (
    DagsterK8sAPIRetryLimitExceeded,
    DagsterK8sUnrecoverableAPIError,
    DagsterKubernetesClient,
    PatchedApiClient,
)

CONNECT_SECONDS, READ_SECONDS = 5.0, 15.0
"""The official client waits for ever, and with it the daemon's monitoring or the executor of a run."""
UNANSWERED = (
    kubernetes.client.ApiException,
    urllib3.exceptions.HTTPError,
    DagsterK8sAPIRetryLimitExceeded,
    DagsterK8sUnrecoverableAPIError,
)
"""No answer to a question: the server is away, takes too long, or says that it cannot or will not tell."""


class _Ending(PatchedApiClient):
    def request(self, method: str, url: str, **asked: Any) -> Any:
        """As ever, within a time of ours where the caller has none."""
        asked["_request_timeout"] = asked.get("_request_timeout") or (CONNECT_SECONDS, READ_SECONDS)
        return super().request(method, url, **asked)


def ending_client() -> DagsterKubernetesClient:
    """A client for the cluster whose settings are loaded in this process."""
    settings = kubernetes.client.Configuration.get_default_copy()
    # urllib3 tries three times more by itself, which would make each time four.
    settings.retries = 1
    api = _Ending(settings)
    made: DagsterKubernetesClient = DagsterKubernetesClient.production_client(  # type: ignore[no-untyped-call]
        batch_api_override=kubernetes.client.BatchV1Api(api),
        core_api_override=kubernetes.client.CoreV1Api(api),
    )
    return made
