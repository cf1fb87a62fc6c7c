"""`install` and `uninstall`: the metrics of prometheus_client keep their numbers in a registry of pytheus."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable
from typing import Any, Final, cast
from weakref import WeakSet

from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import values

from pytheus.definitions import NOT_CALLERS
from pytheus.exceptions import SelectionError
from pytheus.registry import REGISTRY, Registry, check_registry
from pytheus_prometheus_client.endpoints import is_merged
from pytheus_prometheus_client.installed import INSTALLED, Installation, is_multiprocess
from pytheus_prometheus_client.numbers import LocalNumber
from pytheus_prometheus_client.refusals import TheirMetric, tell
from pytheus_prometheus_client.replacements import REPLACEMENTS

__all__ = ["install", "install_beside", "uninstall"]

# A metric is defined where a program calls prometheus_client, or installs the seam.
_PACKAGES: Final = {"prometheus_client", "pytheus_prometheus_client", "pytheus_prometheus_client_startup"}

_lock: Final = threading.RLock()


def install(registry: Registry = REGISTRY, *, merged_endpoints: Iterable[TheirRegistry] | None = None) -> None:
    """Let the metrics of prometheus_client keep their numbers in `registry`, from now on.

        >>> import prometheus_client
        >>> from pytheus.registry import CollectorRegistry
        >>> ours = CollectorRegistry()
        >>> install(ours)
        >>> theirs = prometheus_client.CollectorRegistry()
        >>> prometheus_client.Counter("jobs", "Jobs done.", registry=theirs).inc()
        >>> [row.numbers for row in ours.find("jobs_total").rows()]
        [[1.0]]
        >>> uninstall()

    Metrics of every registry of prometheus_client are attached when they are registered, and those that were registered
    before are moved with their values. Custom collectors of its default registry are bridged (`PeerCollector`). A
    `PytheusWarning` names each metric that stays there alone. Best called before the program defines metrics; may be
    called from any thread.

    `merged_endpoints` are the registries of prometheus_client whose endpoints show all processes if `registry` does:
    its default registry unless others are given, and with ``()`` none. Endpoints of other registries, and
    `get_sample_value()` of all, show the numbers of this process. A second call with the same registry changes
    `merged_endpoints`, if they are given, and nothing else.

    Raises `NotARegistryError` if `registry` is not a registry, and `SelectionError` if the metrics are in another one.
    """
    check_registry(registry, "install(...)")  # the default registry is chosen now, which may install the seam as well
    install_beside(registry, registry, merged_endpoints)


def install_beside(
    registry: Registry, chosen: Registry, merged_endpoints: Iterable[TheirRegistry] | None = None
) -> None:
    """Install the seam in `registry`, a proxy for which `chosen` is being chosen, or that registry itself."""
    with _lock:
        if INSTALLED:
            if INSTALLED[0].registry is not registry:
                raise SelectionError(
                    f"prometheus_client's metrics are in {INSTALLED[0].registry!r} already but got {registry!r};"
                    " call uninstall() first"
                )
            if merged_endpoints is not None:
                INSTALLED[0].merged_endpoints = WeakSet(merged_endpoints)
            if is_merged(chosen):
                with INSTALLED[0].changing():
                    INSTALLED[0].leave_out_process()
            return
        installation = Installation(registry)
        if merged_endpoints is not None:
            installation.merged_endpoints = WeakSet(merged_endpoints)
        NOT_CALLERS.update(_PACKAGES)
        INSTALLED.append(installation)
        values.ValueClass = LocalNumber
        for replacement in REPLACEMENTS:
            replacement.apply()
        with installation.changing():
            if is_merged(chosen):
                installation.leave_out_process()
            registries, metrics = _registries_and_metrics()
            for registry_of_theirs in registries:
                for collector in list(registry_of_theirs._collector_to_names):
                    installation.add(registry_of_theirs, collector, late=True)
            if is_multiprocess():
                for theirs in metrics:
                    if not theirs._labelvalues:
                        installation.add_unregistered(theirs, late=True)
            del registries, metrics
            installation.sweep()
    tell()


def uninstall() -> None:
    """Give the metrics of prometheus_client numbers of their own again, with the values of this process.

    They leave the registry of pytheus. Does nothing if nothing is installed. May be called from any thread.
    """
    with _lock:
        if not INSTALLED:
            return
        installation = INSTALLED.pop()
        for replacement in REPLACEMENTS:
            replacement.revert()
        if values.ValueClass is LocalNumber:
            values.ValueClass = cast(Any, values).get_value_class()
        with installation.changing():
            installation.close()
        NOT_CALLERS.difference_update(_PACKAGES)


def _registries_and_metrics() -> tuple[list[TheirRegistry], list[TheirMetric]]:
    """Return those of the program, as far as the garbage collector knows them."""
    gc.collect()  # those that the program no longer has
    is_frozen = hasattr(gc, "freeze") and gc.get_freeze_count() > 0
    if is_frozen:  # by a program that forks soon, and whose objects would be left out
        gc.unfreeze()
    try:
        objects: list[Any] = gc.get_objects()
        # Not by isinstance, which asks an object for its class, and so runs code of a proxy such as Django's settings.
        registries = [each for each in objects if TheirRegistry in type(each).__mro__]
        return registries, [each for each in objects if TheirMetric in type(each).__mro__]
    finally:
        if is_frozen:
            gc.freeze()
