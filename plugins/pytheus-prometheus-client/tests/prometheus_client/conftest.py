"""A registry of each library with the seam between them, the lines that they show, and servers that are asked."""

from __future__ import annotations

import re
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import prometheus_client
import pytest

from pytheus import generate_metrics
from pytheus.exceptions import PytheusWarning
from pytheus.registry import CollectorRegistry, Registry
from pytheus_prometheus_client import install, uninstall

if TYPE_CHECKING:
    from tests.conftest import Program

WaitUntil = Callable[[Callable[[], object], str], None]

_MAX_REQUESTS: Final = 5000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let an installation say nothing of the metrics that other tests and examples have left."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:(?!.*'seam_).* stays in prometheus_client alone"))


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Let no test depend on an example that disables times of creation, and leave nothing installed."""
    library = cast(Any, prometheus_client)  # these functions have no types
    are_created: bool = library.metrics._use_created
    library.enable_created_metrics()
    yield
    uninstall()
    if not are_created:
        library.disable_created_metrics()


@pytest.fixture
def ours() -> Iterator[CollectorRegistry]:
    """A registry of pytheus in which the seam is installed."""
    registry = CollectorRegistry()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PytheusWarning)  # of metrics that other tests have left
            install(registry)
        yield registry
    finally:
        uninstall()


@pytest.fixture
def theirs() -> prometheus_client.CollectorRegistry:
    """A registry of prometheus_client."""
    return prometheus_client.CollectorRegistry()


@pytest.fixture
def lines() -> Callable[[str | bytes], list[str]]:
    """A function that returns the lines of a text, the labels in each in the order of their names."""
    return _lines


@pytest.fixture
def shown() -> Callable[[Registry, str], list[str]]:
    """A function that returns the lines that a registry of pytheus shows of the names with a beginning."""

    def shown(registry: Registry, name: str) -> list[str]:
        return [line for line in _lines(generate_metrics(registry)) if line.startswith(name)]

    return shown


def _lines(text: str | bytes) -> list[str]:
    text = text if isinstance(text, str) else text.decode()
    found = [line for line in text.splitlines() if not line.startswith("#") and "_created" not in line]
    return [
        re.sub(r"{(.*)}", lambda labels: "{" + ",".join(sorted(labels[1].split(","))) + "}", line) for line in found
    ]


class Web:
    """Asks servers of this machine."""

    def __init__(self, wait_until: WaitUntil) -> None:
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._wait_until = wait_until

    def get(self, url: str) -> str:
        """The body of the answer."""
        with self._opener.open(url, timeout=60) as response:
            text: str = response.read().decode()
            return text

    def samples(self, url: str) -> dict[str, float]:
        """The samples of a scrape, the labels in the order of their names."""
        lines = [line.rsplit(" ", 1) for line in _lines(self.get(url))]
        return {name: float(value) for name, value in lines}

    def ask(self, url: str, count: int, *, workers: int = 1) -> dict[str, int]:
        """Let a server whose answers are the pids of its workers answer `count` requests, and each worker one at least.

        Returns the requests of each worker.
        """
        answered: dict[str, int] = {}

        def is_answered() -> bool:
            try:
                pid = self.get(url)
            except OSError:  # it is starting
                return False
            answered[pid] = answered.get(pid, 0) + 1
            return True

        while sum(answered.values()) < count or len(answered) < workers:
            self._wait_until(is_answered, f"an answer of {url}")
            assert sum(answered.values()) < _MAX_REQUESTS
        return answered

    def metrics_url(self, program: Program) -> str:
        """The address at which ``pytheus run`` serves the metrics of `program`."""
        return program.wait_for(r"serving metrics at (\S+)$")[1]


@pytest.fixture
def web(wait_until: WaitUntil) -> Web:
    """What asks servers of this machine."""
    return Web(wait_until)
