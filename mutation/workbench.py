"""Where mutants are tested: a copy of the package and its tests, one for each thread that tests.

Rules:

- The checkout is read and never written.
- A run ends by itself, or is ended, with all that it started, once no test has begun for a while. A test that
  hangs has noticed, too.
- The tests that a mutant names come first; those of the whole registry and its layers follow where they let it pass.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple, Self

from mutation.mutant import Mutant
from mutation.suites import EVERYTHING

__all__ = ["CHECKOUT", "Outcome", "Unsound", "Workbench"]

CHECKOUT: Final = Path(__file__).resolve().parent.parent

STALLED_SECONDS: Final = 40.0
"""How long a test may run. Generous: none of them takes a tenth of it on a machine that is busy with two runs."""


class Unsound(Exception):
    """The tests fail without any mutant, or could not be run, so they tell nothing."""


class Outcome(NamedTuple):
    """What the tests said of one mutant."""

    mutant: Mutant
    noticed_by: tuple[str, ...]
    """The tests that failed, or the one that hung, in their order."""
    hung: bool
    meant: bool
    """Whether those were the tests that are meant to notice."""
    seconds: float

    @property
    def caught(self) -> bool:
        """Whether any test noticed."""
        return bool(self.noticed_by)


class Workbench:
    """A copy of what the tests need. A context manager: the copy goes when it ends."""

    def __init__(self, *, failures_at_most: int, quick: bool = False) -> None:
        self._failures_at_most = failures_at_most
        self._quick = quick

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="pytheus-mutation-"))
        for name in ("pytheus", "tests", "docs", "pyproject.toml", "README.md"):
            source = CHECKOUT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
                shutil.copytree(source, self._directory / name, ignore=ignored)
            else:
                shutil.copy2(source, self._directory / name)
        shutil.copy2(CHECKOUT / "mutation" / "witness.py", self._directory / "witness.py")
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def judge(self, mutant: Mutant) -> Outcome:
        """Have the tests run on `mutant`. Raises `Rotten` if it does not apply."""
        file = self._directory / "pytheus" / mutant.file
        original = file.read_text("utf-8")
        begun = monotonic()
        self._put(file, mutant.mutated(original))
        try:
            noticed_by, hung = self._run(mutant.suite, locked=mutant.locked)
            meant = bool(noticed_by)
            # What nobody can notice is tried on the tests meant for it, and that will do.
            if not noticed_by and not mutant.equivalent and not self._quick:
                noticed_by, hung = self._run(EVERYTHING, locked=mutant.locked)
        finally:
            self._put(file, original)
        return Outcome(mutant, noticed_by, hung, meant, monotonic() - begun)

    def prove_sound(self, suites: Sequence[tuple[str, ...]], *, locked: bool = False) -> None:
        """Raise `Unsound` unless the tests of all `suites` pass on the package as it is."""
        tests = tuple(dict.fromkeys(test for suite in suites for test in suite))
        noticed_by, hung = self._run(tests, locked=locked)
        if noticed_by:
            how = "hangs" if hung else "fails"
            raise Unsound(f"{noticed_by[0]} {how} without any mutant; mend that first")

    @staticmethod
    def _put(file: Path, text: str) -> None:
        file.write_text(text, "utf-8")
        # A mutant may well have the size of the original, and be written within the same second.
        for cached in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            cached.unlink()

    def _run(self, tests: Sequence[str], *, locked: bool) -> tuple[tuple[str, ...], bool]:
        witness = self._directory / "witness.txt"
        witness.write_text("", "utf-8")
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "witness", "-p", "no:cacheprovider"]
        command += ["-p", "force_locked"] if locked else []
        command += [f"--maxfail={self._failures_at_most}", *tests]
        path = os.pathsep.join([str(self._directory), str(self._directory / "tests")])
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHEUS_")}
        # What is installed beside pytest is not needed, and takes longer to load than most runs last.
        ours = {"PYTHONPATH": path, "MUTATION_WITNESS": str(witness), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        process = subprocess.Popen(
            command,
            cwd=self._directory,
            env=environ | ours,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        hung, size, since = False, 0, monotonic()
        output = ""
        while True:
            try:
                output, _ = process.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                now_size = witness.stat().st_size
                if now_size != size:
                    size, since = now_size, monotonic()
                elif monotonic() - since > STALLED_SECONDS:
                    hung = True
                    _end(process)
                    break
        events = [line.partition(" ") for line in witness.read_text("utf-8").splitlines()]
        noticed_by = list(dict.fromkeys(test for event, _, test in events if event == "failed"))
        if hung:
            running = [test for event, _, test in events if event == "begun"]
            noticed_by.append(running[-1] if running else "collecting the tests")
        elif process.returncode not in (0, 1, 2) or (process.returncode and not noticed_by):
            # Where the package itself, or a conftest.py, cannot be imported, no report is made.
            if "conftest" in output or "ImportError" in output or process.returncode < 0:
                noticed_by.append(f"pytest itself, which ended with {process.returncode}")
            else:
                raise Unsound(f"pytest ended with {process.returncode}:\n{output[-2000:]}")
        return tuple(noticed_by), hung


def _end(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()
