"""Two jobs on the platform's executor, for a test that looks at the processes of their steps: `python -m tests.jobs.process_job JOB FOLDER`."""

# The first look of this module at its process: what was there before anything of the step was imported.
import sys

BEGAN_WITH = {name for name in ("assets.bronze", "resources.lakehouse", "plinth.ingest.load") if name in sys.modules}

import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
from contextlib import suppress  # noqa: E402

import dagster as dg  # noqa: E402
from dagster._core.errors import DagsterSubprocessError  # noqa: E402

from jobs.execution import platform_executor  # noqa: E402
from plinth.platform import load_platform  # noqa: E402
from tests.frame.shop import PROJECT  # noqa: E402

EXECUTOR = platform_executor(load_platform(PROJECT / "platform.yaml"))


@dg.op
def tell() -> None:
    """Writes down what its process began with, and who its parent is."""
    with open(os.environ["STEPS_SEEN"], "a") as file:
        file.write(f"{len(BEGAN_WITH)} {os.getppid()}\n")


@dg.op
def die() -> None:
    """Is killed, as by a kernel that is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@dg.job(executor_def=EXECUTOR)
def telling() -> None:
    """Two steps."""
    tell.alias("first")()
    tell.alias("second")()


@dg.job(executor_def=EXECUTOR)
def dying() -> None:
    """A step that is killed, and one beside it."""
    die()
    tell()


def main() -> None:
    """Runs one of them, and prints which steps failed, how, and what their processes were."""
    # By its name, as the processes of steps import this module under it.
    from tests.jobs import process_job

    seen = os.environ["STEPS_SEEN"] = f"{sys.argv[2]}/seen"
    with dg.instance_for_test(temp_dir=sys.argv[2]) as instance:
        with suppress(DagsterSubprocessError):
            dg.execute_job(dg.reconstructable(getattr(process_job, sys.argv[1])), instance=instance)
        (run,) = instance.get_runs()
        entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        failed = {str(each.step_key): each.message for each in entries if each.step_key is not None}
    with open(seen) as file:
        steps = [[int(each) for each in line.split()] for line in file]
    print(json.dumps({"success": run.is_success, "failed": failed, "steps": steps, "own": os.getpid()}))


if __name__ == "__main__":
    main()
