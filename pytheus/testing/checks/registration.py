"""Checks of the protocol, and that a registry holds collectors until they are unregistered."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

from pytheus.exceptions import NotARegistryError, NotRegisteredError, PytheusError
from pytheus.metrics.counter import Counter
from pytheus.registry.contract import Collector, Registry, check_registry
from pytheus.samples import Family
from pytheus.testing.checks.base import Declarations, Probe, check, promised

__all__ = ["RegistrationChecks"]


class _Falsy(Probe):
    def __len__(self) -> int:
        return 0


class _Equal(Probe):
    """A collector that is equal to every other object."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class _Unhashable(Probe):
    def __eq__(self, other: object) -> bool:
        return self is other


class _Bare:
    """An object with the protocol's one method and nothing else."""

    __slots__ = ()

    def collect(self) -> Iterator[Family | Collector]:
        yield from Probe("kit_bare").collect()


class RegistrationChecks(Declarations):
    """The protocol, identity and order, and unregistering."""

    @check()
    def test_it_satisfies_the_protocol(self) -> None:
        """Every member is there, with the right shape, on an object and not a class."""
        candidate = self.fresh()
        try:
            check_registry(candidate, "make_registry()")
        except NotARegistryError as error:
            raise AssertionError(f"a registry has the members of the protocol: {'; '.join(error.problems)}") from error

    @check("test_it_satisfies_the_protocol")
    def test_registries_are_independent(self) -> None:
        """A collector of one registry does not show in another."""
        first = self.fresh()
        with promised("register(collector) takes any object with a method collect()"):
            self.write_to(first).register(Probe("kit_first"))
        self.require_held(self.fresh(), [], "a new registry holds nothing of one made before")

    @check("test_registries_are_independent", needs=["kept"])
    def test_it_holds_what_is_registered(self) -> None:
        """`collect()` returns the registered objects themselves."""
        promise = "collect() returns the objects that were registered"
        for collector in (Probe("kit_probe"), Counter("kit_hits_total", "Hits.", registry=None)):
            registry = self.filled(collector)
            given = self.held(registry)
            if self.exposes and not given:
                name = getattr(collector, "probe", "kit_hits_total")
                raise AssertionError(
                    f"{promise}: expected {name} but got nothing; a registry that pushes its numbers and exposes none"
                    " declares exposes = False, and one that keeps nothing keeps_collectors = False"
                )
            self.require_same(given, [collector], promise)

    @check("test_registries_are_independent", needs=["kept nothing"])
    def test_it_keeps_nothing(self) -> None:
        """A registry that is declared to keep nothing takes everything, and gives nothing."""
        registry = self.filled(Probe("kit_probe"), Counter("kit_hits_total", "Hits.", registry=None))
        self.require_held(registry, [], "keeps_collectors = False means that collect() gives nothing")

    @check("test_it_holds_what_is_registered", needs=["unexposed"])
    def test_it_exposes_nothing(self) -> None:
        """A registry that is declared to expose nothing returns nothing from `collect()`."""
        registry = self.filled(Probe("kit_probe"), Counter("kit_hits_total", "Hits.", registry=None))
        with promised("collect() returns an iterable"):
            given = list(registry.collect())
        if given:
            raise AssertionError(f"exposes = False means that collect() returns nothing: it returned {given!r:.200}")

    @check("test_it_holds_what_is_registered", needs=["read only"])
    def test_it_refuses_changes(self) -> None:
        """A registry that is declared to be read only raises, and nothing has changed."""
        probe = Probe("kit_probe")
        registry = self.filled(probe)
        for change, subject in ((registry.register, Probe("kit_other")), (registry.unregister, probe)):
            try:
                change(subject)
            except PytheusError:
                pass
            else:
                raise AssertionError(
                    "takes_registrations = False means that register and unregister raise a PytheusError:"
                    f" {change.__name__} did not"
                )
        self.require_held(registry, [probe], "a refused change changes nothing")

    @check("test_it_holds_what_is_registered")
    def test_collect_is_repeatable(self) -> None:
        """Each call of `collect()` gives everything."""
        probe = Probe("kit_probe")
        registry = self.filled(probe)
        for _ in range(3):
            self.require_held(registry, [probe], "each call of collect() gives all that is held")

    @check("test_collect_is_repeatable")
    def test_collect_keeps_the_order_of_registration(self) -> None:
        """`collect()` gives collectors in the order in which they were registered."""
        probes = [Probe(f"kit_{letter}") for letter in "cadb"]
        self.require_held(self.filled(*probes), probes, "collect() keeps the order of registration")

    @check("test_collect_keeps_the_order_of_registration", "test_an_iteration_is_a_snapshot")
    def test_two_iterations_are_independent(self) -> None:
        """Two calls of `collect()` can be read in turns."""
        promise = "each call of collect() gives an iterable of its own"
        probes = [Probe("kit_a"), Probe("kit_b")]
        registry = self.filled(*probes)
        pairs: list[tuple[Collector, Collector]] = []

        def read() -> None:
            with promised(promise):
                pairs.extend(zip(self.listing(registry), self.listing(registry), strict=True))

        self.unless_it_hangs(read, promise)
        for side in (0, 1):
            self.require_same([pair[side] for pair in pairs], probes, promise)

    @check("test_collect_is_repeatable")
    def test_what_collect_gives_belongs_to_the_caller(self) -> None:
        """Changing the result of `collect()` changes nothing in the registry."""
        probe = Probe("kit_probe")
        registry = self.filled(probe)
        given = self.listing(registry)
        if isinstance(given, (list, dict, set)):
            given.clear()
        self.require_held(registry, [probe], "the result of collect() belongs to the caller, who may change it")

    @check("test_it_holds_what_is_registered")
    def test_collect_does_not_collect_the_collectors(self) -> None:
        """`collect()` gives the collectors and does not call them, which may block or fail."""
        probe = Probe("kit_probe")
        registry = self.filled(probe)
        list(self.listing(registry))
        if probe.collected:
            raise AssertionError("collect() gives the collectors, and does not call their collect(): it called one")

    @check("test_it_holds_what_is_registered")
    def test_nothing_but_collect_is_asked_of_a_collector(self) -> None:
        """A collector needs no name, no definition, no attributes."""
        bare = _Bare()
        if self.gives_originals:
            self.require_held(self.filled(bare), [bare], "a collector needs nothing but a method collect()")
        else:
            self.filled(bare)

    @check("test_it_holds_what_is_registered", needs=["originals"])
    def test_a_falsy_collector_is_held(self) -> None:
        """Emptiness is not absence."""
        probe = _Falsy("kit_falsy")
        self.require_held(self.filled(probe), [probe], "a collector whose length is 0 is a collector")

    @check("test_it_holds_what_is_registered", needs=["originals"])
    def test_an_unhashable_collector_is_held(self) -> None:
        """A collector need not be hashable."""
        probe = _Unhashable("kit_unhashable")
        self.require_held(self.filled(probe), [probe], "a collector need not be hashable")

    @check("test_collect_keeps_the_order_of_registration", "test_an_unhashable_collector_is_held", needs=["originals"])
    def test_collectors_are_told_apart_by_identity(self) -> None:
        """Two collectors that say they are equal are two."""
        probes = [_Equal("kit_a"), _Equal("kit_b")]
        self.require_held(self.filled(*probes), probes, "collectors are told apart by identity, not by equality")

    @check("test_collect_is_repeatable", needs=["writable"])
    def test_registering_twice_changes_nothing(self) -> None:
        """An object that is held already is held once."""
        for collector in (Probe("kit_probe"), Counter("kit_hits_total", "Hits.", registry=None)):
            registry = self.filled(collector)
            with promised("registering a collector again changes nothing"):
                registry.register(collector)
            self.require_held(registry, [collector], "registering a collector again changes nothing")

    @check("test_collect_keeps_the_order_of_registration", "test_collect_is_repeatable", needs=["writable"])
    def test_unregister_lets_go(self) -> None:
        """`collect()` returns all collectors but the unregistered one."""
        probes = [Probe(f"kit_{letter}") for letter in "abc"]
        registry = self.filled(*probes)
        self._unregister(registry, probes[1])
        self.require_held(registry, [probes[0], probes[2]], "unregister lets go of one collector, and of no other")

    def _unregister(self, registry: Registry, collector: Collector) -> None:
        with promised("unregister accepts a registered collector"):
            registry.unregister(collector)

    @check("test_unregister_lets_go", "test_collectors_are_told_apart_by_identity", needs=["originals"])
    def test_unregister_goes_by_identity(self) -> None:
        """Of two collectors that say they are equal, the one that is meant goes."""
        first, second = _Equal("kit_a"), _Equal("kit_b")
        registry = self.filled(first, second)
        self._unregister(registry, second)
        self.require_held(registry, [first], "unregister goes by identity, not by equality")

    @check("test_unregister_lets_go", needs=["refusals"])
    def test_an_unknown_collector_is_not_unregistered(self) -> None:
        """An unknown collector raises `NotRegisteredError`, and nothing changes."""
        probe = Probe("kit_probe")
        registry = self.filled(probe)
        self._require_refusal(
            registry, Probe("kit_unknown"), "unregister of an unknown collector raises NotRegisteredError"
        )
        self.require_held(registry, [probe], "a refused unregister changes nothing")

    @check("test_an_unknown_collector_is_not_unregistered", needs=["refusals"])
    def test_unregister_twice_is_refused(self) -> None:
        """An unregistered collector is unknown afterwards."""
        probe = Probe("kit_probe")
        registry = self.filled(probe)
        self._unregister(registry, probe)
        self._require_refusal(registry, probe, "a second unregister of a collector raises NotRegisteredError")

    def _require_refusal(self, registry: Registry, collector: Collector, promise: str) -> None:
        with promised(promise):
            try:
                registry.unregister(collector)
            except NotRegisteredError:
                return
        raise AssertionError(f"{promise}: it raised nothing")

    @check("test_unregister_lets_go", needs=["writable"])
    def test_what_was_unregistered_can_come_back(self) -> None:
        """A collector that is registered again is held again, as the last."""
        first, second = Counter("kit_a_total", "A.", registry=None), Counter("kit_b_total", "B.", registry=None)
        registry = self.filled(first, second)
        self._unregister(registry, first)
        with promised("an unregistered collector can be registered again"):
            registry.register(first)
        self.require_held(registry, [second, first], "a collector that is registered again comes last")

    @check("test_unregister_lets_go", needs=["writable"])
    def test_no_reference_is_left_after_unregister(self) -> None:
        """A collector that was unregistered can be freed."""
        probe = Probe("kit_probe")
        registry = self.filled(probe)
        self.held(registry)
        self._unregister(registry, probe)
        reference = weakref.ref(probe)
        del probe
        gc.collect()
        if reference() is not None:
            raise AssertionError("unregister keeps no reference to the collector: it is still alive")
