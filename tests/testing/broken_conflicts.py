"""Registries that break what the contract says of removal, of conflicts and of lookup."""

from __future__ import annotations

from pytheus.definitions import Definition
from pytheus.exceptions import ConflictError, NotRegisteredError
from pytheus.metrics import Metric
from pytheus.registry import Collector
from tests.testing.sound_registry import Sound, Twin, definition_of, names_of

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
    message = "unregister of an unknown collector raises NotRegisteredError: it raised nothing"

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            # It knows refused collectors, because another check covers that.
            if self.holder(collector) is not None or self.conflicting(collector) is not None:
                super().unregister(collector)


class RaisesValueError(Sound):
    check = "test_an_unknown_collector_is_not_unregistered"
    message = "unregister of an unknown collector raises NotRegisteredError: raised ValueError"

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            if self.holder(collector) is None and not names_of(collector):
                raise ValueError("list.remove(x): x not in list")
            super().unregister(collector)


class ForgetsThatItLetGo(Sound):
    check = "test_unregister_twice_is_refused"
    message = "a second unregister of a collector raises NotRegisteredError: it raised nothing"

    def add(self, collector: Collector) -> None:
        self.known.add(id(collector))
        super().add(collector)

    def unregister(self, collector: Collector, /) -> None:
        with self.lock:
            if self.holder(collector) is not None or id(collector) not in self.known:
                super().unregister(collector)


class TakesNothingBack(Sound):
    check = "test_what_was_unregistered_can_come_back"
    message = "an unregistered collector can be registered again: raised RuntimeError"

    def add(self, collector: Collector) -> None:
        if definition_of(collector) in self.known:
            raise RuntimeError("it was here before")
        super().add(collector)

    def remove(self, collector: Collector) -> None:
        definition = definition_of(collector)
        if definition is not None:
            self.known.add(definition)
        super().remove(collector)


class KeepsAHistory(Sound):
    check = "test_no_reference_is_left_after_unregister"
    message = "unregister keeps no reference to the collector: it is still alive"

    def remove(self, collector: Collector) -> None:
        self.remembered.append(collector)
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
    message = "on_conflict = 'raise': a metric whose name is taken is refused that way: raised KeyError"

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
        super().refuse(collector, Twin(incumbent))


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
        self.occupied: dict[str, Definition | None] = {}

    def conflicting(self, collector: Collector) -> Collector | None:
        definition = definition_of(collector)
        if any(self.occupied.get(name, definition) is not definition for name in names_of(collector)):
            return super().conflicting(collector) or collector
        return None

    def add(self, collector: Collector) -> None:
        self.occupied |= dict.fromkeys(names_of(collector), definition_of(collector))
        super().add(collector)


class RemembersTheRefused(Sound):
    check = "test_no_reference_is_left_to_a_refused_metric"
    message = "a refused metric is not kept, and neither is the error of its refusal: it is still alive"

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        self.remembered.append(collector)
        super().refuse(collector, incumbent)


class RemembersTheError(Sound):
    check = "test_no_reference_is_left_to_a_refused_metric"
    message = "a refused metric is not kept, and neither is the error of its refusal: it is still alive"

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        try:
            super().refuse(collector, incumbent)
        except ConflictError as error:
            self.known.add(error)
            raise


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
    message = "find(name) does not return an unregistered collector: got <Gauge kit_depth>"

    def add(self, collector: Collector) -> None:
        if isinstance(collector, Metric) and collector.type_ == "gauge":
            self.claims |= dict.fromkeys(collector.definition.occupied_names, collector)
        super().add(collector)

    def find(self, name: str, /) -> Collector | None:
        return self.claims.get(name) or super().find(name)
