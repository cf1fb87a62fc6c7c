"""A registry of its own for each test, and a way to come between two steps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import pytest

from pytheus.registry import CollectorRegistry


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry without prefix."""
    return CollectorRegistry()


@contextmanager
def _overtaken(step: str, act: Callable[[], object]) -> Iterator[None]:
    def trace(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == step:
            sys.settrace(None)
            act()

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(former)


@pytest.fixture
def overtaken() -> Callable[[str, Callable[[], object]], AbstractContextManager[None]]:
    """``with overtaken("step", act)``: `act` is done just before the next call of `step`, once.

    As another thread would do it that came between two instructions, and at the same place each time.
    """
    return _overtaken
