"""Objects of another metrics library that were registered here, and objects of pytheus that were registered there.

Neither library can collect the other's families. Without these checks the mistake would show at each scrape only, and
in prometheus_client no scrape would work at all. Neither library is imported.
"""

from __future__ import annotations

from typing import Final, NoReturn

from pytheus.exceptions import NotACollectorError

__all__ = ["BOTH_LIBRARIES", "RefusesPeers", "is_of_peer", "refused_by_peer"]

BOTH_LIBRARIES: Final = "to keep metrics of both, expose both registries: docs/how-to/from-prometheus-client.md"


def is_of_peer(candidate: object) -> bool:
    """Return whether `candidate` is an object of prometheus_client, or of a class derived from one of its classes."""
    return any(base.__module__.partition(".")[0] == "prometheus_client" for base in type(candidate).__mro__)


def refused_by_peer(subject: str) -> NotACollectorError:
    """Return the error for a registry of another library that asks `subject` to describe itself."""
    return NotACollectorError(
        f"{subject} is of pytheus, and the registry of another library, such as prometheus_client, cannot collect it;"
        f" register it in a pytheus registry, or, {BOTH_LIBRARIES}"
    )


class RefusesPeers:
    """The base of collectors and registries that the registry of another library would take for its own collectors."""

    __slots__ = ()

    def describe(self) -> NoReturn:
        """Raise `NotACollectorError`. prometheus_client calls this method when a collector is registered there."""
        raise refused_by_peer(type(self).__qualname__)
