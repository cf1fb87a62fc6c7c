"""Sets up and runs what working on pytheus takes, from a fresh clone, with Python 3.11 or later, pip and a network.

    python3 dev.py shop           run the example shop under `pytheus run`, send it a counted load, and end
    python3 dev.py test           run the linters once and the tests on every CPython from 3.11 up that is found
    python3 dev.py lint           run the linters alone
    python3 dev.py test -k proxy  hand arguments to pytest; the linters are left out then
    python3 dev.py test --python 3.12 --build pure
    python3 dev.py mutants        see whether the tests notice small defects in the registry, see mutation/README.md

Rules:

- Nothing but the standard library is imported, for nothing else is there yet.
- Environments live under .venv/, and each is made anew when pyproject.toml or its interpreter changes. The package is
  built into a wheel when its sources change, and installed from that as a user would install it, never editable.
- Each interpreter is tested on both builds, compiled and pure; where there is no C compiler, it says so and tests one.
- What the tests need from Debian is installed where that is allowed, and named where it is not. No service that comes
  with it is left running.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
ENVIRONMENTS = ROOT / ".venv"
PACKAGE_SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "build_backend", "pytheus")
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
"""The directories of the plugins' distributions, of which the tests have all installed."""
BUILDS = ("compiled", "pure")
TYPED_PACKAGES = ("pytheus", "pytheus_multiprocess", "pytheus_redis")
LINTERS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("pyright",),
    # Whether every public type is said, and not left for each checker to infer in its way.
    *(("pyright", "--verifytypes", package, "--ignoreexternal") for package in TYPED_PACKAGES),
    ("lint-imports",),
)
OLDEST = (3, 11)
NEWEST_MINOR_LOOKED_FOR = 15


class Failure(Exception):
    """What ends a command with one clear line."""


# Interpreters --------------------------------------------------------------------------------------------------------


class Interpreter(NamedTuple):
    path: str
    version: str
    """As in "3.12.1"."""
    has_ensurepip: bool

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


_PROBE = """
import importlib.util, json, platform, sys
print(json.dumps([
    platform.python_implementation(), list(sys.version_info), platform.python_version(),
    importlib.util.find_spec("venv") is not None, importlib.util.find_spec("ensurepip") is not None,
]))
"""


def probe(path: str) -> Interpreter | None:
    """The interpreter at `path` if it is a released CPython that pytheus supports."""
    try:
        answer = subprocess.run([path, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=120)
        implementation, info, version, has_venv, has_ensurepip = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # among others a pyenv shim whose version is not activated
    if implementation != "CPython" or tuple(info[:2]) < OLDEST or info[3] != "final" or not has_venv:
        return None
    return Interpreter(path, version, has_ensurepip)


def candidate_paths() -> Iterator[str]:
    yield sys.executable
    names = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST_MINOR_LOOKED_FOR + 1)]
    for directory in os.get_exec_path():
        for name in names:
            if found := shutil.which(name, path=directory):
                yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in sorted(pyenv.glob("versions/3.*")):
        yield str(version / "bin" / "python3")


def interpreters(only: Sequence[str] = ()) -> list[Interpreter]:
    """One interpreter for each minor version, the running one first; `only` names minor versions."""
    found: dict[str, Interpreter] = {}
    seen: set[str] = set()
    for path in candidate_paths():
        if path in seen:
            continue
        seen.add(path)
        interpreter = probe(path)
        if interpreter is None or (only and interpreter.minor not in only):
            continue
        known = found.get(interpreter.minor)
        if known is None or (interpreter.has_ensurepip and not known.has_ensurepip):
            found[interpreter.minor] = interpreter
    missing = [minor for minor in only if minor not in found]
    if missing or not found:
        raise Failure(f"no CPython {' or '.join(missing or ['3.11+'])} was found on PATH or under pyenv's versions")
    return list(found.values())


# Environments --------------------------------------------------------------------------------------------------------


class Environment(NamedTuple):
    path: Path
    interpreter: Interpreter

    def program(self, name: str) -> str:
        return str(self.path / ("Scripts" if os.name == "nt" else "bin") / name)

    def pip_install(self, *arguments: str) -> None:
        call([self.program("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def environment(name: str, interpreter: Interpreter, group: str) -> Environment:
    """An environment with one of pyproject.toml's dependency groups, and what pytheus and its plugins need.

    pytheus itself is not in it. A plugin's dependency group "test" is, where tests or linters run.
    """
    made = Environment(ENVIRONMENTS / name, interpreter)
    projects = [ROOT, *(PLUGINS if group in ("test", "lint") else ())]
    recipe = f"{interpreter} {group} {digest([directory / 'pyproject.toml' for directory in projects])}"
    if stamp(made, "dependencies") != recipe:
        say(f"making .venv/{name} with CPython {interpreter.version}")
        shutil.rmtree(made.path, ignore_errors=True)
        made.path.parent.mkdir(exist_ok=True)
        make_venv(made)
        made.pip_install("--upgrade", "pip>=25.1")  # the first that knows dependency groups
        import tomllib  # loaded late: an older Python has none, and should get as far as main's message

        wanted: list[str] = []
        for directory in projects:
            file = directory / "pyproject.toml"
            content = tomllib.loads(file.read_text("utf-8"))
            wanted += [each for each in content["project"]["dependencies"] if re.match(r"pytheus\b", each) is None]
            own_group = group if directory == ROOT else "test"
            if own_group in content.get("dependency-groups", {}):
                wanted += ["--group", f"{file}:{own_group}"]
        made.pip_install(*wanted)
        put_stamp(made, "dependencies", recipe)
    return made


def make_venv(made: Environment) -> None:
    python = made.interpreter.path
    if made.interpreter.has_ensurepip:
        call([python, "-m", "venv", str(made.path)])
        return
    # Debian keeps ensurepip in a package of its own; the interpreter's pip does as well.
    call([python, "-m", "venv", "--without-pip", str(made.path)])
    try:
        call([python, "-m", "pip", "--python", made.program("python"), "install", "--quiet", "pip"])
    except Failure as error:
        raise Failure(f"{python} has neither ensurepip nor a pip that knows --python; install python3-pip") from error


def install_package(made: Environment, build: str) -> bool:
    """Install pytheus, built as `build` says; False if it cannot be compiled here."""
    wheel = build_wheel(made, build)
    if build == "compiled" and wheel.name.endswith("-none-any.whl"):
        return False
    if stamp(made, "package") != str(wheel):
        made.pip_install("--no-deps", "--force-reinstall", str(wheel))
        put_stamp(made, "package", str(wheel))
    return True


def install_plugins(made: Environment) -> None:
    """Install every plugin, built from its sources as they are now."""
    wheels = [build_plugin(made, directory) for directory in PLUGINS]
    if wheels and stamp(made, "plugins") != str(wheels):
        made.pip_install("--no-deps", "--force-reinstall", *map(str, wheels))
        put_stamp(made, "plugins", str(wheels))


def build_plugin(made: Environment, directory: Path) -> Path:
    """The plugin's wheel, kept until its sources change. It is pure Python, so one does for all interpreters."""
    sources = [file for file in source_files(directory) if "tests" not in file.relative_to(directory).parts]
    built = ENVIRONMENTS / "wheels" / f"{directory.name}-{digest(sources)[:16]}"
    if not list(built.glob("*.whl")):
        say(f"building {directory.name}")
        for outdated in built.parent.glob(f"{directory.name}-*"):
            shutil.rmtree(outdated)
        pip = [made.program("python"), "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        call([*pip, "--wheel-dir", str(built), str(directory)], clean_environ())
    (wheel,) = built.glob("*.whl")
    return wheel


def build_wheel(made: Environment, build: str) -> Path:
    """The wheel of the sources as they are now, kept until they change."""
    sources = digest(file for name in PACKAGE_SOURCES for file in source_files(ROOT / name))
    kind = f"{made.interpreter.version}-{build}"
    directory = ENVIRONMENTS / "wheels" / f"{kind}-{sources[:16]}"
    if not list(directory.glob("*.whl")):
        say(f"building pytheus, {build}, for CPython {made.interpreter.version}")
        for outdated in directory.parent.glob(f"{kind}-*"):
            shutil.rmtree(outdated)
        environ = clean_environ() | {"PYTHEUS_PURE": "1" if build == "pure" else "0"}
        pip = [made.program("python"), "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        call([*pip, "--wheel-dir", str(directory), str(ROOT)], environ)
    (wheel,) = directory.glob("*.whl")
    return wheel


def source_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def digest(files: Iterator[Path] | Sequence[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(ROOT).as_posix()}\0".encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def stamp(made: Environment, name: str) -> str | None:
    try:
        return (made.path / f"pytheus-{name}.stamp").read_text("utf-8")
    except OSError:
        return None


def put_stamp(made: Environment, name: str, text: str) -> None:
    (made.path / f"pytheus-{name}.stamp").write_text(text, "utf-8")


# What Debian brings --------------------------------------------------------------------------------------------------


def provide_prometheus() -> None:
    """Let there be `prometheus`, `promtool`, `curl` and `redis-server`, or say plainly what is left out for them."""
    missing = [name for name in ("prometheus", "promtool", "curl", "redis-server") if shutil.which(name) is None]
    if not missing:
        return
    apt = shutil.which("apt-get")
    if apt is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        leave_out(missing, "installing them takes apt-get and root")
        return
    say(f"installing {', '.join(missing)} from Debian")
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    packages = sorted({"prometheus" if name == "promtool" else name for name in missing})
    patience = ["-o", "DPkg::Lock::Timeout=300"]
    try:
        call([apt, *patience, "-qq", "update"], environ=environ)
        with no_service_started():
            # Without what it recommends, which is a second service.
            install = [apt, *patience, "-qq", "--yes", "install", "--no-install-recommends", *packages]
            call(install, environ=environ, stdout=subprocess.DEVNULL)
    except Failure as error:
        leave_out(missing, str(error))
    for service in {"prometheus", "redis-server"}.intersection(packages):
        if os.path.isdir("/run/systemd/system"):
            subprocess.run(["systemctl", "disable", "--quiet", "--now", f"{service}.service"], check=False)


@contextlib.contextmanager
def no_service_started() -> Iterator[None]:
    """Keep Debian from starting the services of what is installed: invoke-rc.d(8) asks this file, where it exists."""
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


def leave_out(missing: Sequence[str], reason: str) -> None:
    say(f"LEFT OUT: there is no {', no '.join(missing)} here ({reason}), so the tests that need them will be skipped")


# Commands ------------------------------------------------------------------------------------------------------------


def test(only: Sequence[str], builds: Sequence[str], pytest_arguments: Sequence[str]) -> int:
    failures: list[str] = []
    found = interpreters(only)
    say(f"interpreters: {', '.join(f'{each.version} ({each.path})' for each in found)}")
    provide_prometheus()
    if not pytest_arguments:
        failures += run_linters()
    for interpreter in found:
        made = environment(f"test-{interpreter.minor}", interpreter, "test")
        for build in builds:
            title = f"pytest on CPython {interpreter.version}, {build}"
            try:
                installed = install_package(made, build)
                install_plugins(made)
            except Failure as error:
                say(str(error))
                failures.append(title)
                continue
            if not installed:
                say(f"LEFT OUT: {title}, for there is no C compiler for it")
                continue
            say(title)
            # -P: the checkout, which is the current directory, must not stand in for the installed package.
            command = [made.program("python"), "-P", "-m", "pytest", *pytest_arguments]
            if subprocess.run(command, cwd=ROOT, env=clean_environ() | {"PYTHEUS_TEST_BUILD": build}).returncode:
                failures.append(title)
    return verdict(failures)


def lint() -> int:
    return verdict(run_linters())


def run_linters() -> list[str]:
    made = environment("lint", interpreters()[0], "lint")
    install_package(made, "pure")  # mypy loads pytheus.mypy_plugin from there
    install_plugins(made)
    failures = []
    for name, *arguments in LINTERS:
        line = " ".join([name, *arguments])
        say(line)
        if subprocess.run([made.program(name), *arguments], cwd=ROOT, env=linter_environ(made)).returncode:
            failures.append(line)
    # What mypy and pyright say to users' code is tested where those two are installed, and nowhere else.
    say("pytest tests/typing")
    command = [made.program("python"), "-P", "-m", "pytest", "tests/typing"]
    if subprocess.run(command, cwd=ROOT, env=linter_environ(made)).returncode:
        failures.append("pytest tests/typing")
    return failures


def linter_environ(made: Environment) -> dict[str, str]:
    """One in which pyright finds the environment's interpreter, as it would in an activated one."""
    directory = os.path.dirname(made.program("python"))
    return clean_environ() | {
        "VIRTUAL_ENV": str(made.path),
        "PATH": os.pathsep.join([directory, os.environ.get("PATH", os.defpath)]),
    }


def verdict(failures: Sequence[str]) -> int:
    # Silence is success: the last line of a passing run is pytest's.
    if failures:
        say(f"FAILED: {'; '.join(failures)}")
    return 1 if failures else 0


def mutants(arguments: Sequence[str]) -> int:
    interpreter = interpreters()[0]
    made = environment(f"test-{interpreter.minor}", interpreter, "test")
    # The copies that are tested stand before whatever is installed there.
    command = [made.program("python"), str(ROOT / "mutation" / "run.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean_environ()).returncode


def shop(clients: int, orders: int) -> int:
    made = environment("shop", interpreters()[0], "shop")
    if not install_package(made, "compiled"):
        install_package(made, "pure")
    app, load = ROOT / "examples" / "shop" / "app.py", ROOT / "examples" / "shop" / "load.py"
    command = [made.program("pytheus"), "run", "--port", "0", str(app), "--port", "0"]
    say(f"pytheus run --port 0 {app.relative_to(ROOT)} --port 0")
    process = subprocess.Popen(
        command, cwd=ROOT, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        metrics_url, shop_url = wait_for_urls(process)
        measure = [made.program("python"), str(load), shop_url, "--metrics", metrics_url]
        measured = subprocess.run([*measure, "--clients", str(clients), "--orders", str(orders)])
    finally:
        process.terminate()
        try:
            status = process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
    say(f"the shop was told to end, and did with status {status}")
    ended_as_told = status == 0 or os.name == "nt" or status == -signal.SIGTERM
    return measured.returncode or (0 if ended_as_told else 1)


def wait_for_urls(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The addresses of the metrics and of the shop, from what the program prints; that is shown as it comes."""
    output = process.stdout
    assert output is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in output:
            print(line, end="", flush=True)
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    found: dict[str, str] = {}
    while len(found) < 2:
        try:
            line = lines.get(timeout=120)
        except queue.Empty:
            raise Failure("the shop did not say where it serves within two minutes") from None
        if line is None:
            raise Failure("the shop ended before it served")
        if match := re.match(r"(pytheus|shop): serving .*(http://\S+)", line):
            found[match[1]] = match[2]
    return found["pytheus"], found["shop"]


def clean_environ() -> dict[str, str]:
    """This process's environment without what would change how Python or pytheus behaves."""
    unwanted = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP")
    return {
        name: value for name, value in os.environ.items() if name not in unwanted and not name.startswith("PYTHEUS_")
    }


def call(command: Sequence[str], environ: dict[str, str] | None = None, stdout: int | None = None) -> None:
    try:
        subprocess.run(command, cwd=ROOT, env=environ or clean_environ(), stdout=stdout, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(f"{' '.join(command)}: {error}") from error


def say(line: str) -> None:
    print(f"dev.py: {line}", flush=True)


def main() -> int:
    about = "Sets up and runs what working on pytheus takes."
    parser = argparse.ArgumentParser(prog="dev.py", allow_abbrev=False, description=about)
    commands = parser.add_subparsers(dest="command", required=True)
    for_shop = commands.add_parser("shop", help="the example shop under `pytheus run`, with a counted load")
    for_shop.add_argument("--clients", type=int, default=4)
    for_shop.add_argument("--orders", type=int, default=50, help="for each client")
    for_test = commands.add_parser("test", allow_abbrev=False, help="linters and tests; takes pytest's arguments")
    for_test.add_argument("--python", action="append", default=[], metavar="3.x", help="only this version; repeatable")
    for_test.add_argument("--build", action="append", choices=BUILDS, help="only this build")
    commands.add_parser("lint", help="linters alone")
    about_mutants = "whether the tests notice small defects; takes the names of some"
    commands.add_parser("mutants", allow_abbrev=False, add_help=False, help=about_mutants)
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command not in ("test", "mutants"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if sys.version_info < OLDEST:
        raise Failure(f"Python {'.'.join(map(str, OLDEST))} or later is needed, but this is {sys.version.split()[0]}")
    if arguments.command == "shop":
        return shop(arguments.clients, arguments.orders)
    if arguments.command == "lint":
        return lint()
    if arguments.command == "mutants":
        return mutants(rest)
    return test(arguments.python, arguments.build or BUILDS, rest)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        say(str(failure))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
