"""A registry compared with a simple model: any sequence of definitions, unregistrations and conflicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytheus import Counter, Gauge, Histogram, Info, Summary, generate_metrics
from pytheus.exceptions import ConflictError, NotRegisteredError
from pytheus.metrics import Metric
from pytheus.registry import Collector, CollectorRegistry
from tests.registry.conftest import Custom

pytestmark = [pytest.mark.property, pytest.mark.filterwarnings("ignore:counter .* has no suffix")]

# The suffixes of the samples that any format shows, by type; written down again here, not imported.
_PRODUCED: dict[str, tuple[str, ...]] = {
    "counter": ("", "_total", "_created"),
    "gauge": ("",),
    "histogram": ("", "_bucket", "_sum", "_count", "_created"),
    "summary": ("", "_sum", "_count", "_created"),
    "info": ("", "_info"),
}
_MAKERS: dict[str, Callable[..., Metric]] = {
    "counter": Counter,
    "gauge": Gauge,
    "histogram": Histogram,
    "summary": Summary,
    "info": Info,
}
_NAMES = st.builds(
    lambda stem, suffix: stem + suffix,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "", "_total", "_created", "_sum", "_count", "_bucket", "_info"]),
)
_TYPES = st.sampled_from(sorted(_PRODUCED))
_LABELS = st.sampled_from([[], ["x"]])


def _occupied(type_: str, name: str) -> set[str]:
    base = name.removesuffix({"counter": "_total", "info": "_info"}.get(type_, ""))
    return {name, *(base + suffix for suffix in _PRODUCED[type_])}


class Held:
    """One entry of the model: the registered collector, and every handle that shares its values."""

    def __init__(self, collector: Collector, names: set[str], shape: tuple[str, str, tuple[str, ...]] | None) -> None:
        self.handles: list[Collector] = [collector]
        self.names = names
        self.shape = shape


class RegistryMachine(RuleBasedStateMachine):
    """The model of a registry is a list."""

    policy: Literal["raise", "warn"] = "raise"

    @initialize()
    def begin(self) -> None:
        self.registry = CollectorRegistry(on_conflict=self.policy)
        self.held: list[Held] = []
        self.strangers: list[Collector] = []
        self.customs = 0

    def _conflicting(self, names: set[str]) -> list[Held]:
        return [held for held in self.held if held.names & names]

    @rule(type_=_TYPES, name=_NAMES, labels=_LABELS)
    def define(self, type_: str, name: str, labels: list[str]) -> None:
        names = _occupied(type_, name)
        shape = (type_, name, tuple(labels))
        conflicting = self._conflicting(names)
        made: Metric | None = None
        try:
            made = _MAKERS[type_](name, "M.", labels, registry=self.registry)
        except ConflictError as error:
            assert self.policy == "raise"
            assert [held.shape for held in conflicting] != [shape]
            assert any(error.incumbent is held.handles[0] for held in conflicting)
            assert error.name in names
            return
        if not conflicting:
            self.held.append(Held(made, names, shape))
        elif [held.shape for held in conflicting] == [shape]:
            conflicting[0].handles.append(made)
            assert made.definition is conflicting[0].handles[0].definition  # type: ignore[attr-defined]  # a metric, by its shape
        else:
            assert self.policy == "warn"
            self.strangers.append(made)

    @rule(type_=_TYPES, name=_NAMES, labels=_LABELS)
    def register_another(self, type_: str, name: str, labels: list[str]) -> None:
        metric = _MAKERS[type_](name, "M.", labels, registry=None)
        names = _occupied(type_, name)
        if self._conflicting(names):
            self.strangers.append(metric)
            if self.policy == "raise":
                with pytest.raises(ConflictError):
                    self.registry.register(metric)
            else:
                self.registry.register(metric)
        else:
            self.registry.register(metric)
            self.held.append(Held(metric, names, (type_, name, tuple(labels))))

    @rule()
    def register_custom(self) -> None:
        self.customs += 1
        custom = Custom(f"custom_{self.customs}")
        self.registry.register(custom)
        self.held.append(Held(custom, set(), None))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def register_again(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.held))
        self.registry.register(data.draw(st.sampled_from(held.handles)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def unregister(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.held))
        self.registry.unregister(data.draw(st.sampled_from(held.handles)))
        self.held.remove(held)
        # After that, each of its handles would be a collector of its own again.
        self.strangers += held.handles

    @precondition(lambda self: self.strangers)
    @rule(data=st.data())
    def unregister_a_stranger(self, data: st.DataObject) -> None:
        stranger = data.draw(st.sampled_from(self.strangers))
        with pytest.raises(NotRegisteredError):
            self.registry.unregister(stranger)

    @rule()
    def clear(self) -> None:
        for held in self.held:
            self.strangers += held.handles
        self.registry.clear()
        self.held.clear()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        collectors = list(self.registry.collect())
        assert len(collectors) == len(self.registry) == len(self.held)
        assert all(found is held.handles[0] for found, held in zip(collectors, self.held, strict=True))

    @invariant()
    def knows_its_members(self) -> None:
        for held in self.held:
            assert all(handle in self.registry for handle in held.handles)
            assert all(name in self.registry for name in held.names)
            assert all(self.registry.find(name) is held.handles[0] for name in held.names)
        assert not any(stranger in self.registry for stranger in self.strangers)

    @invariant()
    def exposes_every_member_and_nothing_else(self) -> None:
        text = generate_metrics(self.registry, strict=True)
        assert text.count("# TYPE ") == len(self.held)


class WarningRegistryMachine(RegistryMachine):
    policy: Literal["raise", "warn"] = "warn"


TestRaising = RegistryMachine.TestCase
TestRaising.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestWarning = WarningRegistryMachine.TestCase
TestWarning.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
