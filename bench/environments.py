"""Where the libraries run: virtual environments, the Go program, and the machine.

Rules:

- Everything is made under bench/.venvs/, by itself, and again only when its sources or requirements have changed.
- The package is built from the checkout as a user would build it: compiled where that is possible, pure on request.
- An environment that is not available here is left out and the reason is reported; the others are measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench.libraries import BASE, LIMIT

__all__ = ["BENCH", "Environment", "Unavailable", "build_limit", "clean_environ", "describe_machine", "provide"]

BENCH = Path(__file__).resolve().parent
CHECKOUT = BENCH.parent
VENVS = BENCH / ".venvs"
LIMIT_SOURCE = BENCH / "limit.c"
PACKAGE_SOURCES = ("build_backend", "pyproject.toml", "pytheus", "pytheus_startup.py", "setup.py")

# The newest peers, because a user chooses among those; the table names their versions.
DISTRIBUTIONS = {
    "peers": ("prometheus_client", "opentelemetry-sdk", "aioprometheus"),
    "published": ("pytheus==0.6.1",),
}

GO_PACKAGES = ("golang-go", "golang-github-prometheus-client-golang-dev")
GOPATH = Path(os.environ.get("BENCH_GOPATH") or "/usr/share/gocode")
"""Where client_golang's sources are; BENCH_GOPATH names another place, with the Go on PATH that it takes."""

CLIENT_GOLANG = GOPATH / "src/github.com/prometheus/client_golang"
GO_SOURCES = {"go": "go/main.go", "go-native": "go/native/main.go"}


class Unavailable(Exception):
    """Why there is no such environment here."""


class Environment(NamedTuple):
    """`program` is the interpreter, or the Go program; `versions` has the installed versions by name.

    `compiled` tells which build of pytheus it has, where it has this one.
    """

    name: str
    program: str
    versions: dict[str, str]
    compiled: bool | None = None


def provide(name: str, revision: str = "") -> Environment:
    """The environment of that name, made if necessary; raises `Unavailable`.

    `revision` is the git revision of `BASE`, and unused for all others.
    """
    try:
        if name == BASE:
            return _base(revision)
        if name in GO_SOURCES:
            return _go(name)
        if name == LIMIT.environment:
            return _limit()
        if name in DISTRIBUTIONS:
            return _describe(name, _venv(name, DISTRIBUTIONS[name]))
        python = _venv(name, ())
        _install_checkout(name, python)
        return _describe(name, python)
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", None) or ""
        raise Unavailable(f"{error}\n{output}".rstrip()) from error


def describe_machine() -> str:
    """Processor, number of cores, operating system and load, as far as the system tells them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [f"{_processor()}, {cores} core{'' if cores == 1 else 's'}", f"{platform.system()} {platform.release()}"]
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f} before the run")
    return ", ".join(parts)


def clean_environ() -> dict[str, str]:
    """This process's environment without variables that change how Python or a library behaves."""
    unwanted = ("PYTHON", "PYTHEUS", "PROMETHEUS", "OTEL", "GOGC", "GOMAXPROCS", "GODEBUG")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine() or "unknown processor"


# Python --------------------------------------------------------------------------------------------------------------


def _venv(name: str, requirements: Sequence[str]) -> str:
    directory = VENVS / name
    python = str(directory / ("Scripts" if os.name == "nt" else "bin") / "python")
    recipe = f"{sys.version} {sys.executable} {requirements}"
    if _stamp(directory, "venv") == recipe:
        return python
    _say(f"making bench/.venvs/{name}")
    shutil.rmtree(directory, ignore_errors=True)
    if find_spec("ensurepip") is not None:
        _run([sys.executable, "-m", "venv", str(directory)])
    else:
        # Debian keeps ensurepip in a package of its own; the interpreter's pip does as well.
        _run([sys.executable, "-m", "venv", "--without-pip", str(directory)])
        _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "pip"])
    if requirements:
        _pip(python, *requirements)
    _put_stamp(directory, "venv", recipe)
    return python


def _install_checkout(name: str, python: str) -> None:
    sources = _digest(CHECKOUT / source for source in PACKAGE_SOURCES)
    if _stamp(VENVS / name, "pytheus") == sources:
        return
    _say(f"building pytheus for bench/.venvs/{name}")
    _pip(python, "--force-reinstall", str(CHECKOUT), environ={"PYTHEUS_PURE": "1" if name == "pure" else "0"})
    _put_stamp(VENVS / name, "pytheus", sources)


def _pip(python: str, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments], environ=environ)


_DESCRIPTION = """
import importlib.metadata, json, platform
versions = {each.name.lower().replace("_", "-"): each.version for each in importlib.metadata.distributions()}
versions["python"] = platform.python_implementation() + " " + platform.python_version()
try:
    from pytheus import COMPILED
except ImportError:  # another pytheus
    COMPILED = None
print(json.dumps([versions, COMPILED]))
"""


def _describe(name: str, python: str) -> Environment:
    versions, compiled = json.loads(_run([python, "-I", "-c", _DESCRIPTION]))
    return Environment(name, python, versions, compiled)


def _base(revision: str) -> Environment:
    """The package as it was at `revision`, compiled."""
    python = _venv(BASE, ())
    commit = _run(["git", "-C", str(CHECKOUT), "rev-parse", f"{revision}^{{commit}}"]).strip()
    if _stamp(VENVS / BASE, "pytheus") != commit:
        _say(f"building pytheus at {revision} for bench/.venvs/{BASE}")
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder, "base.tar")
            _run(["git", "-C", str(CHECKOUT), "archive", "--output", str(archive), commit])
            shutil.unpack_archive(archive, folder, filter="data")
            archive.unlink()
            _pip(python, "--force-reinstall", folder, environ={"PYTHEUS_PURE": "0"})
        _put_stamp(VENVS / BASE, "pytheus", commit)
    return _describe(BASE, python)


_COMPILATION = """
import json, shlex, sysconfig
command = [*shlex.split(sysconfig.get_config_var("LDSHARED")), "-O3", "-fPIC", "-I" + sysconfig.get_path("include")]
print(json.dumps([command, sysconfig.get_path("platlib"), "limit" + sysconfig.get_config_var("EXT_SUFFIX")]))
"""


def build_limit(python: str, folder: Path | None = None) -> Path:
    """Build bench/limit.c for the interpreter `python`, in its site-packages or in `folder`; returns the file."""
    command, site_packages, name = json.loads(_run([python, "-I", "-c", _COMPILATION]))
    target = Path(folder or site_packages, name)
    _run([*command, "-o", str(target), str(LIMIT_SOURCE)])
    return target


def _limit() -> Environment:
    python = _venv(LIMIT.environment, ())
    recipe = _digest([LIMIT_SOURCE])
    if _stamp(VENVS / LIMIT.environment, "limit") != recipe:
        _say("building bench/limit.c")
        build_limit(python)
        _put_stamp(VENVS / LIMIT.environment, "limit", recipe)
    return _describe(LIMIT.environment, python)


# Go ------------------------------------------------------------------------------------------------------------------


def _go(name: str) -> Environment:
    _install_go()
    go = shutil.which("go")
    if go is None or not CLIENT_GOLANG.is_dir():
        raise Unavailable(f"there is no Go here: it takes Debian's {' and '.join(GO_PACKAGES)}")
    directory = VENVS / name
    program = directory / "bench-go"
    source = BENCH / GO_SOURCES[name]
    version = _run([go, "version"]).split()[2]
    recipe = f"{version} {GOPATH} {_digest([source])}"
    if _stamp(directory, "go") != recipe:
        _say(f"building bench/{GO_SOURCES[name]}")
        directory.mkdir(parents=True, exist_ok=True)
        # Debian's packages are sources under GOPATH, from before there were modules.
        environ = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": "", "GOCACHE": str(VENVS / "go-cache")}
        _run([go, "build", "-o", str(program), str(source)], environ=environ)
        _put_stamp(directory, "go", recipe)
    return Environment(name, str(program), {"go": version.removeprefix("go"), "client_golang": _client_golang()})


def _client_golang() -> str:
    """Its version, as far as that is known."""
    if "BENCH_GOPATH" in os.environ:
        return os.environ.get("BENCH_CLIENT_GOLANG") or f"at {GOPATH}"
    return _run(["dpkg-query", "--show", "--showformat=${Version}", GO_PACKAGES[1]]).strip()


def _install_go() -> None:
    if (shutil.which("go") and CLIENT_GOLANG.is_dir()) or "BENCH_GOPATH" in os.environ:
        return
    apt = shutil.which("apt-get")
    if apt is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise Unavailable(f"there is no Go here: installing {' and '.join(GO_PACKAGES)} takes apt-get and root")
    _say(f"installing {' and '.join(GO_PACKAGES)}")
    patient = [apt, "-o", "DPkg::Lock::Timeout=300", "-qq"]
    environ = {"DEBIAN_FRONTEND": "noninteractive"}
    _run([*patient, "update"], environ=environ)
    _run([*patient, "install", "--yes", "--no-install-recommends", *GO_PACKAGES], environ=environ)


# What both need ------------------------------------------------------------------------------------------------------


def _run(command: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    environ = clean_environ() | dict(environ or {})
    run = subprocess.run(command, cwd=BENCH, env=environ, capture_output=True, text=True)
    run.check_returncode()
    return run.stdout


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            total.update(f"{file.relative_to(CHECKOUT).as_posix()}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _stamp(directory: Path, name: str) -> str | None:
    try:
        return (directory / f"{name}.stamp").read_text("utf-8")
    except OSError:
        return None


def _put_stamp(directory: Path, name: str, text: str) -> None:
    (directory / f"{name}.stamp").write_text(text, "utf-8")


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)
