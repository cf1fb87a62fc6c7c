"""The peer's own tests pass with the seam wherever they pass without.

They are those of the sdist, which is downloaded. If a test that passes without the seam fails with it, all tests run
again, in the same order, without and with it by turns: one that passes five times more without it, and never with it,
is broken by the seam. One of their tests of TLS fails more often than not, either way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

import pytest

pytestmark = [pytest.mark.once, pytest.mark.network, pytest.mark.slow]

VERSIONS: Final = ("0.24.1", "0.25.0", "0.26.0")

# What the peer's tests import, so that none is skipped.
_NEEDED: Final = ("pytest-benchmark", "aiohttp", "asgiref", "django", "python-snappy", "twisted")
_RUN_SECONDS: Final = 100
_ROUNDS: Final = 5


def _pip(*arguments: str, cwd: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments, "--quiet"], check=True, cwd=cwd, timeout=_RUN_SECONDS)


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the packages that the peer's tests import."""
    directory = tmp_path_factory.mktemp("needed")
    _pip("install", "--target", str(directory), *_NEEDED, cwd=directory)
    return directory


class Suite:
    """The tests of one version of the peer, and that version."""

    def __init__(self, version: str, needed: Path, directory: Path) -> None:
        self._directory = directory
        self._path = os.pathsep.join(str(each) for each in (directory / "peer", needed, directory))
        self._runs = 0
        _pip("download", "--no-deps", "--no-binary", ":all:", f"prometheus_client=={version}", cwd=directory)
        (sdist,) = directory.glob("prometheus_client-*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(directory, filter="data")
        self._tests = directory / f"prometheus_client-{version}"
        # pytest puts this directory first on the path, and the tests are to import the version that is installed.
        (self._tests / "prometheus_client").rename(directory / "not-imported")
        _pip(
            "install", "--no-deps", "--target", str(directory / "peer"), f"prometheus_client=={version}", cwd=directory
        )
        plugin = Path(__file__).with_name("suite_plugin.py")
        (directory / plugin.name).write_text(plugin.read_text())

    def passed(self, registry: str | None) -> set[str]:
        """The tests that pass with the seam over a registry or, for None, without the seam."""
        self._runs += 1
        outcomes = self._directory / f"outcomes-{self._runs}.json"
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHEUS_"))}
        environ |= {
            "PYTHONPATH": self._path,
            "PEER_SUITE_SEAM": str(int(registry is not None)),
            "PEER_SUITE_OUTCOMES": str(outcomes),
            "PYTHEUS_REGISTRY": (registry or "default").replace(
                "PLACE", str(self._directory / f"numbers-{self._runs}")
            ),
        }
        command = [sys.executable, "-P", "-m", "pytest", "-c", os.devnull, "--rootdir", str(self._tests), "-q", "tests"]
        command += ["-p", "no:cacheprovider", "-p", "suite_plugin", "--benchmark-disable"]
        done = subprocess.run(
            command, cwd=self._tests, env=environ, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
        )
        assert done.returncode in {0, 1}, done.stdout + done.stderr  # 1: some tests fail
        found: dict[str, str] = json.loads(outcomes.read_text())
        return {test for test, outcome in found.items() if outcome == "passed"}


@pytest.fixture(scope="module", params=VERSIONS)
def suite(request: pytest.FixtureRequest, needed: Path, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(str(request.param), needed, tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def without(suite: Suite) -> set[str]:
    """The tests that pass without the seam."""
    found = suite.passed(None)
    assert len(found) >= 300  # as many as the oldest of these versions has
    return found


@pytest.mark.parametrize("registry", ["default", "multiprocess://PLACE"])
def test_what_passes_without_the_seam_passes_with_it(suite: Suite, without: set[str], registry: str) -> None:
    broken = set(without)
    for _ in range(_ROUNDS):
        broken -= suite.passed(registry)
        if broken:
            broken &= suite.passed(None)
        if not broken:
            break
    print(f"\n{len(without)} tests pass without the seam, {len(without - broken)} of them with it over {registry}")
    assert sorted(broken) == []
