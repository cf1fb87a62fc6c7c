from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from time import perf_counter

import pytest

from bench.stopwatch import longest_pause


@pytest.fixture
def _patient_interpreter() -> Iterator[None]:
    """No thread is made to wait for less than half a second."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_patient_interpreter")
def test_an_action_that_blocks_all_others_is_one_long_pause() -> None:
    def busy() -> None:
        end = perf_counter() + 0.1
        while perf_counter() < end:
            pass

    # The action ends before the other thread may run at all: the pause is seen although it outlasts the action.
    assert longest_pause(busy) >= 0.1


def test_its_thread_ends_with_it() -> None:
    longest_pause(lambda: None)
    assert not [thread for thread in threading.enumerate() if type(thread).__name__ == "_Ticker"]


def test_its_thread_ends_also_when_the_action_raises() -> None:
    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        longest_pause(fail)
    assert not [thread for thread in threading.enumerate() if type(thread).__name__ == "_Ticker"]
