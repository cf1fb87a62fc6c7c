"""The declarations of a conformance class about its registry, and the tools of its checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Literal

from pytheus.names import prefix_lead
from pytheus.registry.capabilities import Closable, HoldsCollectors
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.samples import Family, Sample
from pytheus.testing.checks.check import Conformance, check, promised
from pytheus.testing.checks.comparison import difference

__all__ = ["Declarations", "Probe", "check", "promised"]


class Probe:
    """A collector of one gauge with no member beyond the protocol."""

    def __init__(self, probe: str, value: float = 1.0) -> None:
        self.probe = probe
        self.value = value
        self.collected: int = 0

    def collect(self) -> Iterator[Family | Collector]:
        self.collected += 1
        yield Family(self.probe, "gauge", "A probe of the conformance kit.", [Sample("", {}, self.value)])

    def __repr__(self) -> str:
        return f"<probe {self.probe}>"


class Declarations(Conformance):
    """The attributes and methods by which a subclass describes its registry."""

    keeps_collectors: ClassVar[bool] = True
    """Whether the registry holds registered collectors; one like `none` does not."""

    exposes: ClassVar[bool] = True
    """Whether `collect()` returns the collectors; one that pushes their numbers offers `HoldsCollectors`."""

    takes_registrations: ClassVar[bool] = True
    """Whether `register` and `unregister` may be called. If not, `write_to` returns the registry to use instead."""

    gives_originals: ClassVar[bool] = True
    """Whether `collect()` returns the registered objects themselves; derived ones are compared by value."""

    refuses_unknown: ClassVar[bool] = True
    """Whether `unregister` raises for an unknown collector; a registry that keeps nothing cannot."""

    on_conflict: ClassVar[Literal["raise", "keep"]] = "raise"
    """The reaction to a taken name: `ConflictError`, or the first collector is kept without an error."""

    inner_prefix: ClassVar[str] = ""
    """A prefix of family names in addition to the registry's `prefix`, with its underscore."""

    own_metrics: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of metrics about the registry itself, which it also returns; checks ignore them."""

    constant_labels: ClassVar[Mapping[str, str]] = {}
    """Labels that the registry adds to every sample."""

    plugin_name: ClassVar[str | None] = None
    """The plugin's name, which adds the checks of its distribution; it must be installed."""

    plugin_address: ClassVar[str | None] = None
    """The name or URL for `resolve_registry`; None for the name alone."""

    import_budget_seconds: ClassVar[float] = 1.0
    """The processor time that importing the plugin may take, without pytheus and pluggy."""

    def make_registry(self) -> Registry:
        """Return a new registry, empty and independent of those made before."""
        raise NotImplementedError(f"{type(self).__name__} must define make_registry(self) -> Registry")

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        """Return a new registry with that prefix. Override it if the registry supports prefixes."""
        raise NotImplementedError(f"{type(self).__name__} does not define make_prefixed_registry(self, prefix)")

    def write_to(self, registry: Registry) -> Registry:
        """Return the registry to register in, so that `registry` shows it; `registry` itself unless overridden."""
        return registry

    @classmethod
    def meets(cls, need: str) -> bool:
        """Return whether the class declares the ability that a check with this need tests."""
        match need:
            case "kept":
                return cls.keeps_collectors
            case "kept nothing":
                return not cls.keeps_collectors
            case "unexposed":
                return not cls.exposes
            case "writable":
                return cls.keeps_collectors and cls.takes_registrations
            case "read only":
                return not cls.takes_registrations
            case "originals":
                return cls.keeps_collectors and cls.gives_originals
            case "derived":
                return cls.keeps_collectors and not cls.gives_originals
            case "refusals":
                return cls.refuses_unknown and cls.keeps_collectors and cls.takes_registrations
            case "errors":
                return cls.on_conflict == "raise"
            case "prefixes":
                return cls.make_prefixed_registry is not Declarations.make_prefixed_registry
            case "plugin":
                return cls.plugin_name is not None
            case _:
                raise ValueError(f"a check needs {need!r}, which no declaration provides")

    # For checks ------------------------------------------------------------------------------------------------------

    def fresh(self) -> Registry:
        """Return a new registry, closed after the test."""
        return self._kept(self.make_registry())

    def fresh_prefixed(self, prefix: str | None) -> Registry:
        """Return a new registry with that prefix, closed after the test."""
        return self._kept(self.make_prefixed_registry(prefix))

    def _kept(self, registry: Registry) -> Registry:
        # Test classes of pytest have no __init__.
        made: list[object] = self.__dict__.setdefault("_made", [])
        made.append(registry)
        return registry

    def teardown_method(self) -> None:
        """Close the registries that the check made."""
        for registry in self.__dict__.pop("_made", []):
            with suppress(Exception):  # a separate check covers errors of close()
                if isinstance(registry, Closable):
                    registry.close()

    def filled(self, *collectors: Collector) -> Registry:
        """Return a new registry that shows `collectors`."""
        registry = self.fresh()
        for collector in collectors:
            with promised("register(collector) takes any object with a method collect()"):
                self.write_to(registry).register(collector)
        return registry

    def held(self, registry: Registry) -> list[Collector]:
        """Return the collectors that `registry` holds."""
        with promised("collect() returns an iterable of the registered collectors"):
            return list(self.listing(registry))

    def listing(self, registry: Registry) -> Iterable[Collector]:
        """Return the result of `collect()`, or of `registered_collectors()` for a registry that exposes nothing."""
        if self.exposes:
            own = self.own_metrics
            # A registry's own iterable, unless some of it must be left out.
            return (
                [each for each in registry.collect() if not collector_name(each).startswith(own)]
                if own
                else registry.collect()
            )
        if not isinstance(registry, HoldsCollectors):
            raise AssertionError(
                "exposes = False: a registry that exposes nothing offers registered_collectors(), so that its"
                " collectors can move to another registry (pytheus.registry.HoldsCollectors): it does not"
            )
        return registry.registered_collectors()

    def scraped(self, registry: Registry) -> Registry:
        """Return the registry to expose: `registry`, or one with its collectors if it exposes nothing itself."""
        if self.exposes:
            return registry
        shown = CollectorRegistry(prefix=registry.prefix)
        for collector in self.held(registry):
            shown.register(collector)
        return shown

    def require_held(self, registry: Registry, expected: Sequence[Collector], promise: str) -> None:
        """Fail with `promise` unless `collect()` returns `expected`, or their equivalents, in that order."""
        self.require_same(self.held(registry), expected, promise)

    def require_same(self, given: Sequence[Collector], expected: Sequence[Collector], promise: str) -> None:
        """Fail with `promise` unless `given` are `expected`, or their equivalents, in that order."""
        got = [self._original(collector, expected) for collector in given]
        if len(got) != len(expected) or any(one is not other for one, other in zip(got, expected, strict=True)):
            raise AssertionError(f"{promise}: expected {_listed(expected)} but got {_listed(given)}")
        for collector, original in zip(given, expected, strict=True):
            if collector is not original:
                told = difference(collector, original, prefix=self.inner_prefix, labels=self.constant_labels)
                if told:
                    raise AssertionError(f"{promise}, or others that tell the same: {told}")

    def _original(self, given: Collector, expected: Sequence[Collector]) -> object:
        if self.gives_originals:
            return given
        names = {self._family(given).removeprefix(self.inner_prefix)}
        return next((collector for collector in expected if self._family(collector) in names), given)

    @staticmethod
    def _family(collector: Collector) -> str:
        return next((str(getattr(part, "name", "")) for part in collector.collect()), "")

    def exposed(self, registry: Registry, name: str) -> str:
        """Return the name of the family `name` of `registry` in an exposition."""
        return prefix_lead(registry.prefix) + self.inner_prefix + name


def _listed(collectors: Sequence[Collector]) -> str:
    names = [getattr(collector, "probe", None) or collector_name(collector) for collector in collectors]
    return ", ".join(map(str, names)) or "nothing"
