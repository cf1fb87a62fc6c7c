"""Creates middleware, and says on stderr which frameworks a process measures and which it does not."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final, TypeVar

from pytheus.exceptions import ConflictError
from pytheus.middleware.recorder import has_middleware_of_program

__all__ = ["QUIET_VARIABLE", "created", "say_not_measured"]

M = TypeVar("M")

QUIET_VARIABLE: Final = "PYTHEUS_RUN_QUIET"

_said: Final[set[tuple[int, str]]] = set()


def created(framework: str, names: str, create: Callable[[], M]) -> M | None:
    """Return the middleware that `create` creates, or None if it cannot; says either once in each process.

    Says nothing if the program defines the metrics of its own middleware in another way, because that measures.
    """
    try:
        middleware = create()
    except ConflictError as error:
        if not has_middleware_of_program():
            say_not_measured(framework, error)
        return None
    except Exception as error:
        say_not_measured(framework, error)
        return None
    if os.environ.get(QUIET_VARIABLE, "").lower() not in ("1", "true"):
        _say(f"measuring {_with_version(framework)} (names: {names})")
    return middleware


def say_not_measured(framework: str, reason: str | Exception) -> None:
    """Say that applications of `framework` are not measured, and why, once in each process."""
    text = f"{type(reason).__name__}: {reason}" if isinstance(reason, Exception) else reason
    _say(f"not measuring {_with_version(framework)}: {' '.join(text.split())}")


def _say(text: str) -> None:
    if (os.getpid(), text) in _said:
        return
    _said.add((os.getpid(), text))
    try:
        print(f"pytheus: {text}", file=sys.stderr, flush=True)
    except (AttributeError, OSError, ValueError):
        pass  # stderr is closed or missing


def _with_version(framework: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{framework} {version(framework)}"
    except PackageNotFoundError:
        return framework
