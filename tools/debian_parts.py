"""Installs the Debian programs that some tests run: Prometheus's, curl, redis-server, tmux, valgrind, chromium, protoc.

    python3 tools/debian_parts.py          those that `dev.py test` needs
    python3 tools/debian_parts.py --all    Go, client_golang and PostgreSQL as well, for `dev.py test --all`

Needs apt-get and root; without them it says which tests will be skipped, and exits with 0. No service is started, now
or at the next boot. Does nothing where the programs are there already.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = {
    "prometheus": ("prometheus",),
    "promtool": ("prometheus",),
    "prometheus-node-exporter": ("prometheus-node-exporter",),
    "prometheus-pushgateway": ("prometheus-pushgateway",),
    "curl": ("curl",),
    "redis-server": ("redis-server",),
    "tmux": ("tmux",),
    "valgrind": ("valgrind",),
    "chromium": ("chromium",),
    "protoc": ("protobuf-compiler", "golang-github-prometheus-client-model-dev"),
}
"""The packages of each program, and of the files that its tests read."""

FOR_ALL = {
    "go": ("golang-go", "golang-github-prometheus-client-golang-dev"),
    "pg_ctlcluster": ("postgresql",),
}

SERVICES = ("postgresql", "prometheus", "prometheus-node-exporter", "prometheus-pushgateway", "redis-server")

APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")


def main() -> int:
    programs = PACKAGES | (FOR_ALL if "--all" in sys.argv[1:] else {})
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return 0
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        leave_out(missing, "installing them needs apt-get and root")
        return 0
    packages = sorted({package for program in missing for package in programs[program]})
    print(f"installing {', '.join(packages)} from Debian, without starting a service", flush=True)
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run([*APT, "update"], env=environ, check=True)
        with no_service_started():
            # Without the recommended packages, one of which is another service.
            install = [*APT, "--yes", "install", "--no-install-recommends", *packages]
            subprocess.run(install, env=environ, check=True, stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        leave_out(missing, str(error))
    if os.path.isdir("/run/systemd/system"):
        for service in set(SERVICES).intersection(packages):
            subprocess.run(["systemctl", "disable", "--quiet", "--now", f"{service}.service"], check=False)
    return 0


def leave_out(missing: list[str], reason: str) -> None:
    print(f"LEFT OUT: no {', no '.join(missing)} ({reason}); the tests that need them will be skipped", flush=True)


@contextlib.contextmanager
def no_service_started() -> Iterator[None]:
    """Keep the packages' scripts from starting services: invoke-rc.d(8) asks this file, where it exists."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


if __name__ == "__main__":
    sys.exit(main())
