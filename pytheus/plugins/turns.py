"""Which plugins are at work in this thread: one that asks for itself meanwhile would never end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytheus.exceptions import PluginLoadError

if TYPE_CHECKING:
    from pytheus.plugins.catalog import Claim

__all__ = ["Turn", "is_anybodys_turn"]

_turns = threading.local()


def is_anybodys_turn() -> bool:
    """Whether a plugin is making or wrapping a registry in this thread."""
    return bool(getattr(_turns, "running", None))


class Turn:
    """The time in which a plugin makes or wraps a registry. Raises `PluginLoadError` if it has begun already."""

    __slots__ = ("_key", "_name", "_subject")

    def __init__(self, claim: Claim, subject: str) -> None:
        self._key = str(claim)
        self._name = claim.name
        self._subject = subject

    def __enter__(self) -> None:
        running: list[str] = _turns.__dict__.setdefault("running", [])
        if self._key in running:
            raise PluginLoadError(
                f"{self._subject} could not be made: {self._key} asks for itself while it makes or wraps a registry; it"
                " must name the registry that it builds on",
                name=self._name,
            )
        running.append(self._key)

    def __exit__(self, *_: object) -> None:
        _turns.running.pop()
