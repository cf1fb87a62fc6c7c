"""Threads that run at once and switch as often as the interpreter can."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from pytheus.registry import CollectorRegistry

THREADS = 8
DEADLINE_SECONDS = 120


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry without prefix."""
    return CollectorRegistry()


@pytest.fixture(autouse=True)
def _switching() -> Iterator[None]:
    """Each test runs at a switch interval of a microsecond."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def _together(*works: Callable[[], object]) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            barrier.wait(DEADLINE_SECONDS)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread waits for ever"


@pytest.fixture
def together() -> Callable[..., None]:
    """Call it with functions: each runs in a thread, all start at once, and the first error of any is raised."""
    return _together
