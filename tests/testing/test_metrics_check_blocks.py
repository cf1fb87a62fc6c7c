"""The check of a test's metrics sees registries whose block of `REGISTRY.use` has ended."""

from __future__ import annotations

import re
from typing import NoReturn

from pytheus import Gauge
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy
from pytheus.testing import MetricsCheck
from tests.testing.test_metrics_check import message


def test_the_metrics_of_a_block_count_as_they_are_at_its_end() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    used, other = CollectorRegistry(), CollectorRegistry()
    old = Gauge("a_ms", "A.", registry=used)
    untouched = Gauge("b_ms", "B.", registry=used)
    check = MetricsCheck(proxy)
    with proxy.use(used):
        pass
    check.check()
    with proxy.use(used), proxy.use(other):
        old.set(1)
        Gauge("c_ms", "C.", registry=proxy)
    with proxy.use(used):
        Gauge("d_ms", "D.", registry=proxy)
    assert set(re.findall(r"^  (\w+) \(", message(check), re.M)) == {"a_ms", "c_ms", "d_ms"}
    with proxy.use(used):
        untouched.set(1)
    assert "  b_ms (" in message(check)


def test_a_check_that_has_stopped_sees_no_block() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    check = MetricsCheck(proxy)
    other = MetricsCheck(proxy)
    check.stop()
    other.configure(registry=CollectorRegistry())
    with proxy.use(CollectorRegistry()):
        Gauge("a_ms", "A.", registry=proxy)
    check.check()
    other.check()


def test_the_same_metric_in_two_blocks_is_one_fault_and_grows_once() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    check = MetricsCheck(proxy)
    for _ in range(2):
        with proxy.use(CollectorRegistry()):
            waits = Gauge("a_ms", "A.", ["queue"], registry=proxy)
            for queue in "xyz":
                waits.labels(queue).set(1)
    check.configure(max_new_series=3, max_new_series_per_metric=None)
    assert message(check).splitlines()[0] == "1 fault of the metrics that were made or changed:"
    check.configure(max_new_series=2)
    assert "there are 3 new series, more than 2" in message(check)


class Broken(CollectorRegistry):
    """A registry that cannot return its collectors."""

    def registered_collectors(self) -> NoReturn:
        raise RuntimeError("no collectors")


def test_the_end_of_a_block_does_not_fail() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    check = MetricsCheck(proxy)
    with proxy.use(Broken()):
        pass
    check.check()
