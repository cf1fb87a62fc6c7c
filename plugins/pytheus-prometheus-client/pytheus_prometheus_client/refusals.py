"""The metrics that stay in prometheus_client alone, and the warnings that name them."""

from __future__ import annotations

import warnings
from typing import Final, TypeAlias

from prometheus_client import metrics

from pytheus.definitions import caller_location
from pytheus.exceptions import PytheusWarning

__all__ = ["TheirMetric", "named", "refuse", "tell"]

TheirMetric: TypeAlias = metrics.MetricWrapperBase

# As a module has it, so that the default filter shows a warning once for each line.
_TOLD: Final[dict[str | tuple[str, type[Warning], int], int]] = {}

_untold: Final[list[str]] = []


def named(theirs: TheirMetric) -> str:
    """Return a metric's type and name, for messages."""
    return f"{theirs._type} {theirs._name!r}"


def refuse(subject: str, reason: object) -> None:
    """Note that `subject` stays in prometheus_client alone, until `tell` warns of it when no lock is held."""
    _untold.append(f"{subject} stays in prometheus_client alone: {reason}")


def tell() -> None:
    """Warn of all refusals, at the line of the program that defines or uses it."""
    while _untold:
        try:
            message = _untold.pop(0)
        except IndexError:  # another thread warns of it
            return
        path, _, line = caller_location().rpartition(":")
        warnings.warn_explicit(message, PytheusWarning, path or "<unknown>", int(line or 1), registry=_TOLD)
