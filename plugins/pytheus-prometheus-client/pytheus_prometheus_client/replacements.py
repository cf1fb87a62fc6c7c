"""The methods of prometheus_client that `install` replaces.

Rules:

- Their classes stay, so that names which were imported before, subclasses and `isinstance` keep their meaning.
- A replaced method raises the errors of the former one, and no others.
- A method that another program has replaced in turn stays. Ours, which it calls, does nothing more once uninstalled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final, cast

import prometheus_client
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import Enum as TheirEnum
from prometheus_client import Gauge, Info, Metric, multiprocess, values
from prometheus_client.registry import Collector as TheirCollector
from prometheus_client.registry import RestrictedRegistry

from pytheus_prometheus_client.attachments import show
from pytheus_prometheus_client.copied_labels import COPIES, copied_names
from pytheus_prometheus_client.endpoints import merged_families, shows_all, writes_endpoint
from pytheus_prometheus_client.installed import INSTALLED, Installation, attachment_of, is_multiprocess
from pytheus_prometheus_client.numbers import LocalNumber
from pytheus_prometheus_client.refusals import TheirMetric, tell
from pytheus_prometheus_client.series import Series

__all__ = ["REPLACEMENTS"]

# Among the arguments of a metric's constructor.
_PLACE_OF_REGISTRY: Final = 6


class _Replacement:
    """A method of prometheus_client, and the one that replaces it, which `wrap` returns."""

    def __init__(self, owner: object, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._owner = owner
        self._name = name
        self._wrap = wrap
        self._former: object = None
        self._replaced: object = None

    def apply(self) -> None:
        """Replace the method, unless it is still replaced because another program's method calls it."""
        if self._replaced is None:
            former: Callable[..., Any] = getattr(self._owner, self._name)
            self._former, self._replaced = former, wraps(former)(self._wrap(former))
            setattr(self._owner, self._name, self._replaced)

    def revert(self) -> None:
        """Put the former method back, unless another program has replaced ours."""
        if getattr(self._owner, self._name) is self._replaced:
            setattr(self._owner, self._name, self._former)
            self._former = self._replaced = None


def _register(former: Callable[..., None]) -> Callable[..., None]:
    def register(self: TheirRegistry, collector: TheirCollector) -> None:
        former(self, collector)
        _change(lambda installation: installation.add(self, collector))

    return register


def _unregister(former: Callable[..., None]) -> Callable[..., None]:
    def unregister(self: TheirRegistry, collector: TheirCollector) -> None:
        if copied_names(collector) is not None:
            for copies in list(COPIES):
                copies.copy()
        former(self, collector)
        _change(lambda installation: installation.remove(self, collector))

    return unregister


def _constructed(former: Callable[..., None]) -> Callable[..., None]:
    def init(self: TheirMetric, *arguments: Any, **options: Any) -> None:
        former(self, *arguments, **options)
        if INSTALLED and not self._labelvalues and not _registry_of(*arguments, **options) and is_multiprocess():
            _change(lambda installation: installation.add_unregistered(self))

    return init


def _registry_of(*arguments: Any, registry: object = prometheus_client.REGISTRY, **_: Any) -> object:
    """Return the registry among the arguments of a constructor."""
    return arguments[_PLACE_OF_REGISTRY] if len(arguments) > _PLACE_OF_REGISTRY else registry


def _made(former: Callable[..., None]) -> Callable[..., None]:
    def init(self: TheirMetric, *arguments: Any, **options: Any) -> None:
        former(self, *arguments, **options)
        _change(lambda installation: installation.finish(self))

    return init


def _change(change: Callable[[Installation], None]) -> None:
    """Change the installation, if there is one, and warn of refusals."""
    for installation in INSTALLED[:]:
        with installation.changing():
            change(installation)
        tell()


def _labels(former: Callable[..., TheirMetric]) -> Callable[..., TheirMetric]:
    # A series that exists is looked up without the lock, which a thread may hold at a fork, and without a str of each
    # value that is one. What is unusual or wrong is left to the former method.
    def labels(self: TheirMetric, *values: object, **named: object) -> TheirMetric:
        series: dict[tuple[str, ...], TheirMetric] | None = getattr(self, "_metrics", None)
        if series is not None:
            if not named:
                for value in values:
                    if type(value) is not str:
                        child = series.get(tuple(map(str, values)))
                        break
                else:
                    child = series.get(cast("tuple[str, ...]", values))
            elif values or len(named) != len(self._labelnames):
                child = None
            else:
                try:
                    child = series.get(tuple([str(named[name]) for name in self._labelnames]))
                except KeyError:
                    child = None
            if child is not None:
                return child
            if type(series) is not Series:
                _adopt(self)
        child = former(self, *values, **named)
        tell()
        return child

    return labels


def _adopt(theirs: TheirMetric) -> None:
    """Watch the series of a metric again if the program has replaced their dict."""
    attachment = attachment_of(theirs)
    if attachment is not None:
        attachment.adopt(theirs)


def _clear(former: Callable[..., None]) -> Callable[..., None]:
    def clear(self: TheirMetric) -> None:
        attachment = attachment_of(self) if self._labelnames else None
        if attachment is None:
            former(self)
        else:
            attachment.clear(self)

    return clear


def _shown(former: Callable[..., None]) -> Callable[..., None]:
    def change(self: TheirMetric, *arguments: Any, **options: Any) -> None:
        former(self, *arguments, **options)
        if INSTALLED:
            show(self)
            tell()

    return change


def _remove(former: Callable[..., None]) -> Callable[..., None]:
    # Without the warning of prometheus_client that it cannot remove a series in several processes.
    def remove(self: TheirMetric, *given: object) -> None:
        attachment = attachment_of(self)
        if not self._labelnames or attachment is None or len(given) != len(self._labelnames):
            former(self, *given)
            return
        attachment.adopt(self)
        with self._lock:
            self._metrics.pop(tuple(map(str, given)), None)

    return remove


def _remove_by_labels(former: Callable[..., None]) -> Callable[..., None]:
    def remove_by_labels(self: TheirMetric, labels: dict[str, str]) -> None:
        is_usual = isinstance(labels, dict) and set(labels) <= set(self._labelnames)
        attachment = attachment_of(self)
        if not self._labelnames or attachment is None or not is_usual:
            former(self, labels)
            return
        attachment.adopt(self)
        wanted = [(self._labelnames.index(name), str(value)) for name, value in labels.items()]
        with self._lock:
            for given in list(self._metrics) if wanted else ():
                if all(given[index] == value for index, value in wanted):
                    self._metrics.pop(given, None)

    return remove_by_labels


def _collect(former: Callable[..., Iterable[Metric]]) -> Callable[..., Iterable[Metric]]:
    def collect(self: multiprocess.MultiProcessCollector) -> Iterable[Metric]:
        found = list(former(self))
        present = INSTALLED[:]
        if not present:
            return found
        merged = present[0].merged()
        # The files of the directory are from before the installation, unless the program has since gone back to them.
        first, second = (merged, found) if values.ValueClass is LocalNumber else (found, merged)
        names = {metric.name for metric in first}
        return [*first, *(metric for metric in second if metric.name not in names)]

    return collect


def _collect_for_endpoint(former: Callable[..., Iterable[Metric]]) -> Callable[..., Iterable[Metric]]:
    def collect(self: TheirRegistry | RestrictedRegistry) -> Iterable[Metric]:
        for installation in INSTALLED[:]:
            # Frame 1 is that of the caller.
            if writes_endpoint(sys._getframe(1)) and shows_all(installation, self):
                return merged_families(installation, self)
        return former(self)

    return collect


def _mark_process_dead(former: Callable[..., None]) -> Callable[..., None]:
    def mark_process_dead(pid: int, path: str | None = None) -> None:
        if path is not None or is_multiprocess() or not INSTALLED:
            former(pid, path)

    return mark_process_dead


REPLACEMENTS: Final = (
    _Replacement(TheirRegistry, "register", _register),
    _Replacement(TheirRegistry, "unregister", _unregister),
    _Replacement(TheirRegistry, "collect", _collect_for_endpoint),
    _Replacement(RestrictedRegistry, "collect", _collect_for_endpoint),
    _Replacement(TheirMetric, "__init__", _constructed),
    _Replacement(TheirMetric, "labels", _labels),
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
