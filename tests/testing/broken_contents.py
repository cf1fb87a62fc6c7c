"""Registries that break what the contract says of members, of registration and of what is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, cast

from pytheus.exceptions import ConflictError
from pytheus.registry import Collector
from tests.testing.sound_registry import Sound, Twin, definition_of

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
    message = "collect() returns the objects that were registered: expected kit_probe but got nothing"

    def add(self, collector: Collector) -> None:
        pass


class Copies(Sound):
    check = "test_it_holds_what_is_registered"
    message = "collect() returns the objects that were registered"

    def collect(self) -> Iterable[Collector]:
        return [Twin(held) for held in self.held]


class GivesFamilies(Sound):
    check = "test_it_holds_what_is_registered"
    message = "collect() returns the objects that were registered"

    def collect(self) -> Iterable[Collector]:
        return [cast(Collector, family) for held in self.held for family in held.collect()]


class GivesNone(Sound):
    """`collect()` was written to update something, and gives nothing back."""

    check = "test_registries_are_independent"
    message = "collect() returns an iterable of the registered collectors: raised TypeError"

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

    def collect(self) -> Iterable[Collector]:
        self.remembered = list(self.held)
        return self

    def __iter__(self) -> Iterator[Collector]:
        return self

    def __next__(self) -> Collector:
        if not self.remembered:
            raise StopIteration
        return self.remembered.pop(0)


class GivesItsOwnList(Sound):
    check = "test_what_collect_gives_belongs_to_the_caller"
    message = "the result of collect() belongs to the caller, who may change it: expected kit_probe but got nothing"

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
    message = "registering a collector again changes nothing: expected kit_probe but got kit_probe, kit_probe"

    def register(self, collector: Collector, /) -> None:
        with self.lock:
            if definition_of(collector) is None:
                self.add(collector)
            else:
                super().register(collector)


class RefusesASecondTime(Sound):
    check = "test_registering_twice_changes_nothing"
    message = "registering a collector again changes nothing: raised ConflictError"

    def register(self, collector: Collector, /) -> None:
        with self.lock:
            if self.holder(collector) is collector:
                raise ConflictError("held already", name="", incumbent=collector)
            super().register(collector)
