"""Publishing from the command line what champions say that were changed by hand, so that one command reaches what is served.

What belongs here: running the job `publish` and saying what is served after it. What does not: who is champion (`plinth.registry`).
"""

from __future__ import annotations

import time

from rich.console import Console

from plinth.project import Project


def publish_champions(project: Project) -> bool:
    """Makes the serving tables from the present champions and publishes them; says so, and whether it worked."""
    console = Console(highlight=False, soft_wrap=True)
    project.prepare()
    import dagster as dg

    from jobs.cli import progress
    from jobs.launch import load_repository, run_job
    from jobs.stages import PUBLISH
    from plinth.serving.report import online_line

    repository = load_repository(project.home)
    if not repository.has_job(PUBLISH):
        console.print("This project publishes nothing, so nothing else has to follow.")
        return True
    before = online_line(project.platform)
    console.print("Publishing what the champions say now (the job publish) …")
    with dg.DagsterInstance.get() as instance:
        ran = run_job(repository, instance, PUBLISH, progress(console, time.monotonic()))
    for failure in ran.seen.failures:
        console.print(failure.error, markup=False)
    after = online_line(project.platform)
    served = "nothing" if after is None else f"version {after.version} of the online store"
    if not ran.success:
        console.print(
            f"The publish failed, see above: {served} is served, as before. Mend it, then: the job publish, or plinth run"
        )
    elif after is not None and before is not None and after.version == before.version:
        console.print(f"Nothing changed in what is served: {served} is what the champions say.")
    else:
        console.print(f"{served} is served now{'' if before is None else f', in the place of {before.version}'}.")
    return ran.success
