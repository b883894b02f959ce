"""The executor `kubernetes`: a pod for each step that is not small, on the size that its asset asks for.

What belongs here: which step becomes a pod, its specification, and how its end is told. What does not: what a pod's status means
(`plinth.pod_status`), small steps (`jobs.run_processes`), and the pod of the run (`jobs.run_pods`). It stands on dagster-k8s and its step handler;
what that lacks is the size after an out-of-memory kill, the difference between an interruption and an error, and an end to waiting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.context.system import IStepContext
from dagster._core.execution.plan.objects import StepRetryData
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepDelegatingExecutor, StepHandlerContext
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import UserDefinedDagsterK8sConfig
from dagster_shared.error import SerializableErrorInfo

from assets.faults import CHOSEN_VARIABLE, FIRST_WAIT, INTERRUPTIONS, LOST_VARIABLE
from assets.profiles import AUTO_TAG, PROFILE_TAG, pod_config
from jobs.cluster_client import ending_client
from jobs.leftovers import STEPS_TAG
from jobs.pod_settings import of_every_step
from jobs.run_processes import RunProcesses
from jobs.step_ends import lost_attempts, ran_out_of_memory, told_ends
from jobs.step_sizes import size_at_launch
from plinth.errors import OutOfMemory, PlinthError, PodFailed, WorkInterrupted
from plinth.platform import Platform
from plinth.pod_status import end_of, unplaced

GRANTED_TAG = "plinth/granted."
"""Run tags: the profile that a step has after it was killed in its own, so that a resumed or repeated run begins there."""


def pod_executor(platform: Platform) -> dg.ExecutorDefinition:
    """The executor for this platform; it takes no configuration of a run, as sizes and places are the platform's."""

    @dg.executor(name="pods", requirements=multiple_process_executor_requirements())
    def pods(context: InitExecutorContext) -> PodExecutor:
        return PodExecutor(platform, context.instance)

    return pods


@dataclass
class Attempts:
    """What this process knows of a step.

    Attributes:
        granted: the profile that it was granted after a kill.
        chosen: the profile that was chosen for it when it was launched, where its asset leaves that open.
        end: why its last pod or process ended.
        silent_since: when its pod was first seen to have succeeded, by the monotonic clock.
    """

    granted: str | None = None
    chosen: str | None = None
    end: PlinthError | None = None
    silent_since: float | None = None


class PodExecutor(StepDelegatingExecutor):
    """Dagster's executor that delegates steps, with our handler, and with our answer to a pod's end."""

    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        settings = platform.execution.kubernetes
        self._pods = StepPods(platform, instance)
        super().__init__(
            self._pods,
            retries=RetryMode.ENABLED,
            check_step_health_interval_seconds=settings.look_seconds,
            max_concurrent=settings.max_concurrent,
            should_verify_step=True,
        )

    def log_failure_or_retry_event_after_error(
        self, step_context: IStepContext, err_info: SerializableErrorInfo, known_state: KnownExecutionState
    ) -> DagsterEvent:
        """A pod's end as another attempt where one may help, and as the step's failure where none will."""
        error, wait = self._pods.answer(step_context)
        if error is not None:
            err_info = SerializableErrorInfo(message=str(error), stack=[], cls_name=type(error).__name__)
        if wait is None:
            return super().log_failure_or_retry_event_after_error(step_context, err_info, known_state)
        return DagsterEvent.step_retry_event(step_context, StepRetryData(error=err_info, seconds_to_wait=wait))  # type: ignore[no-untyped-call]


class StepPods(K8sStepHandler):
    """Starts, watches and ends steps, as pods or as processes of the run's pod."""

    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        launcher = instance.run_launcher
        ours = launcher if isinstance(launcher, K8sRunLauncher) else None
        settings = platform.execution.kubernetes
        super().__init__(
            image=settings.image,
            container_context=of_every_step(settings),
            load_incluster_config=ours.load_incluster_config if ours else True,
            kubeconfig_file=ours.kubeconfig_file if ours else None,
            enable_owner_references=settings.owner_references,
        )
        self._api_client = ending_client()
        self._platform, self._settings = platform, settings
        self._local = RunProcesses(settings.in_run_concurrent)
        self._attempts: dict[str, Attempts] = {}

    @property
    def name(self) -> str:
        """As Dagster shows it."""
        return "StepPods"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Makes the pod of a step, or starts its process beside the run."""
        context, step = step_handler_context, self._get_step_key(step_handler_context)
        attempts = self._attempts_of(context)
        attempts.end = attempts.silent_since = None
        yield from self._choose(context)
        if self._profile_of(context) not in (None, *self._settings.in_run):
            self._local.forget(step)
            self._mind_namespace(context)
            yield from super().launch_step(context)
            return
        args = context.execute_step_args
        environment = {each["name"]: each["value"] for each in args.get_command_env()} | self._told(context)
        yield DagsterEvent.step_worker_starting(
            context.get_step_context(step), message=f'Executing step "{step}" beside the run, in its pod.', metadata={}
        )
        self._local.start(step, args.get_command_args(skip_serialized_namedtuple=True), environment)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Whether a step is still at work, or has told its end itself; if neither, `answer` knows why."""
        context, step = step_handler_context, self._get_step_key(step_handler_context)
        attempts = self._attempts_of(context)
        end = self._local.end_of(step) if self._local.has(step) else self._end_of_pod(context)
        if end is None or self._has_told(context):
            return CheckStepHealthResult.healthy()
        attempts.end = end
        return CheckStepHealthResult.unhealthy(str(end))

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Ends a step's pod or process."""
        step = self._get_step_key(step_handler_context)
        if self._local.has(step):
            self._local.end(step)
        else:
            yield from super().terminate_step(step_handler_context)

    def answer(self, step_context: IStepContext) -> tuple[PlinthError | None, float | None]:
        """Why the step's last attempt ended, and after how many seconds the next may begin; None where none will help."""
        step, log = step_context.step.key, step_context.log
        attempts = self._attempts[step]
        end = attempts.end
        if isinstance(end, OutOfMemory) and attempts.granted is None:
            tags = step_context.step.tags or {}
            larger = tags.get(AUTO_TAG) if attempts.chosen else self._platform.declared(_asked(tags)).next
            if larger is not None and larger != attempts.chosen:
                attempts.granted = larger
                step_context.instance.add_run_tags(step_context.run_id, {f"{GRANTED_TAG}{step}": larger})
                log.warning(f"{end}\n  once more with the profile {larger}")
                return end, 0.0
        lost = lost_attempts(step_context.instance, step_context.run_id, step)
        if isinstance(end, WorkInterrupted) and lost < INTERRUPTIONS:
            log.warning(f"{end}\n  next attempt in {FIRST_WAIT:.0f} s ({lost + 1} of {INTERRUPTIONS})")
            return end, FIRST_WAIT
        return end, None

    def _attempts_of(self, context: StepHandlerContext) -> Attempts:
        step = self._get_step_key(context)
        if step not in self._attempts:
            granted = context.dagster_run.tags.get(f"{GRANTED_TAG}{step}")
            self._attempts[step] = Attempts(granted if granted in self._platform.profiles else None)
        return self._attempts[step]

    def _profile_of(self, context: StepHandlerContext) -> str | None:
        """The profile of the step's next attempt; None where its asset asks for none.

        The tags of a step that leaves it open name the largest that it may come to have.
        """
        tags = context.step_tags[self._get_step_key(context)]
        attempts = self._attempts_of(context)
        return attempts.granted or attempts.chosen or _asked(tags)

    def _told(self, context: StepHandlerContext) -> dict[str, str]:
        """What the step's own process needs to know: how many of its attempts were lost, and whether there is a larger size to ask for."""
        attempts, step = self._attempts_of(context), self._get_step_key(context)
        told = {LOST_VARIABLE: str(lost_attempts(context.instance, context.dagster_run.run_id, step))}
        largest = context.step_tags[step].get(AUTO_TAG)
        if attempts.chosen is not None and attempts.granted is None and attempts.chosen != largest:
            told[CHOSEN_VARIABLE] = attempts.chosen
        return told

    def _choose(self, context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """The size of a step that leaves it open: by what is known now, or the largest where its last attempt had too little."""
        attempts, step = self._attempts_of(context), self._get_step_key(context)
        instance, run = context.instance, context.dagster_run
        if attempts.granted is not None or AUTO_TAG not in context.step_tags[step]:
            return
        if attempts.chosen is not None and ran_out_of_memory(instance, run.run_id, step):
            attempts.granted = context.step_tags[step][AUTO_TAG]
            instance.add_run_tags(run.run_id, {f"{GRANTED_TAG}{step}": attempts.granted})
            said = f'"{step}" had too little memory in {attempts.chosen}: once more with the profile {attempts.granted}'
        else:
            size = size_at_launch(self._platform, context, step)
            if size is None:
                return
            attempts.chosen = size.profile
            said = f'"{step}" gets the profile {size.profile}: {size.reason}'
        yield DagsterEvent.engine_event(context.get_step_context(step), said, EngineEventData())

    def _mind_namespace(self, context: StepHandlerContext) -> None:
        """Where the pods of steps are in another namespace than the run's, the run says so: whoever ends what it leaves has to look there too.

        They have no owner then, since Kubernetes takes one of another namespace for gone and deletes at once what it owned.
        """
        run, there = context.dagster_run, self._settings.namespace
        if there in (None, self._run_context(context).namespace):
            return
        self._enable_owner_references = False
        if run.tags.get(STEPS_TAG) != there:
            context.instance.add_run_tags(run.run_id, {STEPS_TAG: str(there)})

    def _run_context(self, context: StepHandlerContext) -> K8sContainerContext:
        """The settings of the run's own pod, but for those of its tags."""
        launcher = context.instance.run_launcher if isinstance(context.instance.run_launcher, K8sRunLauncher) else None
        return K8sContainerContext.create_for_run(context.dagster_run, launcher, include_run_tags=False)

    def _get_container_context(self, step_handler_context: StepHandlerContext) -> K8sContainerContext:
        """As dagster-k8s puts it together, with the profile that the step has now instead of the one that its tags name."""
        context, step = step_handler_context, self._get_step_key(step_handler_context)
        run = self._run_context(context).merge(self._executor_container_context)
        name = self._profile_of(context)
        own = json.loads(context.step_tags[step].get("dagster-k8s/config", "{}"))
        if name is not None and name != _asked(context.step_tags[step]):
            own = pod_config(self._platform, name, self._platform.declared(name))
        merged = run.merge(K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig(**own)))
        container = dict(merged.run_k8s_config.container_config)
        told = [{"name": name, "value": value} for name, value in self._told(context).items()]
        # The pod of the run has a profile as well, and Kubernetes wants each name once.
        container["env"] = list({each["name"]: each for each in [*container.get("env", []), *told]}.values())
        return merged._replace(run_k8s_config=merged.run_k8s_config._replace(container_config=container))

    def _end_of_pod(self, context: StepHandlerContext) -> PlinthError | None:
        job = self._get_k8s_step_job_name(context)
        namespace = self._get_container_context(context).namespace
        status = self._api_client.get_job_status(namespace=namespace, job_name=job)
        pods = self._api_client.get_pods_in_job(job, namespace)
        if status is None:
            return WorkInterrupted(
                f"the job {job} is gone", found="no job of this name", where=f"namespace {namespace}"
            )
        if status.failed:
            return end_of(pods, job, status)
        if status.succeeded:
            return self._silence(context, job)
        for pod in pods:
            stuck = unplaced(pod, self._settings.pending_seconds)
            if stuck is not None:
                self._api_client.delete_job(job_name=job, namespace=namespace)
                return stuck
        return None

    def _silence(self, context: StepHandlerContext, job: str) -> PlinthError | None:
        """Why a step fails whose pod has succeeded and says no more; None for as long as its word may still be on its way.

        Who calls asks the event log once more: a step that has told its end ends by that.
        """
        attempts, now = self._attempts_of(context), time.monotonic()
        attempts.silent_since = attempts.silent_since or now
        if now - attempts.silent_since < self._settings.silent_seconds:
            return None
        return PodFailed(
            "the step's pod has ended well, and its step has not ended",
            expected=f"the step's end in the event log within {self._settings.silent_seconds} s",
            found="exit code 0 and no word of the step",
            where=f"job {job}",
            remedy="look at its log for what ended the process before its work was done, or kept it from the instance's database",
        )

    def _has_told(self, context: StepHandlerContext) -> bool:
        """Whether the step has written its own end for this attempt, which the executor then hears of by itself."""
        step = self._get_step_key(context)
        state = context.execute_step_args.known_state
        earlier = state.get_retry_state().get_attempt_count(step) if state else 0
        return len(told_ends(context.instance, context.dagster_run.run_id, step)) > earlier


def _asked(tags: Mapping[str, str]) -> str | None:
    """The profile that an asset asks for."""
    return tags.get(PROFILE_TAG)
