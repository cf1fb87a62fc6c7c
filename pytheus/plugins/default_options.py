"""The options of the registry `default`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DefaultOptions"]


@dataclass(frozen=True)
class DefaultOptions:
    """The arguments of `pytheus.registry.CollectorRegistry`, as options."""

    prefix: str | None = None
    on_conflict: Literal["raise", "warn"] = "raise"
