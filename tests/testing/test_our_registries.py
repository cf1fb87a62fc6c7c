"""Every registry and composition of this project keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pytheus.compose import Wrapper, filtered, labelled, limited, prefixed, read_only, union
from pytheus.plugins.observer import OBSERVERS, ObservedRegistry
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry
from pytheus.testing import RegistryConformance


class TestCollectorRegistry(RegistryConformance):
    def make_registry(self) -> Registry:
        return CollectorRegistry()

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return CollectorRegistry(prefix=prefix)


class TestCollectorRegistryThatWarns(RegistryConformance):
    on_conflict = "keep"

    def make_registry(self) -> Registry:
        return CollectorRegistry(on_conflict="warn")


class TestNullRegistry(RegistryConformance):
    keeps_collectors = False
    refuses_unknown = False

    def make_registry(self) -> Registry:
        return NullRegistry()


class TestProxy(RegistryConformance):
    def make_registry(self) -> Registry:
        return CollectorRegistryProxy(CollectorRegistry())

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return CollectorRegistryProxy(CollectorRegistry(prefix=prefix))


class TestProxyThatIsResolvedByName(RegistryConformance):
    def make_registry(self) -> Registry:
        return CollectorRegistryProxy("default")

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return CollectorRegistryProxy(f"default://?prefix={prefix}" if prefix else "default")


class TestUnion(RegistryConformance):
    def make_registry(self) -> Registry:
        return union(CollectorRegistry(), CollectorRegistry())


class TestUnionWithAPrefixInside(RegistryConformance):
    gives_originals = False
    inner_prefix = "shop_"

    def make_registry(self) -> Registry:
        return union(CollectorRegistry(prefix="shop"), CollectorRegistry())


class TestFiltered(RegistryConformance):
    gives_originals = False  # of custom collectors, whose families show only when they are scraped

    def make_registry(self) -> Registry:
        return filtered(CollectorRegistry(), predicate=lambda family: True)

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return filtered(CollectorRegistry(prefix=prefix))


class TestPrefixed(RegistryConformance):
    def make_registry(self) -> Registry:
        return prefixed(CollectorRegistry(), "kitchen")

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return prefixed(CollectorRegistry(), prefix) if prefix else CollectorRegistry()


class TestLabelled(RegistryConformance):
    gives_originals = False
    constant_labels: ClassVar[Mapping[str, str]] = {"region": "eu"}

    def make_registry(self) -> Registry:
        return labelled(CollectorRegistry(), region="eu")

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return labelled(CollectorRegistry(prefix=prefix), region="eu")


class TestLimited(RegistryConformance):
    def make_registry(self) -> Registry:
        return limited(CollectorRegistry(), max_series=10_000, max_series_per_metric=1_000)

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return limited(CollectorRegistry(prefix=prefix))


class TestReadOnly(RegistryConformance):
    takes_registrations = False

    def make_registry(self) -> Registry:
        return read_only(CollectorRegistry())

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return read_only(CollectorRegistry(prefix=prefix))

    def write_to(self, registry: Registry) -> Registry:
        return registry.wrapped[0] if isinstance(registry, Wrapper) else registry


class TestNested(RegistryConformance):
    gives_originals = False
    constant_labels: ClassVar[Mapping[str, str]] = {"zone": "a", "region": "eu"}
    inner_prefix = "shop_"

    def make_registry(self) -> Registry:
        shop = labelled(prefixed(CollectorRegistryProxy(CollectorRegistry()), "shop"), zone="a")
        return prefixed(labelled(filtered(union(shop, CollectorRegistry())), region="eu"), "all")


class _Watching:
    """An observer of everything, which does nothing."""

    subject = "plugin 'watching'"
    implements = OBSERVERS

    def call(self, hook: str, /, **arguments: object) -> None: ...


class TestObserved(RegistryConformance):
    """The layer through which plugins observe, with an observer of each kind."""

    def make_registry(self) -> Registry:
        return ObservedRegistry(CollectorRegistry(), (_Watching(),), ())

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return ObservedRegistry(CollectorRegistry(prefix=prefix), (_Watching(),), ())
