"""A machine that changes registries over one store, and scrapes between any two steps of each change.

A step is a call of the store or of its storage: a test store with `Interleaved` calls `between` before and after each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.definitions import Definition
from pytheus.exceptions import ConflictError
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistryProxy, FloatBuffer, NumberStorage, Registry
from pytheus.samples import Exemplar
from pytheus.shards import ShardedRegistry, ShardStore

Series = dict[str, float]
"""The samples of an exposition."""

_BASE = 1000.0
"""The number that another process has of each counter."""


def samples(registry: Registry) -> Series:
    lines = [line.rsplit(" ", 1) for line in generate_metrics(registry).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines if not name.startswith("pytheus_redis")}


class Steps:
    """Calls a function between any two steps, but not within itself."""

    def __init__(self) -> None:
        self._check: Callable[[], None] | None = None
        self.count = 0

    def between(self) -> None:
        check, self._check = self._check, None
        if check is not None:
            self.count += 1
            try:
                check()
            finally:
                self._check = check

    @contextmanager
    def calling(self, check: Callable[[], None]) -> Iterator[None]:
        self._check = check
        try:
            yield
        finally:
            self._check = None


class InterleavedStorage:
    """A storage with a scrape before and after each call."""

    def __init__(self, storage: NumberStorage, steps: Steps) -> None:
        self._storage = storage
        self._steps = steps

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    def buffer(self, labels: tuple[str, ...], *arguments: Any) -> FloatBuffer:
        self._steps.between()
        buffer = self._storage.buffer(labels, *arguments)
        self._steps.between()
        return buffer

    def release(self, labels: tuple[str, ...], /) -> None:
        self._steps.between()
        self._storage.release(labels)
        self._steps.between()

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        self._storage.set_info(labels, info)

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        self._storage.set_exemplar(labels, slot, exemplar)


def interleaved(store: ShardStore, steps: Steps) -> ShardStore:
    """`store`, with a call of `steps.between` before and after each call of it."""
    provide, publish, read = store.storage, store.publish, store.read

    def storage(definition: Definition, /) -> NumberStorage | None:
        steps.between()
        provided = provide(definition)
        steps.between()
        return None if provided is None else InterleavedStorage(provided, steps)

    def around(call: Callable[..., Any], *arguments: object, **named: object) -> Any:
        steps.between()
        result = call(*arguments, **named)
        steps.between()
        return result

    vars(store).update(storage=storage, publish=partial(around, publish), read=partial(around, read))
    return store


class Kind(NamedTuple):
    make: Callable[..., Metric]
    write: Callable[[Any, float], object]
    shown: Callable[[str, str, float], Series]


def _number(name: str, labels: str, value: float) -> Series:
    return {name + labels: value}


def _distribution(name: str, labels: str, value: float) -> Series:
    lead = labels[:-1] + "," if labels else "{"
    return {
        f'{name}_bucket{lead}le="1.0"}}': 0.0,
        f'{name}_bucket{lead}le="+Inf"}}': value / 2.0,
        f"{name}_sum{labels}": value,
        f"{name}_count{labels}": value / 2.0,
    }


KINDS = {
    "counter": Kind(partial(Counter, description="D."), lambda metric, by: metric.inc(by), _number),
    "gauge": Kind(partial(Gauge, description="D."), lambda metric, by: metric.inc(by), _number),
    # Each observation is 2.0, so that its sum says how many there were.
    "histogram": Kind(
        partial(Histogram, description="D.", buckets=(1,)),
        lambda metric, by: [metric.observe(2.0) for _ in range(int(by / 2))],
        _distribution,
    ),
}


class Held(NamedTuple):
    kind: str
    metric: Metric
    values: dict[str, float]
    """By the value of the label; "" without labels."""


Model = list[dict[str, Held]]
"""By registry, then by name."""


class InterleavingMachine(RuleBasedStateMachine):
    """Two registries of this process, one of another that changes nothing, and one that only scrapes."""

    publishes = False
    """Whether a store shows its numbers to others only after a scrape of its own process."""

    def make_store(self) -> ShardStore:
        """A store on the place that all stores of one machine share."""
        raise NotImplementedError

    def make_registry(self, steps: Steps | None = None) -> ShardedRegistry:
        """A registry over such a store, with scrapes between its steps if `steps` are given."""
        store = self.make_store()
        return ShardedRegistry(store if steps is None else interleaved(store, steps))

    @initialize()
    def begin(self) -> None:
        self.steps = Steps()
        self.registries = [self.make_registry(self.steps) for _ in range(2)]
        self.other = self.make_registry()
        self.watching = self.make_registry()
        for name in ("x", "y"):
            Counter(f"{name}_total", "D.", registry=self.other).inc(_BASE)
        list(self.other.collect())  # which publishes
        self.proxy = CollectorRegistryProxy(self.registries[0])
        self.model: Model = [{}, {}]
        self.expected: list[Series] = [self.shown(self.model)]

    def teardown(self) -> None:
        for registry in (*self.registries, self.other, self.watching):
            registry.close()

    # The model --------------------------------------------------------------------------------------------------------

    def shown(self, model: Model) -> Series:
        expected: Series = {"x_total": _BASE, "y_total": _BASE}
        for held_by_name in model:
            for name, held in held_by_name.items():
                for label, value in held.values.items():
                    labels = f'{{l="{label}"}}' if label else ""
                    for sample, number in KINDS[held.kind].shown(name, labels, value).items():
                        expected[sample] = expected.get(sample, 0.0) + number
        return expected

    def check(self) -> None:
        """Scrape every registry, and expect the state before the present change or after it."""
        registries: list[Registry] = [*self.registries, self.watching, self.proxy]
        if self.publishes:
            for publishing in self.registries:
                list(publishing.collect())
        for registry in registries:
            found = samples(registry)
            assert found in self.expected, (registry, found, self.expected)

    @contextmanager
    def changing(self) -> Iterator[Model]:
        """Within the block, a change to the model that it gives is under way."""
        after = [{name: held._replace(values=held.values.copy()) for name, held in each.items()} for each in self.model]
        yield after
        self.model = after
        self.expected = [self.shown(after)]

    def carry_out(self, after: Model, change: Callable[[], object]) -> None:
        """Carry out `change`, and scrape between its steps."""
        self.expected = [self.shown(self.model), self.shown(after)]
        with self.steps.calling(self.check):
            change()

    # Rules ------------------------------------------------------------------------------------------------------------

    def _free_names(self, at: int) -> list[tuple[str, str]]:
        held = self.model[at]
        return [(f"{name}_{kind}", kind) for name in "xy" for kind in KINDS if f"{name}_{kind}" not in held]

    def _definable(self, data: st.DataObject, at: int) -> tuple[str, Held]:
        name, kind = data.draw(st.sampled_from(self._free_names(at)))
        # A name is of one type and without labels in all processes, or not: a conflict is another matter.
        labels = [] if kind == "counter" else ["l"]
        metric = KINDS[kind].make(name, required_labels=labels, registry=None)
        values = data.draw(st.dictionaries(st.sampled_from("abc"), st.sampled_from([2.0, 4.0]), max_size=3))
        if not labels:
            values = {"": 2.0}
        for label, value in values.items():
            KINDS[kind].write(metric.labels(label) if label else metric, value)
        return name, Held(kind, metric, values)

    @precondition(lambda self: any(self._free_names(at) for at in (0, 1)))
    @rule(data=st.data())
    def register(self, data: st.DataObject) -> None:
        at = data.draw(st.sampled_from([at for at in (0, 1) if self._free_names(at)]))
        name, held = self._definable(data, at)
        with self.changing() as after:
            after[at][name] = held
            self.carry_out(after, lambda: self.registries[at].register(held.metric))

    def _held(self) -> list[tuple[int, str]]:
        return [(at, name) for at in (0, 1) for name in self.model[at]]

    @precondition(lambda self: self._held())
    @rule(data=st.data())
    def unregister(self, data: st.DataObject) -> None:
        at, name = data.draw(st.sampled_from(self._held()))
        metric = self.model[at][name].metric
        with self.changing() as after:
            del after[at][name]
            self.carry_out(after, lambda: self.registries[at].unregister(metric))

    @precondition(lambda self: self._held())
    @rule(data=st.data(), label=st.sampled_from("abc"))
    def write(self, data: st.DataObject, label: str) -> None:
        at, name = data.draw(st.sampled_from(self._held()))
        with self.changing() as after:
            held = after[at][name]
            labelled = bool(held.metric.label_names)
            key = label if labelled else ""
            fresh = deepcopy(after)
            fresh[at][name].values.setdefault(key, 0.0)
            held.values[key] = held.values.get(key, 0.0) + 2.0
            # A series begins with zero.
            self.expected = [self.shown(self.model), self.shown(fresh), self.shown(after)]
            with self.steps.calling(self.check):
                KINDS[held.kind].write(held.metric.labels(label) if labelled else held.metric, 2.0)

    @precondition(lambda self: any(self.model[at][name].kind != "counter" for at, name in self._held()))
    @rule(data=st.data(), label=st.sampled_from("abc"))
    def remove(self, data: st.DataObject, label: str) -> None:
        labelled = [(at, name) for at, name in self._held() if self.model[at][name].kind != "counter"]
        at, name = data.draw(st.sampled_from(labelled))
        with self.changing() as after:
            after[at][name].values.pop(label, None)
            self.carry_out(after, lambda: self.model[at][name].metric.remove(label))

    @rule(data=st.data(), after_reading=st.booleans())
    def change_during_a_scrape(self, data: st.DataObject, after_reading: bool) -> None:
        """A registration or removal just before or after a scrape has read the store."""
        at = data.draw(st.sampled_from([0, 1]))
        removable = list(self.model[at])
        with self.changing() as after:
            change: Callable[[], object]
            if not self._free_names(at) or (removable and after_reading):
                name = data.draw(st.sampled_from(removable))
                change = partial(self.registries[at].unregister, self.model[at][name].metric)
                del after[at][name]
            else:
                name, held = self._definable(data, at)
                change = partial(self.registries[at].register, held.metric)
                after[at][name] = held
            # The steps are: before and after `publish`, before and after `read`.
            waits = 3 if after_reading else 2
            done = False

            def step() -> None:
                nonlocal waits, done
                waits -= 1
                if waits == 0:
                    change()
                    done = True

            with self.steps.calling(step):
                found = samples(self.registries[at])
            assert done
            assert found in [self.shown(self.model), self.shown(after)], (found, self.shown(self.model))

    @precondition(lambda self: not self.publishes)
    @rule()
    def move(self) -> None:
        """All metrics move to the other registry, or none where a name is taken."""
        former = next(at for at in (0, 1) if self.proxy.registry is self.registries[at])
        chosen = 1 - former
        if self.model[former].keys() & self.model[chosen].keys():
            with self.steps.calling(self.check), pytest.raises(ConflictError):
                self.proxy.set_registry(self.registries[chosen])
            return
        with self.changing() as after:
            after[chosen] |= after[former]
            after[former] = {}
            self.carry_out(after, lambda: self.proxy.set_registry(self.registries[chosen]))

    @invariant()
    def every_scrape_shows_the_model(self) -> None:
        self.check()
