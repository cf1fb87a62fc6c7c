"""The layer that calls the observers of plugins. Without an observer, there is no such layer.

Rules:

- Observers are called after the fact, and while no lock is held. If one raises, that is logged and has no other effect.
- A registration is reported if the registry has the collector afterwards and did not have it before. This is found out
  by public means, so that it works with any registry; a collector that these do not show is not reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from pytheus.compose.base import Layer
from pytheus.compose.derived import DerivedCollector
from pytheus.exceptions import ConflictError
from pytheus.interruption import is_interruption
from pytheus.lazy import logger
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.lookup import find_collector
from pytheus.registry.traversal import definition_of, originals

if TYPE_CHECKING:
    from pytheus.exposition.formats import AnyFormat

__all__ = ["OBSERVERS", "ObservedRegistry", "Observer", "observed"]

OBSERVERS: Final = (
    "pytheus_collector_registered",
    "pytheus_collector_unregistered",
    "pytheus_collector_rejected",
    "pytheus_collect_error",
)


class Observer(Protocol):
    """A plugin that implements observers: a `pytheus.plugins.loader.Plugin`, or a similar object."""

    @property
    def subject(self) -> str:
        """Its name in messages."""
        ...

    @property
    def implements(self) -> tuple[str, ...]:
        """The hooks that it implements."""
        ...

    def call(self, hook: str, /, **arguments: object) -> object:
        """Call its implementation of `hook`. May raise."""
        ...


def observed(registry: Registry, plugins: Iterable[Observer], formats: tuple[AnyFormat, ...]) -> Registry:
    """`registry` in a layer that calls `plugins` and offers `formats`; `registry` itself if there are neither."""
    observers = tuple(plugin for plugin in plugins if not set(OBSERVERS).isdisjoint(plugin.implements))
    return ObservedRegistry(registry, observers, formats) if observers or formats else registry


class _Observers:
    """The plugins that implement one observer."""

    __slots__ = ("_failures", "hook", "plugins")

    def __init__(self, hook: str, plugins: tuple[Observer, ...]) -> None:
        self.hook: Final = hook
        self.plugins: Final = tuple(plugin for plugin in plugins if hook in plugin.implements)
        self._failures: Final[dict[int, object]] = {}

    def call(self, **arguments: object) -> None:
        for plugin in self.plugins:
            try:
                plugin.call(self.hook, **arguments)
            except BaseException as error:
                if is_interruption(error):
                    raise
                self._note(plugin, error)

    def _note(self, plugin: Observer, error: BaseException) -> None:
        mark = object()
        if self._failures.setdefault(id(plugin), mark) is mark:  # one step, so that of several threads one logs it
            logger("pytheus.plugins").error(
                "%s failed in %s and will be called again; further failures are logged at the level DEBUG",
                plugin.subject,
                self.hook,
                exc_info=error,
            )
        else:
            logger("pytheus.plugins").debug("%s failed in %s again", plugin.subject, self.hook, exc_info=error)


class ObservedRegistry(Layer):
    """The layer that `observed` puts before a registry. May be used from any thread."""

    __slots__ = ("_arriving", "_errors", "_formats", "_registered", "_rejected", "_unregistered")

    def __init__(self, registry: Registry, plugins: tuple[Observer, ...], formats: tuple[AnyFormat, ...]) -> None:
        super().__init__(registry, "observed(...)")
        self._registered, self._unregistered, self._rejected, self._errors = (
            _Observers(hook, plugins) for hook in OBSERVERS
        )
        self._formats: Final = formats
        # Registrations in progress: of several threads that register the same collector, one reports it.
        self._arriving: Final[dict[int, object]] = {}

    @property
    def exposition_formats(self) -> tuple[AnyFormat, ...]:
        """The formats of the plugins; see `pytheus.exposition.OffersFormats`."""
        return self._formats

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry below, and report it."""
        key, mark = id(collector), object()
        observers = self._registered.plugins or self._rejected.plugins
        if not observers or self._arriving.setdefault(key, mark) is not mark:
            self._registry.register(collector)
            return
        error: Exception | None = None
        came = False
        try:
            before = _held(self._registry, collector)
            try:
                self._registry.register(collector)
            except Exception as refusal:
                error = refusal
                raise
            else:
                if before is None:
                    came = _held(self._registry, collector) is not None
                    error = None if came else _silent_refusal(self._registry, collector)
        finally:
            self._arriving.pop(key, None)
            if came:
                self._registered.call(collector=collector, registry=self)
            elif error is not None:
                self._rejected.call(collector=collector, registry=self, error=error)

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector` from the registry below, and report it."""
        held = _held(self._registry, collector) if self._unregistered.plugins else None
        self._registry.unregister(collector)
        if held is not None:
            self._unregistered.call(collector=held, registry=self)

    def collect_failed(self, collector: Collector, error: Exception, /) -> None:
        """Report that `collector` failed in a scrape; see `pytheus.exposition.HearsFailures`."""
        self._errors.call(collector=collector, error=error)

    def __repr__(self) -> str:
        return f"<observed {self._registry!r}>"


def _held(registry: Registry, collector: Collector) -> Collector | None:
    """`collector`, or the metric that it shares its values with, if `registry` has one of them; None otherwise."""
    while isinstance(collector, DerivedCollector):  # a layer derived it from the registered one
        collector = collector.origin
    definition = definition_of(collector)
    try:
        if definition is not None:
            found = find_collector(registry, definition.name)
            same = found is not None and (found is collector or definition_of(found) is definition)
            return found if same else None
        if any(held is collector for held in originals(registry)):
            return collector
    except Exception:
        logger("pytheus.plugins").debug("the collectors of %r could not be looked up", registry, exc_info=True)
    return None


def _silent_refusal(registry: Registry, collector: Collector) -> ConflictError | None:
    """An error for a `registry` that refused `collector` without raising one; None if no conflict is found."""
    definition = definition_of(collector)
    try:
        for name in () if definition is None else definition.occupied_names:
            incumbent = find_collector(registry, name)
            if incumbent is not None:
                return ConflictError(
                    f"{definition} conflicts with {definition_of(incumbent) or incumbent!r}: both expose the name"
                    f" {name!r}, and the registry keeps the first",
                    name=name,
                    incumbent=incumbent,
                )
    except Exception:
        logger("pytheus.plugins").debug("the collectors of %r could not be looked up", registry, exc_info=True)
    return None
