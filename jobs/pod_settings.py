"""What the pods of all steps have in common, whatever their size: the keys of `execution.kubernetes` in the words of dagster-k8s."""

from __future__ import annotations

from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig

from plinth.execution_settings import Kubernetes


def of_every_step(settings: Kubernetes) -> K8sContainerContext:
    """The settings of a step's pod before its size and place are added."""
    return K8sContainerContext(
        image_pull_policy=settings.image_pull_policy,
        image_pull_secrets=[{"name": name} for name in settings.image_pull_secrets],
        service_account_name=settings.service_account,
        env_config_maps=settings.env_config_maps,
        env_secrets=settings.env_secrets,
        namespace=settings.namespace,
        run_k8s_config=UserDefinedDagsterK8sConfig(
            # Only the run's pod starts others; a step runs code of models and of contracts, and needs no right to do so.
            pod_spec_config={"automount_service_account_token": False},
            job_spec_config={
                "ttl_seconds_after_finished": settings.ttl_seconds,
                "active_deadline_seconds": settings.pending_seconds + settings.step_seconds,
                # Attempts are counted by the executor, where their reasons are told apart.
                "backoff_limit": 0,
            },
        ),
    )
