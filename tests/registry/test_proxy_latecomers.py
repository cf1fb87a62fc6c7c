"""Metrics that are registered while the registry behind the proxy changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.exceptions import ConflictError
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, Registry
from tests.registry.conftest import Custom, Plain, Replaced


def test_a_metric_that_is_defined_while_collectors_move_is_not_lost(
    proxy: CollectorRegistryProxy, caplog: pytest.LogCaptureFixture
) -> None:
    late: list[Counter] = []

    class Slow(Plain):
        def register(self, collector: Collector) -> None:
            super().register(collector)
            if not late:
                late.append(Counter("late_total", "Late.", registry=proxy))

    Counter("hits_total", "Hits.", registry=proxy)
    proxy.set_registry(Slow())
    late[0].inc()
    assert generate_metrics(proxy).endswith("\nlate_total 1.0\n")
    assert caplog.records == []


def test_a_metric_that_reaches_a_registry_after_it_was_replaced_is_not_lost() -> None:
    chosen = CollectorRegistry()
    former = Replaced(chosen)
    hits = Counter("hits_total", "Hits.", registry=former.proxy)
    assert list(chosen) == [hits]
    assert former.held == []


def test_after_a_latecomer_has_moved_other_threads_can_change_the_registry(together: Callable[..., None]) -> None:
    last = CollectorRegistry()
    moving = Replaced(CollectorRegistry()).proxy
    hits = Counter("hits_total", "Hits.", registry=moving)
    together(lambda: moving.set_registry(last))
    assert list(last) == [hits]


def test_a_metric_that_is_defined_again_while_it_moves_still_shares_its_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    again: list[Counter] = []

    class Redefining(CollectorRegistry):
        """A metric is defined again just after the old registry unregistered it."""

        __slots__ = ()

        def unregister(self, collector: Collector, /) -> None:
            super().unregister(collector)
            if not again:
                again.append(Counter("hits_total", "Hits.", registry=moving))

    moving = CollectorRegistryProxy(Redefining())
    first = Counter("hits_total", "Hits.", registry=moving)
    moving.set_registry(CollectorRegistry())
    first.inc()
    again[0].inc()
    assert generate_metrics(moving).endswith("\nhits_total 2.0\n")
    assert caplog.records == []


class Observed(CollectorRegistry):
    """Calls `happens` in the first `collect()` after it became the registry in use.

    At that moment a metric that was defined during the move has not moved yet.
    """

    __slots__ = ("happens", "late", "proxy")

    def __init__(self, proxy: CollectorRegistryProxy, happens: Callable[[], object]) -> None:
        super().__init__()
        self.proxy = proxy
        self.happens: list[Callable[[], object]] = [happens]
        self.late: list[Counter] = []

    def register(self, collector: Collector, /) -> None:
        super().register(collector)
        if not self.late:
            self.late.append(Counter("late_total", "Late.", registry=self.proxy))

    def collect(self) -> Iterator[Collector]:
        if self.happens and self.proxy.registry is self:
            assert super().find("late_total") is None
            self.happens.pop()()
        return super().collect()


def test_a_moving_metric_is_found(proxy: CollectorRegistryProxy, caplog: pytest.LogCaptureFixture) -> None:
    again: list[Counter] = []
    found: list[object] = []

    def define_again() -> None:
        found.append(proxy.find("late"))
        again.append(Counter("late_total", "Late.", registry=proxy))

    Counter("hits_total", "Hits.", registry=proxy)
    chosen = Observed(proxy, define_again)
    proxy.set_registry(chosen)
    assert found == chosen.late
    for late in (*chosen.late, *again):
        late.inc()
    assert generate_metrics(proxy).endswith("\nlate_total 2.0\n")
    assert caplog.records == []


def test_the_names_of_a_moving_metric_are_taken(
    proxy: CollectorRegistryProxy, caplog: pytest.LogCaptureFixture
) -> None:
    def conflict() -> None:
        with pytest.raises(ConflictError, match="both expose the name 'late'"):
            Gauge("late", "Another.", registry=proxy)

    Counter("hits_total", "Hits.", registry=proxy)
    chosen = Observed(proxy, conflict)
    proxy.set_registry(chosen)
    assert chosen.happens == []
    assert proxy.find("late") is chosen.late[0]
    assert caplog.records == []


def test_a_registry_that_was_replaced_is_no_longer_asked(
    proxy: CollectorRegistryProxy, registry: CollectorRegistry
) -> None:
    proxy.set_registry(CollectorRegistry())
    Counter("hits_total", "Hits.", registry=registry)
    assert proxy.find("hits") is None
    hits = Gauge("hits", "Hits.", registry=proxy)
    assert list(proxy) == [hits]


class ReplacedMeanwhile(CollectorRegistry):
    """Another thread changes the registry during a call of this one, whose answer is then outdated."""

    __slots__ = ("chosen", "proxy")

    def __init__(self, chosen: Registry) -> None:
        super().__init__()
        self.chosen = chosen
        self.proxy = CollectorRegistryProxy(self)

    def register(self, collector: Collector, /) -> None:
        self.proxy.set_registry(self.chosen)
        raise ConflictError("with one that came too late", name="hits", incumbent=None)

    def find(self, name: str, /) -> Collector | None:
        self.proxy.set_registry(self.chosen)
        return Gauge(name, "It came too late.", registry=None)


def test_a_conflict_with_a_collector_of_the_replaced_registry_is_ignored() -> None:
    chosen = CollectorRegistry()
    custom = Custom()
    ReplacedMeanwhile(chosen).proxy.register(custom)
    assert list(chosen) == [custom]


def test_a_collector_of_the_replaced_registry_is_not_found() -> None:
    chosen = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=chosen)
    assert ReplacedMeanwhile(chosen).proxy.find("hits") is hits
