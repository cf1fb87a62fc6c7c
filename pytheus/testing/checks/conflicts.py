"""Checks that no two collectors expose the same name, and that a refusal changes nothing."""

from __future__ import annotations

import gc
from typing import Any

from pytheus.exceptions import ConflictError, NotRegisteredError
from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.metrics.histogram import Histogram
from pytheus.metrics.metric import Metric
from pytheus.registry.contract import Registry
from pytheus.testing.checks.base import Declarations, check, promised

__all__ = ["ConflictChecks"]

_FIRST = "of two metrics that expose the same name, the first one stays and the second is not held"


class ConflictChecks(Declarations):
    """Duplicates, suffixes in both orders, and the state after a refusal."""

    @check("test_registering_twice_changes_nothing", "test_collect_keeps_the_order_of_registration", needs=["writable"])
    def test_a_conflicting_metric_is_not_held(self) -> None:
        """A metric whose name is taken is refused as `on_conflict` declares, and the first one stays."""
        self._require_conflict(
            Counter("kit_hits_total", "Hits.", registry=None), Gauge("kit_hits_total", "Hits.", registry=None)
        )

    @check("test_a_conflicting_metric_is_not_held")
    def test_a_name_that_another_produces_is_not_held(self) -> None:
        """A metric whose name a registered histogram produces conflicts with it."""
        self._require_conflict(
            Histogram("kit_wait", "Wait.", registry=None), Gauge("kit_wait_count", "Waits.", registry=None)
        )

    @check("test_a_conflicting_metric_is_not_held")
    def test_a_metric_that_produces_a_taken_name_is_not_held(self) -> None:
        """A histogram that produces a registered metric's name conflicts with it."""
        self._require_conflict(
            Gauge("kit_wait_count", "Waits.", registry=None), Histogram("kit_wait", "Wait.", registry=None)
        )

    @check("test_a_conflicting_metric_is_not_held", needs=["errors"])
    def test_the_error_names_the_incumbent(self) -> None:
        """`ConflictError.incumbent` is the collector that holds the name, so that a metric can share its values."""
        incumbent, newcomer = (
            Counter("kit_hits_total", "H.", registry=None),
            Gauge("kit_hits_total", "H.", registry=None),
        )
        registry = self.filled(incumbent)
        error = self._refused(registry, newcomer)
        if error is not None and error.incumbent is not incumbent:
            raise AssertionError(
                f"ConflictError.incumbent is the collector that holds the name: expected {incumbent!r} but got"
                f" {error.incumbent!r}"
            )

    @check("test_a_conflicting_metric_is_not_held", "test_unregister_lets_go", needs=["refusals"])
    def test_a_refused_metric_does_not_remove_the_first(self) -> None:
        """Unregistering a refused metric raises `NotRegisteredError`, and the first one stays."""
        incumbent, newcomer = (
            Counter("kit_hits_total", "H.", registry=None),
            Gauge("kit_hits_total", "H.", registry=None),
        )
        registry = self.filled(incumbent)
        self._refused(registry, newcomer)
        promise = "unregistering a metric that was refused never removes the one that holds its name"
        with promised(promise):
            try:
                registry.unregister(newcomer)
            except NotRegisteredError:
                pass
        self.require_held(registry, [incumbent], promise)

    @check("test_a_name_that_another_produces_is_not_held", "test_a_metric_that_produces_a_taken_name_is_not_held")
    def test_a_refused_metric_occupies_no_name(self) -> None:
        """The free names of a metric that was refused stay free."""
        incumbent, newcomer = Gauge("kit_wait_count", "W.", registry=None), Histogram("kit_wait", "W.", registry=None)
        other = Gauge("kit_wait_sum", "W.", registry=None)
        registry = self.filled(incumbent)
        self._refused(registry, newcomer)
        promise = "a refusal changes nothing: the free names of the refused metric stay free"
        with promised(promise):
            registry.register(other)
        self.require_held(registry, [incumbent, other], promise)

    @check("test_a_conflicting_metric_is_not_held", "test_what_was_unregistered_can_come_back")
    def test_unregistering_frees_the_names(self) -> None:
        """Once a metric is unregistered, another one can have its names."""
        for incumbent, newcomer in (
            (Counter("kit_hits_total", "H.", registry=None), Gauge("kit_hits_total", "H.", registry=None)),
            (Histogram("kit_wait", "W.", registry=None), Gauge("kit_wait_count", "W.", registry=None)),
        ):
            registry = self.filled(incumbent)
            promise = "unregister frees every name that the collector occupied"
            with promised(promise):
                registry.unregister(incumbent)
                registry.register(newcomer)
            self.require_held(registry, [newcomer], promise)

    @check("test_a_conflicting_metric_is_not_held", "test_no_reference_is_left_after_unregister")
    def test_no_reference_is_left_to_a_refused_metric(self) -> None:
        """A metric that was refused can be freed; an error that is kept keeps it alive by its traceback."""
        registry = self.filled(Counter("kit_hits_total", "H.", registry=None))
        newcomer = Gauge("kit_hits_total", "H.", registry=None)
        self._refused(registry, newcomer)
        # Metrics cannot be referred to weakly, but what they are defined by can be looked for.
        definition = newcomer.definition
        del newcomer
        gc.collect()
        objects: list[Any] = gc.get_objects()
        # Not by isinstance, which asks an object for its class, and so runs code of a proxy such as Django's settings.
        if any(Metric in type(one).__mro__ and one.definition is definition for one in objects):
            raise AssertionError(
                "a refused metric is not kept, and neither is the error of its refusal: it is still alive"
            )

    @check("test_a_conflicting_metric_is_not_held")
    def test_the_same_metric_defined_twice_shares_its_values(self) -> None:
        """A metric that is defined through the registry like one that it holds writes where that one does."""
        registry = self.fresh()
        with promised("the same metric can be defined twice, and then shares its values"):
            first = Counter("kit_hits_total", "H.", ["path"], registry=registry)
            second = Counter("kit_hits_total", "H.", ["path"], registry=registry)
        first.labels("/").inc()
        second.labels("/").inc(2)
        if first.labels("/").value != 3.0:
            raise AssertionError(
                "the same metric can be defined twice, and then shares its values: 1 and 2 came to"
                f" {first.labels('/').value:g}"
            )
        self.require_held(registry, [first], "of a metric that is defined twice, the first handle is held")

    def _require_conflict(self, incumbent: Metric, newcomer: Metric) -> None:
        registry = self.filled(incumbent)
        self._refused(registry, newcomer)
        self.require_held(registry, [incumbent], _FIRST)

    def _refused(self, registry: Registry, newcomer: Metric) -> ConflictError | None:
        """Register `newcomer`, whose name is taken, and give the error that this is to raise."""
        with promised(f"on_conflict = {self.on_conflict!r}: a metric whose name is taken is refused that way"):
            try:
                registry.register(newcomer)
            except ConflictError as error:
                if self.on_conflict == "raise":
                    # The error without its traceback, which keeps the metric alive. The registry's own error stays as
                    # it is, so that a registry that keeps it is noticed.
                    return ConflictError(str(error), name=error.name, incumbent=error.incumbent)
                raise
        if self.on_conflict == "raise":
            raise AssertionError(
                "on_conflict = 'raise': register raises ConflictError for a metric whose name is taken:"
                " it raised nothing"
            )
        return None
