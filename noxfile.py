"""The sessions in which everything is built, checked and tested. `dev.py` runs them; `nox -s NAME` does as well.

- Versions of tools are in the dependency groups of the pyproject.toml files, and nowhere else.
- pytheus and its plugins are built into wheels when their sources change, and installed from those as a user would
  install them, never editable. PYTHEUS_TEST_WHEEL tells the tests where pytheus's wheel is, so that none
  builds another.
- The markers in pyproject.toml say which test runs where: `once` does not depend on interpreter or build, `build`
  depends on the build, `slow` is left out of `test`, and `full` has more to do in the matrix.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

from interpreters import interpreters  # noqa: E402  # it is found through the line above

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.envdir = ".venv"

INTERPRETERS = interpreters()
RUNNING = next(iter(INTERPRETERS))
NEWEST = max(INTERPRETERS, key=lambda minor: int(minor.partition(".")[2]))
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
SOURCES = (
    *("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "build_backend", "pytheus"),
    *("pytheus_startup.pth", "pytheus_startup.py", "pytheus_startup.start"),
)
# By module, so that what the tests of a module share (a Prometheus server, an environment) is made once.
# More processes than cores, because the tests wait for others half of the time.
PARALLEL = ("-n", str(2 * min(os.cpu_count() or 1, 4)), "--dist", "loadscope")
MORE = "slow or full"
"""The tests with a part that `test` leaves out."""

LINTERS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("python", "tools/plain_words.py"),
    ("python", "tools/file_sizes.py"),
    ("lint-imports",),
    ("mypy",),
    ("pyright",),
    # Whether every public type is declared, and not left for each checker to infer.
    ("pyright", "--verifytypes", "pytheus", "--ignoreexternal"),
    ("pyright", "--verifytypes", "pytheus_multiprocess", "--ignoreexternal"),
    ("pyright", "--verifytypes", "pytheus_prometheus_client", "--ignoreexternal"),
    ("pyright", "--verifytypes", "pytheus_redis", "--ignoreexternal"),
)

# A setting of the shell must not choose what is tested, nor how Python finds it.
for name in [name for name in os.environ if name.startswith("PYTHEUS_") or name in ("PYTHONPATH", "PYTHONHOME")]:
    del os.environ[name]
# uv reads no pip settings: the certificates are the system's, interpreters are not downloaded, an index may be given.
os.environ.setdefault("UV_SYSTEM_CERTS", "true")
os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
if "PIP_INDEX_URL" in os.environ:
    os.environ.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])


# Environments --------------------------------------------------------------------------------------------------------


def install_dependencies(session: nox.Session, *groups: str, plugins: bool = True) -> None:
    """Install dependency groups, the dependencies of pytheus and its plugins, and the plugins' groups "test"."""
    wanted = [argument for group in groups for argument in ("--group", f"{ROOT / 'pyproject.toml'}:{group}")]
    for directory in (ROOT, *(PLUGINS if plugins else ())):
        table = nox.project.load_toml(directory / "pyproject.toml")
        wanted += [each for each in table["project"]["dependencies"] if not each.startswith("pytheus")]
        if directory != ROOT:
            wanted += ["--group", f"{directory / 'pyproject.toml'}:test"]
    session.install(*wanted)


def install_wheels(session: nox.Session, build: str, *, plugins: bool = True) -> Path:
    """Install pytheus and its plugins, built from the sources as they are now; returns pytheus's wheel."""
    wheel = built_wheel(session, ROOT, SOURCES, build)
    others = [built_wheel(session, directory, (".",), "pure") for directory in PLUGINS if plugins]
    session.install("--no-deps", "--force-reinstall", *map(str, (wheel, *others)))
    return wheel


def built_wheel(session: nox.Session, project: Path, sources: Sequence[str], build: str) -> Path:
    """The wheel of `project`, built when one of its sources has changed; pure where there is no C compiler."""
    digest = hashlib.sha256()
    for path in (path for name in sources for path in sorted([project / name, *(project / name).rglob("*")])):
        name = path.relative_to(project).as_posix()
        if path.is_file() and "__pycache__" not in name and not name.startswith("tests/"):
            digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    kind = f"{'pytheus' if project == ROOT else project.name}-{build}"
    if build == "compiled":
        kind += f"-{Path(str(session.python)).resolve().as_posix().replace('/', '_')}"
    directory = ROOT / ".venv" / "wheels" / f"{kind}-{digest.hexdigest()[:16]}"
    if not list(directory.glob("*.whl")):
        for outdated in directory.parent.glob(f"{kind}-*"):
            shutil.rmtree(outdated)
        if session.venv_backend == "uv":
            python = str(Path(session.bin, "python"))
            command = [
                "uv",
                "build",
                "--quiet",
                "--wheel",
                "--python",
                python,
                "--out-dir",
                str(directory),
                str(project),
            ]
        else:
            command = [
                "python",
                "-m",
                "pip",
                "wheel",
                "--quiet",
                "--no-deps",
                "--wheel-dir",
                str(directory),
                str(project),
            ]
        session.run(*command, env={"PYTHEUS_PURE": str(int(build == "pure"))}, external=True)
    (wheel,) = directory.glob("*.whl")
    return wheel


# Steps ---------------------------------------------------------------------------------------------------------------


def lint_failures(session: nox.Session, commands: Sequence[Sequence[str]] = LINTERS) -> list[str]:
    """Run `commands` in the session's environment, print their output, and return those that fail."""
    path = os.pathsep.join([session.bin, os.environ.get("PATH", os.defpath)])
    # As in an activated environment: pyright looks for its interpreter.
    environ = os.environ | {"VIRTUAL_ENV": session.virtualenv.location, "PATH": path}
    failures = []
    for command in commands:
        line = " ".join(command)
        program = str(Path(session.bin, command[0]))
        done = subprocess.run([program, *command[1:]], cwd=ROOT, env=environ, capture_output=True, text=True)
        print(f"$ {line}\n{done.stdout}{done.stderr}", end="", flush=True)
        if done.returncode:
            failures.append(line)
    return failures


def site() -> tuple[str, ...]:
    """The command that builds the documentation site; strict: no broken link, an entry for every public name."""
    return "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(ROOT / ".venv" / "site")


def builds(session: nox.Session) -> tuple[str, ...]:
    """The builds that can be made here, the one that most tests run on first."""
    if not built_wheel(session, ROOT, SOURCES, "compiled").name.endswith("-none-any.whl"):
        return "compiled", "pure"
    print("LEFT OUT: the compiled build, because there is no C compiler; everything runs on the pure one", flush=True)
    return ("pure",)


def pytest_failures(session: nox.Session, build: str, *arguments: str, full: bool = False) -> list[str]:
    """Install `build` and run pytest; returns a description of the run if it fails."""
    environ = {"PYTHEUS_TEST_BUILD": build, "PYTHEUS_TEST_WHEEL": str(install_wheels(session, build))}
    if full:
        environ["PYTHEUS_TEST_FULL"] = "1"
    # -P: the checkout, which is the current directory, must not be imported in place of the installed package.
    command = ["python", "-P", "-m", "pytest", *arguments]
    print(f"pytest, {build} build, CPython at {session.python}", flush=True)
    try:
        session.run(*command, env=environ)
    except CommandFailed:
        return [f"pytest on the {build} build with {session.python}"]
    return []


def finish(session: nox.Session, failures: Sequence[str]) -> None:
    """End the session with the list of `failures`; without failures, pytest's summary remains the last line."""
    if failures:
        session.error(f"FAILED: {'; '.join(failures)}")
    logging.disable(logging.ERROR - 1)  # nox's own messages would follow


# Sessions ------------------------------------------------------------------------------------------------------------


@nox.session(python=INTERPRETERS[RUNNING])
def lint(session: nox.Session) -> None:
    """The linters and type checkers."""
    install_dependencies(session, "lint")
    install_wheels(session, "pure")
    finish(session, lint_failures(session))


@nox.session(python=INTERPRETERS[RUNNING])
def test(session: nox.Session) -> None:
    """Linters and tests with the running interpreter; --all: everything; --rest: all but that."""
    arguments = [each for each in session.posargs if each not in ("--all", "--rest", "--no-install")]
    rest = "--rest" in session.posargs
    full = rest or "--all" in session.posargs
    if "--no-install" not in session.posargs:
        session.run("python", "tools/debian_parts.py", *(["--all"] if full else []))
        if full:
            session.run("python", "tools/newer_prometheus.py")
    install_dependencies(session, "lint")  # the tests of typing run mypy and pyright
    if arguments:
        return finish(session, pytest_failures(session, builds(session)[0], *arguments, full=full))
    install_wheels(session, "pure")
    with ThreadPoolExecutor() as pool:
        linting = pool.submit(lint_failures, session, [*([] if rest else LINTERS), *([site()] if full else [])])
        first, *others = builds(session)
        failures = linting.result()
    selected = f"({MORE})" if rest else "" if full else "not slow"
    failures += pytest_failures(session, first, *PARALLEL, "-m", selected, full=full)
    for build in others:
        selected = f"build and ({MORE})" if rest else "build" if full else "build and not slow"
        failures += pytest_failures(session, build, *PARALLEL, "-m", selected, full=full)
    for name in [f"test-{minor}" for minor in INTERPRETERS if full and minor != RUNNING]:
        session.notify(name, posargs=())
    finish(session, failures)


def with_interpreter(session: nox.Session) -> None:
    """The tests that depend on the interpreter, with another one than the running one; --full: at full size."""
    install_dependencies(session, "test")
    arguments = [each for each in session.posargs if each != "--full"]
    full = arguments != session.posargs
    first, *others = builds(session)
    if arguments:
        return finish(session, pytest_failures(session, first, *arguments, full=full))
    if session.python != INTERPRETERS[NEWEST]:  # so that each build runs all tests with one of them
        first, *others = *others, first
    selected = "not once" if full else "not once and not slow"
    failures = pytest_failures(session, first, *PARALLEL, "-m", selected, full=full)
    for build in others:
        failures += pytest_failures(session, build, *PARALLEL, "-m", f"build and {selected}", full=full)
    finish(session, failures)


for minor, path in INTERPRETERS.items():
    if minor != RUNNING:
        nox.session(python=path, name=f"test-{minor}")(with_interpreter)


@nox.session(python=INTERPRETERS[RUNNING])
def shop(session: nox.Session) -> None:
    """The example shop under `pytheus run`, with a counted load."""
    install_dependencies(session, "shop", plugins=False)
    install_wheels(session, "compiled", plugins=False)
    session.run("python", "examples/shop/run.py", *session.posargs)
    finish(session, [])


@nox.session(python=INTERPRETERS[RUNNING])
def docs(session: nox.Session) -> None:
    """The documentation site, built strictly."""
    session.install("--group", f"{ROOT / 'pyproject.toml'}:docs")
    session.run(*site(), *session.posargs)
    finish(session, [])


@nox.session(python=INTERPRETERS[RUNNING])
def coverage(session: nox.Session) -> None:
    """The share of lines and branches that the tests of the pure build run."""
    install_dependencies(session, "test", "coverage")
    failures = pytest_failures(session, "pure", *PARALLEL, "-m", "not once and not slow", "--cov", "--cov-report=term")
    finish(session, failures)


@nox.session(python=INTERPRETERS[RUNNING])
def sweep(session: nox.Session) -> None:
    """Whether the tests notice mechanical defects; takes files of the package as arguments."""
    install_dependencies(session, "test")
    session.run("python", "tools/sweep.py", *session.posargs)
