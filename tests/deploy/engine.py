"""The container engine of a Debian without systemd: podman with runc and plain control groups, as root, and a base image by debootstrap.

Everything is kept below the user's cache folder or in podman's own store, so that only the first run pays for the base and the packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
BASE = f"localhost/plinth-base:{SUITE}"
PODMAN = ("podman", "--cgroup-manager=cgroupfs", "--runtime=runc")
# More than a machine grants by default is refused, and podman asks for a million.
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
# Of the machine, for the build alone: how pip reaches its index, and whom TLS trusts.
FROM_MACHINE = ("/etc/ssl/certs", "/etc/pip.conf")

# What pip, apt and Ivy say of a server that they do not reach. That there is no such version of a jar Ivy says as well, and that is a failure.
UNREACHED = re.compile(
    r"No matching distribution|Connection|Temporary failure|Name or service not known|Failed to fetch|Host \S+ not found|Server access error"
)


class EngineMissing(Exception):
    """Why no image can be built here; the message says what to install."""


def require_engine() -> None:
    """Raises EngineMissing where images cannot be built."""
    missing = [
        name
        for name in ("podman", "runc", "debootstrap")
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None
    ]
    if missing or os.geteuid() != 0:
        raise EngineMissing("no images here: apt-get install podman runc debootstrap, and run the tests as root")


def podman(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """One command, with what it printed."""
    return subprocess.run([*PODMAN, *arguments], capture_output=True, text=True, timeout=timeout, check=False, cwd=HOME)


def make_base() -> None:
    """The base image, from the cache where it has been made before.

    Raises:
        EngineMissing: no Debian mirror can be reached, or this machine lets nobody make one.
    """
    if podman("image", "exists", BASE).returncode == 0:
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plinth"
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"base-{SUITE}.tar"
    if not archive.exists():
        done = subprocess.run(
            [str(HOME / "deploy" / "base.sh"), str(archive), SUITE],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if done.returncode != 0:
            raise EngineMissing(
                f"no base image: debootstrap needs a Debian mirror ({(done.stdout + done.stderr).strip()[-300:]})"
            )
    done = podman("import", str(archive), BASE)
    if done.returncode != 0:
        raise EngineMissing(f"no base image: podman cannot import it ({done.stderr.strip()[-300:]})")


def build(target: str, lock: str | None = None) -> str:
    """The image of a target of deploy/Dockerfile; gives its name.

    Args:
        lock: of the target platform, another than its own: what stands in `requirements/`, without its ending.

    Raises:
        EngineMissing: what it is built from cannot be reached.
        AssertionError: the build failed by itself.
    """
    name = f"localhost/plinth-test/{lock or target}"
    there = [Path(each) for each in FROM_MACHINE if Path(each).exists()]
    # A folder may be written over, and what was written is thrown away: Java's package puts a key store beside the certificates.
    given = [f"--volume={each}:{each}:{'O' if each.is_dir() else 'ro'}" for each in there]
    options = [
        "--network=host",
        "--format=docker",
        "--layers",
        *given,
        "--file=deploy/Dockerfile",
        f"--target={target}",
        f"--build-arg=BASE={BASE}",
        *([f"--build-arg=LOCK={lock}"] if lock else []),
    ]
    done = podman("build", *options, f"--tag={name}", ".", timeout=2400)
    if done.returncode != 0:
        said = done.stdout + done.stderr
        if UNREACHED.search(said):
            raise EngineMissing(
                f"no images: the package index, a Debian mirror or Maven Central cannot be reached ({said.strip()[-300:]})"
            )
        raise AssertionError(said[-3000:])
    # What earlier builds left over is a cache for a day; without an end it took 50 GB of a machine that tests often.
    podman("image", "prune", "--force", "--filter=label=org.opencontainers.image.title=Plinth", "--filter=until=24h")
    return name


def run(image: str, command: Sequence[str], *options: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """A container as closed as the chart makes it: no capability, a file system that is read only, memory for /tmp."""
    closed = (
        "--rm",
        "--no-healthcheck",
        "--read-only",
        "--tmpfs=/tmp:rw,size=1g",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        *LIMITS,
    )
    return podman("run", *closed, *options, image, *command, timeout=timeout)
