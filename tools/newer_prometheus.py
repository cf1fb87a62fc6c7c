"""Downloads newer Prometheus servers, Pushgateways and VictoriaMetrics than this Debian has; installs nothing.

    python3 tools/newer_prometheus.py

Unpacks the packages of trixie and sid under .venv/prometheus/, where the tests look for them. Needs apt-get, dpkg and
Debian's keys; without them, or without a mirror, it says that those tests are left out, and exits with 0.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".venv" / "prometheus"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCES = (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*"))
SUITES = {"trixie": ("prometheus",), "sid": ("prometheus", "promtool", "prometheus-pushgateway", "victoria-metrics")}
"""The packages of each suite."""


def main() -> int:
    missing = [suite for suite in SUITES if not all(program.exists() for program in programs_of(suite))]
    if not missing:
        return 0
    try:
        environ = configured(mirror())
        subprocess.run(["apt-get", "-qq", "update"], env=environ, check=True)
        for suite in missing:
            fetch(suite, environ)
    except (OSError, LookupError, subprocess.CalledProcessError) as error:
        print(f"LEFT OUT: no newer Prometheus ({error}); the tests use the installed one", flush=True)
    return 0


def programs_of(suite: str) -> list[Path]:
    return [FOLDER / suite / "usr" / "bin" / package for package in SUITES[suite]]


def mirror() -> str:
    """The mirror that this machine's apt uses."""
    if shutil.which("apt-get") is None or not KEYS.exists():
        raise LookupError("there is no apt-get, or it has no keys of Debian")
    for file in SOURCES:
        if file.is_file() and (found := re.search(r"https?://\S+/debian/?(?=\s)", file.read_text("utf-8"))):
            return found[0]
    raise LookupError("no mirror of Debian is configured")


def configured(url: str) -> dict[str, str]:
    """The environment for an apt that has lists of its own, and the machine's packages out of its sight."""
    apt = FOLDER / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    sources = (f"deb [signed-by={KEYS}] {url} {suite} main\n" for suite in SUITES)
    (apt / "sources.list").write_text("".join(sources), "utf-8")
    settings = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    (apt / "conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()), "utf-8")
    return os.environ | {"APT_CONFIG": str(apt / "conf")}


def fetch(suite: str, environ: dict[str, str]) -> None:
    print(f"downloading Prometheus from Debian's {suite} into {FOLDER.name}/", flush=True)
    folder = FOLDER / suite
    folder.mkdir(parents=True, exist_ok=True)
    packages = [f"{package}/{suite}" for package in SUITES[suite]]
    subprocess.run(["apt-get", "-qq", "download", *packages], cwd=folder, env=environ, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
        package.unlink()


if __name__ == "__main__":
    raise SystemExit(main())
