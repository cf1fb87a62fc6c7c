"""`install` and `uninstall`: the methods of prometheus_client that they replace.

Rules:

- Their classes stay, so that names which were imported before, subclasses and `isinstance` keep their meaning.
- A replaced method calls the former one first, and raises what that raises, and nothing else.
- A method that another program has replaced in turn stays; what is replaced here does nothing more once uninstalled.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final, cast
from weakref import WeakKeyDictionary, finalize

import prometheus_client
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import Enum as TheirEnum
from prometheus_client import Gauge, Info, Metric, multiprocess, values
from prometheus_client.registry import Collector as TheirCollector

from pytheus.exceptions import PytheusError, SelectionError
from pytheus.registry import REGISTRY, Registry, check_registry
from pytheus_prometheus_client.attachments import (
    Attachment,
    TheirMetric,
    is_plain,
    show,
    tell,
)
from pytheus_prometheus_client.numbers import LocalNumber
from pytheus_prometheus_client.peer_collector import PeerCollector
from pytheus_prometheus_client.pytheus_collector import PytheusCollector

__all__ = ["install", "uninstall"]


class _Installation:
    """What is attached to which registry of pytheus."""

    def __init__(self, registry: Registry) -> None:
        self.registry: Final = registry
        self.merged: Final = PytheusCollector(registry)
        self._attachments: dict[TheirMetric, Attachment] = {}
        self._holders: WeakKeyDictionary[TheirRegistry, set[TheirMetric]] = WeakKeyDictionary()
        self.bridges: dict[TheirCollector, PeerCollector] = {}
        # An enum is registered before it has its states.
        self._unfinished: dict[TheirMetric, TheirRegistry] = {}

    def owns(self, number: object) -> bool:
        """Return whether a number was made by this library, or before it was installed."""
        return type(number) is LocalNumber

    def attachment_of(self, theirs: TheirMetric) -> Attachment | None:
        return self._attachments.get(theirs)

    def add(self, registry: TheirRegistry, collector: TheirCollector, *, late: bool = False) -> list[str]:
        """Attach or bridge `collector`, which `registry` has; return what is to be told of one that is refused."""
        if is_plain(collector) and isinstance(collector, TheirMetric):
            if isinstance(collector, TheirEnum) and not hasattr(collector, "_states"):
                self._unfinished[collector] = registry
            elif late or values.ValueClass is LocalNumber:
                return self._attach(registry, collector, late)
        elif registry is prometheus_client.REGISTRY:
            return self._bridge(collector)
        return []

    def finish(self, theirs: TheirMetric) -> list[str]:
        """Attach a metric that was registered by its constructor, which has ended; as `add`."""
        registry = self._unfinished.pop(theirs, None)
        return [] if registry is None else self._attach(registry, theirs, False)

    def _attach(self, registry: TheirRegistry, theirs: TheirMetric, late: bool) -> list[str]:
        held = self._holders.get(registry)
        if held is None:
            held = self._holders[registry] = set()
            finalize(registry, self._release, held)
        held.add(theirs)
        if theirs in self._attachments:
            return []
        twins = [(other, there) for other, there in self._attachments.items() if there.name == theirs._name]
        try:
            attachment = Attachment(theirs, self.registry, _is_original if late else self.owns, bool(twins))
        except PytheusError as error:
            held.discard(theirs)
            return [f"{theirs._type} {theirs._name!r} stays in prometheus_client alone: {error}"]
        for other, there in twins:
            there.separate(other)
        self._attachments[theirs] = attachment
        return []

    def _bridge(self, collector: TheirCollector) -> list[str]:
        if collector in self.bridges or isinstance(collector, (multiprocess.MultiProcessCollector, PytheusCollector)):
            return []
        bridge = PeerCollector(collector)
        try:
            self.registry.register(bridge)
        except PytheusError as error:
            return [f"the collector {type(collector).__qualname__} stays in prometheus_client alone: {error}"]
        self.bridges[collector] = bridge
        return []

    def sweep(self) -> None:
        for attachment in list(self._attachments.values()):
            attachment.sweep()

    def remove(self, registry: TheirRegistry, collector: TheirCollector) -> None:
        """Detach or unbridge `collector`, which `registry` no longer has."""
        bridge = self.bridges.pop(collector, None)
        if bridge is not None:
            self._unregister(bridge)
        elif isinstance(collector, TheirMetric):
            held = self._holders.get(registry)
            if held is not None and collector in held:
                held.discard(collector)
                self._release({collector})

    def _release(self, ended: set[TheirMetric]) -> None:
        """Detach the metrics that no registry of prometheus_client has any more."""
        for theirs in list(ended):
            if any(theirs in held for held in list(self._holders.values())):
                continue
            attachment = self._attachments.pop(theirs, None)
            if attachment is None:
                continue
            attachment.detach(theirs)
            if not any(there.name == attachment.name for there in self._attachments.values()):
                self._unregister(attachment.ours)

    def _unregister(self, collector: object) -> None:
        try:
            self.registry.unregister(cast(Any, collector))
        except PytheusError:  # it shares the series of a metric of pytheus, which stays
            pass

    def close(self) -> None:
        self._holders.clear()
        self._release(set(self._attachments))
        for bridge in self.bridges.values():
            self._unregister(bridge)
        self.bridges.clear()


_installed: list[_Installation] = []
_lock = threading.RLock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def install(registry: Registry = REGISTRY) -> None:
    """Let the metrics of prometheus_client keep their numbers in `registry`, from now on.

        >>> import prometheus_client
        >>> from pytheus import generate_metrics
        >>> from pytheus.registry import CollectorRegistry
        >>> ours = CollectorRegistry()
        >>> install(ours)
        >>> theirs = prometheus_client.CollectorRegistry()
        >>> prometheus_client.Counter("jobs", "Jobs done.", registry=theirs).inc()
        >>> print(generate_metrics(ours), end="")
        # HELP jobs_total Jobs done.
        # TYPE jobs_total counter
        jobs_total 1.0
        >>> uninstall()

    Metrics of every registry of prometheus_client are attached when they are registered, and those that were registered
    before are moved with their values. Custom collectors of its default registry are bridged (`PeerCollector`). What
    stays there alone is named by a `PytheusWarning`. A second call with the same registry does nothing. May be called
    from any thread; best before the program defines metrics.

    Raises `NotARegistryError` if `registry` is not a registry, and `SelectionError` if the metrics are in another one.
    """
    with _lock:
        if _installed:
            if _installed[0].registry is not registry:
                raise SelectionError(
                    f"prometheus_client's metrics are in {_installed[0].registry!r} already but got {registry!r};"
                    " call uninstall() first"
                )
            return
        installation = _Installation(check_registry(registry, "install(...)"))
        _installed.append(installation)
        values.ValueClass = LocalNumber
        for replacement in _REPLACEMENTS:
            replacement.apply()
        refusals: list[str] = []
        for theirs in _registries():
            for collector in list(theirs._collector_to_names):
                refusals += installation.add(theirs, collector, late=True)
        installation.sweep()
        for refusal in refusals:
            tell(refusal)


def uninstall() -> None:
    """Give the metrics of prometheus_client numbers of their own again, with the values of this process.

    They leave the registry of pytheus. Does nothing if nothing is installed. May be called from any thread.
    """
    with _lock:
        if not _installed:
            return
        installation = _installed.pop()
        for replacement in _REPLACEMENTS:
            replacement.revert()
        if values.ValueClass is LocalNumber:
            values.ValueClass = values.get_value_class()
        installation.close()


def _registries() -> list[TheirRegistry]:
    """Return the registries of prometheus_client, as far as the garbage collector knows them."""
    gc.collect()  # those that nobody has any more
    return [each for each in gc.get_objects() if isinstance(each, TheirRegistry)]


def _is_original(number: object) -> bool:
    return type(number).__module__.partition(".")[0] == "prometheus_client" or type(number) is LocalNumber


class _Replacement:
    """A method of prometheus_client, and what it is replaced by."""

    def __init__(self, owner: object, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._owner = owner
        self._name = name
        self._former: Callable[..., Any] = getattr(owner, name)
        self._replaced = wraps(self._former)(wrap(self._former))

    def apply(self) -> None:
        present = getattr(self._owner, self._name)
        if present is self._former:
            setattr(self._owner, self._name, self._replaced)

    def revert(self) -> None:
        if getattr(self._owner, self._name) is self._replaced:
            setattr(self._owner, self._name, self._former)


def _register(former: Callable[..., None]) -> Callable[..., None]:
    def register(self: TheirRegistry, collector: TheirCollector) -> None:
        former(self, collector)
        with _lock:
            refusals = _installed[0].add(self, collector) if _installed else []
        for refusal in refusals:
            tell(refusal)

    return register


def _unregister(former: Callable[..., None]) -> Callable[..., None]:
    def unregister(self: TheirRegistry, collector: TheirCollector) -> None:
        former(self, collector)
        with _lock:
            if _installed:
                _installed[0].remove(self, collector)

    return unregister


def _clear(former: Callable[..., None]) -> Callable[..., None]:
    def clear(self: TheirMetric) -> None:
        installation = _installed[0] if _installed and self._labelnames else None
        attachment = None if installation is None else installation.attachment_of(self)
        if attachment is None:
            former(self)
        else:
            attachment.clear(self)

    return clear


def _shown(former: Callable[..., None]) -> Callable[..., None]:
    def change(self: TheirMetric, *arguments: Any, **options: Any) -> None:
        former(self, *arguments, **options)
        if _installed:
            show(self)

    return change


def _made(former: Callable[..., None]) -> Callable[..., None]:
    def init(self: TheirMetric, *arguments: Any, **options: Any) -> None:
        former(self, *arguments, **options)
        with _lock:
            refusals = _installed[0].finish(self) if _installed else []
        for refusal in refusals:
            tell(refusal)

    return init


def _remove(former: Callable[..., None]) -> Callable[..., None]:
    # Without the warning of prometheus_client that it cannot remove a series in several processes.
    def remove(self: TheirMetric, *given: object) -> None:
        if not _is_attached(self) or len(given) != len(self._labelnames):
            former(self, *given)
            return
        with self._lock:
            self._metrics.pop(tuple(map(str, given)), None)

    return remove


def _remove_by_labels(former: Callable[..., None]) -> Callable[..., None]:
    def remove_by_labels(self: TheirMetric, labels: dict[str, str]) -> None:
        if not _is_attached(self) or not isinstance(labels, dict) or not set(labels) <= set(self._labelnames):
            former(self, labels)
            return
        wanted = [(self._labelnames.index(name), str(value)) for name, value in labels.items()]
        with self._lock:
            for given in list(self._metrics) if wanted else ():
                if all(given[index] == value for index, value in wanted):
                    self._metrics.pop(given, None)

    return remove_by_labels


def _is_attached(theirs: TheirMetric) -> bool:
    return bool(_installed and theirs._labelnames and _installed[0].attachment_of(theirs) is not None)


def _collect(former: Callable[..., Iterable[Metric]]) -> Callable[..., Iterable[Metric]]:
    def collect(self: multiprocess.MultiProcessCollector) -> Iterable[Metric]:
        found = list(former(self))
        if not _installed:
            return found
        merged = _installed[0].merged.collect()
        names = {metric.name for metric in merged}
        return [*(metric for metric in found if metric.name not in names), *merged]

    return collect


def _mark_process_dead(former: Callable[..., None]) -> Callable[..., None]:
    def mark_process_dead(pid: int, path: str | None = None) -> None:
        # The older spelling is theirs.
        is_named = path is not None or {"PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"} & set(os.environ)
        if is_named or not _installed:
            former(pid, path)

    return mark_process_dead


_REPLACEMENTS: Final = (
    _Replacement(TheirRegistry, "register", _register),
    _Replacement(TheirRegistry, "unregister", _unregister),
    _Replacement(TheirMetric, "clear", _clear),
    _Replacement(TheirMetric, "remove", _remove),
    _Replacement(TheirMetric, "remove_by_labels", _remove_by_labels),
    _Replacement(TheirEnum, "__init__", _made),
    _Replacement(Gauge, "set_function", _shown),
    _Replacement(Info, "info", _shown),
    _Replacement(TheirEnum, "state", _shown),
    _Replacement(multiprocess.MultiProcessCollector, "collect", _collect),
    _Replacement(multiprocess, "mark_process_dead", _mark_process_dead),
)
