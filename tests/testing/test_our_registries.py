"""Every registry and composition of this project keeps the contract."""

from __future__ import annotations

from pytheus.compose import Wrapper, filtered, labelled, limited, prefixed, read_only, union
from pytheus.plugins.observer import OBSERVERS, ObservedRegistry
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry
from tests.testing.sound_registry import conformance


def plain(prefix: str | None = None) -> CollectorRegistry:
    return CollectorRegistry(prefix=prefix)


TestCollectorRegistry = conformance(plain, plain)
TestCollectorRegistryThatWarns = conformance(lambda: CollectorRegistry(on_conflict="warn"), on_conflict="keep")
TestNullRegistry = conformance(NullRegistry, keeps_collectors=False, refuses_unknown=False)

TestProxy = conformance(lambda: CollectorRegistryProxy(plain()), lambda prefix: CollectorRegistryProxy(plain(prefix)))
TestProxyThatIsResolvedByName = conformance(
    lambda: CollectorRegistryProxy("default"),
    lambda prefix: CollectorRegistryProxy(f"default://?prefix={prefix}" if prefix else "default"),
)

TestUnion = conformance(lambda: union(plain(), plain()))
TestUnionWithAPrefixInside = conformance(
    lambda: union(plain("shop"), plain()), gives_originals=False, inner_prefix="shop_"
)

TestFiltered = conformance(
    lambda: filtered(plain(), predicate=lambda family: True),
    lambda prefix: filtered(plain(prefix)),
    gives_originals=False,  # of custom collectors, whose families show only when they are scraped
)
TestPrefixed = conformance(
    lambda: prefixed(plain(), "kitchen"), lambda prefix: prefixed(plain(), prefix) if prefix else plain()
)
TestLabelled = conformance(
    lambda: labelled(plain(), region="eu"),
    lambda prefix: labelled(plain(prefix), region="eu"),
    gives_originals=False,
    constant_labels={"region": "eu"},
)
TestLimited = conformance(
    lambda: limited(plain(), max_series=10_000, max_series_per_metric=1_000), lambda prefix: limited(plain(prefix))
)


def below(self: object, registry: Registry) -> Registry:
    return registry.wrapped[0] if isinstance(registry, Wrapper) else registry


TestReadOnly = conformance(
    lambda: read_only(plain()), lambda prefix: read_only(plain(prefix)), takes_registrations=False, write_to=below
)


def nested() -> Registry:
    shop = labelled(prefixed(CollectorRegistryProxy(plain()), "shop"), zone="a")
    return prefixed(labelled(filtered(union(shop, plain())), region="eu"), "all")


TestNested = conformance(
    nested, gives_originals=False, constant_labels={"zone": "a", "region": "eu"}, inner_prefix="shop_"
)


class _Watching:
    """An observer of everything, which does nothing."""

    subject = "plugin 'watching'"
    implements = OBSERVERS

    def call(self, hook: str, /, **arguments: object) -> None: ...


def observed(prefix: str | None = None) -> Registry:
    """Return the layer through which plugins observe, with an observer of each kind."""
    return ObservedRegistry(plain(prefix), (_Watching(),), ())


TestObserved = conformance(observed, observed)
