"""Registries that are broken on purpose: each is caught by the check that is meant for it, and for no other reason.

`Sound` keeps the whole contract. Every class below it breaks one promise, in the way in which real registries do, and
says which check has to fail and what the failure has to say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, cast

import pytest

from pytheus.definitions import Definition
from pytheus.exceptions import ConflictError, NotRegisteredError
from pytheus.metrics import Metric
from pytheus.registry import Collector, Registry
from pytheus.testing import RegistryConformance, run_conformance


def definition_of(collector: object) -> Definition | None:
    definition = getattr(collector, "definition", None)
    return definition if isinstance(definition, Definition) else None


def names_of(collector: object) -> tuple[str, ...]:
    definition = definition_of(collector)
    return () if definition is None else definition.occupied_names


class _Twin:
    """Tells what another collector tells, and is not it."""

    def __init__(self, original: Collector) -> None:
        self.name = getattr(original, "name", "twin")
        self.definition = definition_of(original)
        self.collect = original.collect


class Sound:
    """A registry that keeps the contract, written so that each part of it can be broken by itself."""

    check: ClassVar[str] = ""
    """The one check that fails."""

    message: ClassVar[str] = ""
    """What the failure says, among other things."""

    patience_seconds: ClassVar[float] = 30.0

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix
        self.lock = threading.RLock()
        self.held: list[Collector] = []
        self.closed = False

    def register(self, collector: Collector, /) -> None:
        with self.lock:
            if self.holder(collector) is not None:
                return
            incumbent = self.conflicting(collector)
            if incumbent is not None:
                self.refuse(collector, incumbent)
                return
            self.add(collector)

    def holder(self, collector: Collector) -> Collector | None:
        """What is held and is `collector`, or a handle on the same metric."""
        definition = definition_of(collector)
        for held in self.held:
            if held is collector or (definition is not None and definition_of(held) is definition):
                return held
        return None

    def conflicting(self, collector: Collector) -> Collector | None:
        names = set(names_of(collector))
        return next((held for held in self.held if not names.isdisjoint(names_of(held))), None)

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        raise ConflictError("taken", name=names_of(incumbent)[0], incumbent=incumbent)

    def add(self, collector: Collector) -> None:
        self.held = [*self.held, collector]

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            held = self.holder(collector)
            if held is None:
                raise NotRegisteredError("not held")
            self.remove(held)

    def remove(self, collector: Collector) -> None:
        self.held = [held for held in self.held if held is not collector]

    def collect(self) -> Iterable[Collector]:
        return list(self.held)

    def find(self, name: str, /) -> Collector | None:
        return next((held for held in self.held if name in names_of(held)), None)

    def close(self) -> None:
        self.closed = True


# What it is -----------------------------------------------------------------------------------------------------------


class NoPrefix(Sound):
    check = "test_it_satisfies_the_protocol"
    message = "'prefix' is missing"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        del self.prefix


class PrefixWithASpace(Sound):
    check = "test_it_satisfies_the_protocol"
    message = "'prefix' is 'my app'"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__("my app")


class RegisterByKeyword(Sound):
    check = "test_it_satisfies_the_protocol"
    message = "'register' does not take 1 argument(s)"

    def register(self, *, collector: Collector) -> None:  # type: ignore[override]  # the very defect
        super().register(collector)


class CollectOfOne(Sound):
    check = "test_it_satisfies_the_protocol"
    message = "'collect' does not take 0 argument(s)"

    def collect(self, name: str) -> Iterable[Collector]:  # type: ignore[override]  # the very defect
        return super().collect()


class OneListForAll(Sound):
    check = "test_registries_are_independent"
    message = "a new registry holds nothing of one made before: expected nothing but got kit_first"

    everything: ClassVar[list[Collector]] = []

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.held = self.everything

    def add(self, collector: Collector) -> None:
        self.held.append(collector)


# What it holds --------------------------------------------------------------------------------------------------------


class KeepsNothing(Sound):
    check = "test_it_holds_what_is_registered"
    message = "collect() gives the objects that were registered: expected kit_probe but got nothing"

    def add(self, collector: Collector) -> None:
        pass


class Copies(Sound):
    check = "test_it_holds_what_is_registered"
    message = "collect() gives the objects that were registered"

    def collect(self) -> Iterable[Collector]:
        return [_Twin(held) for held in self.held]


class GivesFamilies(Sound):
    check = "test_it_holds_what_is_registered"
    message = "collect() gives the objects that were registered"

    def collect(self) -> Iterable[Collector]:
        return [cast(Collector, family) for held in self.held for family in held.collect()]


class GivesNone(Sound):
    """`collect()` was written to update something, and gives nothing back."""

    check = "test_registries_are_independent"
    message = "collect() gives an iterable of the collectors held: raised TypeError"

    def collect(self) -> Iterable[Collector]:
        return None  # type: ignore[return-value]  # the very defect


class Drains(Sound):
    check = "test_collect_is_repeatable"
    message = "each call of collect() gives all that is held: expected kit_probe but got nothing"

    def collect(self) -> Iterable[Collector]:
        given, self.held = self.held, []
        return given


class SortsByName(Sound):
    check = "test_collect_keeps_the_order_of_registration"
    message = "collect() keeps the order of registration: expected kit_c, kit_a, kit_d, kit_b but got kit_a"

    def collect(self) -> Iterable[Collector]:
        return sorted(self.held, key=lambda held: str(getattr(held, "probe", None) or getattr(held, "name", "")))


class LastFirst(Sound):
    check = "test_collect_keeps_the_order_of_registration"
    message = "but got kit_b, kit_d, kit_a, kit_c"

    def collect(self) -> Iterable[Collector]:
        return list(reversed(self.held))


class OneIteratorForAll(Sound):
    """An iterator that rewinds itself, of which there is one."""

    check = "test_two_iterations_are_independent"
    message = "each call of collect() gives an iterable of its own"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.rest: list[Collector] = []

    def collect(self) -> Iterable[Collector]:
        self.rest = list(self.held)
        return self

    def __iter__(self) -> Iterator[Collector]:
        return self

    def __next__(self) -> Collector:
        if not self.rest:
            raise StopIteration
        return self.rest.pop(0)


class GivesItsOwnList(Sound):
    check = "test_what_collect_gives_belongs_to_the_caller"
    message = "what collect() gives is the caller's, who may change it: expected kit_probe but got nothing"

    def collect(self) -> Iterable[Collector]:
        return self.held


class CollectsCollectors(Sound):
    check = "test_collect_does_not_collect_the_collectors"
    message = "collect() gives the collectors, and does not call their collect(): it called one"

    def collect(self) -> Iterable[Collector]:
        for held in self.held:
            list(held.collect())
        return list(self.held)


class WantsAttributes(Sound):
    check = "test_nothing_but_collect_is_asked_of_a_collector"
    message = "register(collector) takes any object with a method collect(): raised AttributeError"

    def add(self, collector: Collector) -> None:
        collector.__dict__ if definition_of(collector) is None else None  # reads it, and no more
        super().add(collector)


class DropsFalsyCollectors(Sound):
    check = "test_a_falsy_collector_is_held"
    message = "a collector whose length is 0 is a collector: expected kit_falsy but got nothing"

    def add(self, collector: Collector) -> None:
        if collector:  # type: ignore[truthy-bool]  # the very defect
            super().add(collector)


class KeepsASet(Sound):
    check = "test_an_unhashable_collector_is_held"
    message = "register(collector) takes any object with a method collect(): raised TypeError"

    def add(self, collector: Collector) -> None:
        hash(collector)
        super().add(collector)


class RegistersByEquality(Sound):
    check = "test_collectors_are_told_apart_by_identity"
    message = "collectors are told apart by identity, not by equality: expected kit_a, kit_b but got kit_a"

    def add(self, collector: Collector) -> None:
        if collector not in self.held:
            super().add(collector)


class RegistersTwice(Sound):
    check = "test_registering_twice_changes_nothing"
    message = "registering what is held already changes nothing: expected kit_probe but got kit_probe, kit_probe"

    def register(self, collector: Collector, /) -> None:
        with self.lock:
            if definition_of(collector) is None:
                self.add(collector)
            else:
                super().register(collector)


class RefusesASecondTime(Sound):
    check = "test_registering_twice_changes_nothing"
    message = "registering what is held already changes nothing: raised ConflictError"

    def register(self, collector: Collector, /) -> None:
        with self.lock:
            if self.holder(collector) is collector:
                raise ConflictError("held already", name="", incumbent=collector)
            super().register(collector)


# Unregistering --------------------------------------------------------------------------------------------------------


class UnregistersNothing(Sound):
    check = "test_unregister_lets_go"
    message = "unregister lets go of one collector, and of no other: expected kit_a, kit_c but got kit_a, kit_b, kit_c"

    def remove(self, collector: Collector) -> None:
        pass


class UnregistersTheLast(Sound):
    check = "test_unregister_lets_go"
    message = "expected kit_a, kit_c but got kit_a, kit_b"

    def remove(self, collector: Collector) -> None:
        self.held = self.held[:-1]


class UnregistersByEquality(Sound):
    check = "test_unregister_goes_by_identity"
    message = "unregister goes by identity, not by equality: expected kit_a but got kit_b"

    def remove(self, collector: Collector) -> None:
        held = list(self.held)
        held.remove(collector)
        self.held = held


class IgnoresUnknown(Sound):
    check = "test_an_unknown_collector_is_not_unregistered"
    message = "unregister of what is not held raises NotRegisteredError: it raised nothing"

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            # What was refused it knows, for the check of that is another one.
            if self.holder(collector) is not None or self.conflicting(collector) is not None:
                super().unregister(collector)


class RaisesValueError(Sound):
    check = "test_an_unknown_collector_is_not_unregistered"
    message = "unregister of what is not held raises NotRegisteredError: raised ValueError"

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            if self.holder(collector) is None and not names_of(collector):
                raise ValueError("list.remove(x): x not in list")
            super().unregister(collector)


class ForgetsThatItLetGo(Sound):
    check = "test_unregister_twice_is_refused"
    message = "a second unregister of a collector raises NotRegisteredError: it raised nothing"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.known: set[int] = set()

    def add(self, collector: Collector) -> None:
        self.known.add(id(collector))
        super().add(collector)

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            if self.holder(collector) is not None or id(collector) not in self.known:
                super().unregister(collector)


class TakesNothingBack(Sound):
    check = "test_what_was_unregistered_can_come_back"
    message = "what was unregistered can be registered again: raised RuntimeError"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.gone: set[Definition] = set()

    def add(self, collector: Collector) -> None:
        if definition_of(collector) in self.gone:
            raise RuntimeError("it was here before")
        super().add(collector)

    def remove(self, collector: Collector) -> None:
        definition = definition_of(collector)
        if definition is not None:
            self.gone.add(definition)
        super().remove(collector)


class KeepsAHistory(Sound):
    check = "test_no_reference_is_left_after_unregister"
    message = "unregister keeps no reference to the collector: it is still alive"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.history: list[Collector] = []

    def remove(self, collector: Collector) -> None:
        self.history.append(collector)
        super().remove(collector)


# Conflicts ------------------------------------------------------------------------------------------------------------


class HoldsBoth(Sound):
    check = "test_a_conflicting_metric_is_not_held"
    message = "register raises ConflictError for a metric whose name is taken: it raised nothing"

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        self.add(collector)


class TheLastWins(Sound):
    check = "test_a_conflicting_metric_is_not_held"
    message = "of two metrics that expose the same name, the first one stays and the second is not held"

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        self.remove(incumbent)
        self.add(collector)
        super().refuse(collector, incumbent)


class RaisesKeyError(Sound):
    check = "test_a_conflicting_metric_is_not_held"
    message = "on_conflict = 'raise': a metric whose name is taken is refused so: raised KeyError"

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        raise KeyError("taken")


class SeesNoSuffixOfANewcomer(Sound):
    check = "test_a_metric_that_produces_a_taken_name_is_not_held"
    message = "register raises ConflictError for a metric whose name is taken: it raised nothing"

    def conflicting(self, collector: Collector) -> Collector | None:
        name = getattr(collector, "name", None)
        return next((held for held in self.held if name in names_of(held)), None)


class SeesNoSuffixOfWhatIsHeld(Sound):
    check = "test_a_name_that_another_produces_is_not_held"
    message = "register raises ConflictError for a metric whose name is taken: it raised nothing"

    def conflicting(self, collector: Collector) -> Collector | None:
        names = names_of(collector)
        return next((held for held in self.held if getattr(held, "name", None) in names), None)


class BlamesTheNewcomer(Sound):
    check = "test_the_error_names_the_incumbent"
    message = "ConflictError.incumbent is the collector that holds the name"

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        super().refuse(collector, _Twin(incumbent))


class UnregistersByName(Sound):
    check = "test_a_refused_metric_does_not_remove_the_first"
    message = "unregistering a metric that was refused never removes the one that holds its name: expected"

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            held = self.holder(collector) or self.conflicting(collector)
            if held is None:
                raise NotRegisteredError("not held")
            self.remove(held)


class ClaimsAsItGoes(Sound):
    """It claims name after name, and keeps those that it has when one is taken."""

    check = "test_a_refused_metric_occupies_no_name"
    message = "a refusal changes nothing: the free names of the refused metric stay free: raised ConflictError"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.claims: dict[str, Collector] = {}

    def conflicting(self, collector: Collector) -> Collector | None:
        found = super().conflicting(collector)
        if found is not None:
            return found
        return next((self.claims[name] for name in names_of(collector) if name in self.claims), None)

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        taken = names_of(incumbent)
        for name in names_of(collector):
            if name not in taken:
                self.claims[name] = incumbent
        super().refuse(collector, incumbent)


class NeverFreesNames(Sound):
    check = "test_unregistering_frees_the_names"
    message = "unregister frees every name that the collector occupied: raised ConflictError"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.claims: dict[str, Definition | None] = {}

    def conflicting(self, collector: Collector) -> Collector | None:
        definition = definition_of(collector)
        if any(self.claims.get(name, definition) is not definition for name in names_of(collector)):
            return super().conflicting(collector) or collector
        return None

    def add(self, collector: Collector) -> None:
        self.claims |= dict.fromkeys(names_of(collector), definition_of(collector))
        super().add(collector)


class RemembersTheRefused(Sound):
    check = "test_no_reference_is_left_to_a_refused_metric"
    message = "a refused metric is not kept: it is still alive"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.refused: list[Collector] = []

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        self.refused.append(collector)
        super().refuse(collector, incumbent)


class CannotShare(Sound):
    """A metric that is defined twice is refused, and does not learn who is in the way."""

    check = "test_the_same_metric_defined_twice_shares_its_values"
    message = "the same metric can be defined twice, and then shares its values: raised ConflictError"

    def find(self, name: str, /) -> Collector | None:
        found = super().find(name)
        return None if isinstance(found, Metric) and found.label_names else found

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        if isinstance(collector, Metric) and collector.label_names:
            raise ConflictError("defined twice", name=collector.name, incumbent=None)
        super().refuse(collector, incumbent)


# Finding --------------------------------------------------------------------------------------------------------------


class FindsOwnNamesOnly(Sound):
    check = "test_find_gives_who_occupies_a_name"
    message = "find(name) gives the collector that occupies the name"

    def find(self, name: str, /) -> Collector | None:
        return next((held for held in self.held if getattr(held, "name", None) == name), None)


class FindsByBeginning(Sound):
    check = "test_find_gives_none_for_a_free_name"
    message = "find(name) gives None for a name that is free: got <Gauge kit_depth>"

    def find(self, name: str, /) -> Collector | None:
        return next((held for held in self.held if any(own.startswith(name) for own in names_of(held))), None)


class FindsWhatIsGone(Sound):
    check = "test_find_forgets_what_was_unregistered"
    message = "find(name) does not give what was unregistered: got <Gauge kit_depth>"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.names: dict[str, Metric] = {}

    def add(self, collector: Collector) -> None:
        if isinstance(collector, Metric) and collector.type_ == "gauge":
            self.names |= dict.fromkeys(collector.definition.occupied_names, collector)
        super().add(collector)

    def find(self, name: str, /) -> Collector | None:
        return self.names.get(name) or super().find(name)


# Scrapes --------------------------------------------------------------------------------------------------------------


class IteratesOverItsDict(Sound):
    check = "test_an_iteration_is_a_snapshot"
    message = "neither break nor show in: raised RuntimeError: dictionary changed size during iteration"

    live: dict[int, Collector]

    def collect(self) -> Iterable[Collector]:
        self.live = {id(held): held for held in self.held}
        return iter(self.live.values())

    def add(self, collector: Collector) -> None:
        super().add(collector)
        if "live" in vars(self):
            self.live[id(collector)] = collector

    def remove(self, collector: Collector) -> None:
        super().remove(collector)
        if "live" in vars(self):
            self.live.pop(id(collector), None)


class IteratesLazily(Sound):
    check = "test_an_iteration_is_a_snapshot"
    message = "which changes during its iteration neither break nor show in: expected kit_a, kit_b, kit_c but got"

    def collect(self) -> Iterable[Collector]:
        index = 0
        while index < min(len(self.held), 10):
            yield self.held[index]
            index += 1


class LocksWhileIterating(Sound):
    check = "test_an_iteration_is_a_snapshot"
    message = "is a lock held meanwhile?"
    patience_seconds = 3.0

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.plain = threading.Lock()

    def collect(self) -> Iterable[Collector]:
        with self.plain:
            yield from list(self.held)

    def add(self, collector: Collector) -> None:
        with self.plain:
            super().add(collector)


class CollectsUnderALock(Sound):
    check = "test_a_collector_may_create_metrics_while_collected"
    message = "is a lock held meanwhile?"
    patience_seconds = 3.0

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.plain = threading.Lock()

    def register(self, collector: Collector, /) -> None:
        with self.plain:
            if "creating" in repr(collector):
                list(collector.collect())
        super().register(collector)


class TriesACollectorOut(Sound):
    check = "test_a_raising_collector_costs_only_itself"
    message = "a collector that raises costs only itself: raised ConnectionError"

    def add(self, collector: Collector) -> None:
        super().add(collector)
        try:
            list(collector.collect())
        except ConnectionError:
            self.remove(collector)
            raise
        finally:
            if hasattr(collector, "collected"):
                vars(collector)["collected"] = 0


class StartsAtZero(Sound):
    check = "test_values_are_kept"
    message = "a metric keeps what it counted before it was registered: expected 2 but got 0"

    def add(self, collector: Collector) -> None:
        if isinstance(collector, Metric):
            collector.clear()
        super().add(collector)


class KeepsTheFirstNumbers(Sound):
    """It takes the families of custom collectors at the first scrape for those of all."""

    check = "test_a_generator_collector_is_collected_anew_each_time"
    message = "a collector is collected anew at each scrape: expected 2 but got 1"

    def add(self, collector: Collector) -> None:
        if type(collector).__name__ == "Probe":
            original, cached = collector.collect, list[object]()

            def collect() -> Iterable[object]:
                if not cached:
                    cached.extend(original())
                return iter(cached)

            vars(collector)["collect"] = collect
        super().add(collector)


class PrefixWithAnUnderscore(Sound):
    check = "test_a_prefix_applies_once"
    message = "the prefix stands once before the name of each family: 'prefix' is 'kitchen_'"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix + "_" if prefix else prefix)


class PrefixByDefault(Sound):
    check = "test_an_empty_prefix_is_none"
    message = "with the prefix None nothing stands before a name: 'prefix' is 'app'"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix or "app")


# Threads --------------------------------------------------------------------------------------------------------------


class AddsInTwoSteps(Sound):
    check = "test_threads_lose_nothing"
    message = "registrations in many threads at once lose nothing"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.lock = cast(threading.RLock, _NoLock())

    def add(self, collector: Collector) -> None:
        held = self.held
        time.sleep(0.0005)
        self.held = [*held, collector]


class LooksThenAdds(Sound):
    check = "test_one_of_several_threads_gets_a_name"
    message = "of conflicting metrics that several threads register at once, one is held"

    def register(self, collector: Collector, /) -> None:
        incumbent = self.conflicting(collector)
        if incumbent is not None and self.holder(collector) is None:
            self.refuse(collector, incumbent)
        time.sleep(0.001)
        with self.lock:
            if self.holder(collector) is None:
                self.add(collector)


class _NoLock:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


# Closing, and moving --------------------------------------------------------------------------------------------------


class ClosesOnce(Sound):
    check = "test_close_may_be_called_twice"
    message = "close() may be called twice: raised OSError"

    def close(self) -> None:
        if self.closed:
            raise OSError("closed already")
        super().close()


class ForgetsWhenClosed(Sound):
    check = "test_collectors_stay_when_it_is_closed"
    message = "after close() collectors stay registered and metrics go on counting: expected"

    def close(self) -> None:
        self.held = []


class DropsDifficultLabels(Sound):
    """It drops series whose labels it cannot write."""

    check = "test_what_is_exposed_can_be_parsed_back"
    message = "what is exposed can be parsed back: kit_hits_total{path="

    def add(self, collector: Collector) -> None:
        if isinstance(collector, Metric):
            samples = [sample for family in collector.collect() for sample in family.samples]
            if any('"' in value for sample in samples for value in sample.labels.values()):
                collector.clear()
        super().add(collector)


class RefusesToLetGoTwice(Sound):
    """It cannot take back what it has given up during a move."""

    check = "test_all_collectors_move_to_it_or_none"
    message = "REGISTRY.set_registry(...) moves all collectors or none: expected"

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        self.frozen = getattr(collector, "name", "") == "kit_b"
        super().refuse(collector, incumbent)

    def remove(self, collector: Collector) -> None:
        if not getattr(self, "frozen", False):
            super().remove(collector)


class LosesValuesInAMove(Sound):
    check = "test_collectors_move_to_it_and_away_again"
    message = "REGISTRY.set_registry(...) moves every collector, with its values"

    def remove(self, collector: Collector) -> None:
        if isinstance(collector, Metric) and len(self.held) == 2 and self.held[0] is collector:
            kinds = {type(held).__name__ for held in self.held}
            if "Probe" in kinds:
                return
        super().remove(collector)


def every_broken_one(kind: type[Sound] = Sound) -> Iterator[type[Sound]]:
    for broken in kind.__subclasses__():
        yield broken
        yield from every_broken_one(broken)


def conformance(kind: type[Sound], name: str) -> type[RegistryConformance]:
    class Conformance(RegistryConformance):
        patience_seconds = kind.patience_seconds

        def make_registry(self) -> Registry:
            return kind()

        def make_prefixed_registry(self, prefix: str | None) -> Registry:
            return kind(prefix)

    Conformance.__name__ = name
    return Conformance


def failures(checked: type[RegistryConformance]) -> dict[str, str]:
    return {outcome.check: outcome.message for outcome in run_conformance(checked) if outcome.status == "failed"}


def test_the_sound_one_passes_every_check_that_needs_no_distribution() -> None:
    outcomes = list(run_conformance(conformance(Sound, "SoundConformance")))
    assert [outcome for outcome in outcomes if outcome.status == "failed"] == []
    skipped = [outcome.message for outcome in outcomes if outcome.status == "skipped"]
    assert [message for message in skipped if "plugin_name" not in message] == [
        "keeps_collectors = True",
        "takes_registrations = True",
    ]


@pytest.mark.parametrize("broken", list(every_broken_one()), ids=lambda broken: broken.__name__)
def test_it_is_caught_by_the_check_meant_for_it_and_no_other(broken: type[Sound]) -> None:
    found = failures(conformance(broken, f"{broken.__name__}Conformance"))
    assert list(found) == [broken.check], found
    assert broken.message in found[broken.check]


def test_there_are_enough_of_them() -> None:
    assert len(list(every_broken_one())) >= 20


def test_every_check_of_a_registry_catches_one() -> None:
    outcomes = run_conformance(conformance(Sound, "SoundConformance"))
    checks = {outcome.check for outcome in outcomes if outcome.status == "passed"}
    assert checks - {broken.check for broken in every_broken_one()} == set()


@pytest.mark.parametrize("make", [lambda: Sound, lambda: None, lambda: "default"], ids=["class", "None", "name"])
def test_what_is_no_registry_at_all_fails_one_check(make: Callable[[], Registry]) -> None:
    class Conformance(RegistryConformance):
        def make_registry(self) -> Registry:
            return make()

    assert list(failures(Conformance)) == ["test_it_satisfies_the_protocol"]
