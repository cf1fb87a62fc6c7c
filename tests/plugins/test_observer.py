"""Plugins that observe a registry."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pytheus import REGISTRY, Counter, Gauge, generate_metrics
from pytheus.compose import ReadOnlyRegistry, labelled, union
from pytheus.exceptions import ConflictError, NotRegisteredError, PytheusWarning, ReadOnlyError
from pytheus.plugins import configure, resolve_registry
from pytheus.plugins.observer import ObservedRegistry, Observer
from pytheus.registry import Collector, CollectorRegistry, NullRegistry, Registry
from pytheus.samples import Family
from tests.plugins.conftest import FACTORY, Audit, Site


class Custom:
    def collect(self) -> Iterator[Family]:
        return iter(())


class Broken:
    name = "broken"

    def collect(self) -> Iterator[Family]:
        raise ValueError("sensor lost")


# Registrations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collector", [Counter("jobs_total", "Jobs.", registry=None), Custom()], ids=type)
def test_a_registration_and_an_unregistration_are_told(collector: Collector, audit: Audit) -> None:
    registry = resolve_registry()
    registry.register(collector)
    assert audit.events == [("registered", collector, registry)]
    registry.unregister(collector)
    assert audit.events[1:] == [("unregistered", collector, registry)]


def test_what_is_held_already_is_not_told_again(audit: Audit) -> None:
    registry = resolve_registry()
    custom = Custom()
    for collector in (Counter("jobs_total", "Jobs.", registry=registry), custom, custom):
        registry.register(collector)
    assert audit.names == [("registered", "jobs_total"), ("registered", "Custom")]


def test_a_metric_that_shares_its_values_is_told_as_the_one_that_was_registered(audit: Audit) -> None:
    registry = resolve_registry()
    first = Counter("jobs_total", "Jobs.", registry=registry)
    second = Counter("jobs_total", "Jobs.", registry=registry)
    registry.register(second)
    assert [event[:2] for event in audit.events] == [("registered", first)]
    registry.unregister(second)
    assert [event[:2] for event in audit.events[1:]] == [("unregistered", first)]


def test_a_refusal_is_told_and_raised(audit: Audit) -> None:
    registry = resolve_registry()
    Counter("jobs_total", "Jobs.", registry=registry)
    audit.clear()
    with pytest.raises(ConflictError) as caught:
        Gauge("jobs_total", "Jobs.", registry=registry)
    ((event, collector, where, error),) = audit.events
    assert (event, where, error) == ("rejected", registry, caught.value)
    assert isinstance(collector, Gauge)


def test_a_refusal_that_is_only_logged_is_no_registration(audit: Audit, caplog: pytest.LogCaptureFixture) -> None:
    registry = resolve_registry("default://?on_conflict=warn")
    jobs = Counter("jobs_total", "Jobs.", registry=registry)
    audit.clear()
    Gauge("jobs_total", "Jobs.", registry=registry)
    ((event, _, _, error),) = audit.events
    assert event == "rejected"
    assert isinstance(error, ConflictError)
    assert (error.name, error.incumbent) == ("jobs_total", jobs)


def test_an_unregistration_that_fails_is_not_told(audit: Audit) -> None:
    registry = resolve_registry()
    with pytest.raises(NotRegisteredError):
        registry.unregister(Custom())
    assert "audit_module" in sys.modules
    assert audit.events == []


def test_a_registry_that_keeps_nothing_tells_nothing(audit: Audit) -> None:
    registry = resolve_registry("none")
    registry.unregister(Counter("jobs_total", "Jobs.", registry=registry))
    assert audit.events == []


def test_an_observer_is_told_after_the_fact(site: Site) -> None:
    site.active(
        "audit",
        """
        seen = []

        @hookimpl
        def pytheus_collector_registered(collector, registry):
            seen.append([held.name for held in registry.collect()])
        """,
    )
    Counter("jobs_total", "Jobs.", registry=resolve_registry())
    assert sys.modules["audit_module"].seen == [["jobs_total"]]


def test_an_observer_may_make_metrics_of_its_own(site: Site) -> None:
    site.active(
        "audit",
        """
        from pytheus import Counter

        @hookimpl
        def pytheus_collector_registered(collector, registry):
            if collector.name != "registrations_total":
                Counter("registrations_total", "Registrations.", registry=registry).inc()
        """,
    )
    registry = resolve_registry()
    Counter("jobs_total", "Jobs.", registry=registry)
    Counter("calls_total", "Calls.", registry=registry)
    assert "registrations_total 2.0" in generate_metrics(registry)


def test_no_lock_is_held_while_an_observer_runs(site: Site, serving: Registry) -> None:
    site.active(
        "audit",
        """
        import threading
        from pytheus import Counter

        @hookimpl
        def pytheus_collector_registered(collector, registry):
            if collector.name == "jobs_total":
                other = threading.Thread(target=Counter, args=("other_total", "Other."), kwargs={"registry": registry})
                other.start()
                other.join(30)
                assert not other.is_alive()
        """,
    )
    configure("default")
    Counter("jobs_total", "Jobs.")
    assert {"jobs_total", "other_total"} <= {str(getattr(held, "name", "")) for held in REGISTRY.collect()}


def test_of_threads_that_register_the_same_one_one_tells(audit: Audit, together: Callable[..., None]) -> None:
    registry = resolve_registry()
    for _ in range(50):
        custom = Custom()
        together(*[partial(registry.register, custom)] * 8)
        assert [event[1] for event in audit.events] == [custom]
        registry.unregister(custom)
        audit.clear()


# What an observer raises ----------------------------------------------------------------------------------------------

SIGNATURES = (
    "pytheus_collector_registered(collector, registry)",
    "pytheus_collector_unregistered(collector, registry)",
    "pytheus_collector_rejected(collector, registry, error)",
    "pytheus_collect_error(collector, error)",
)


@pytest.fixture(params=["RuntimeError('lost')", "SystemExit(1)", "KeyboardInterrupt", "GeneratorExit"])
def failing(request: pytest.FixtureRequest, site: Site) -> None:
    hooks = [f"@hookimpl\ndef {signature}:\n    raise {request.param}\n" for signature in SIGNATURES]
    site.active("failing", "".join(hooks))


@pytest.mark.usefixtures("failing")
def test_an_observer_that_raises_breaks_no_registration_and_no_scrape() -> None:
    registry = resolve_registry()
    jobs = Counter("jobs_total", "Jobs.", registry=registry)
    with pytest.raises(ConflictError):
        Gauge("jobs_total", "Jobs.", registry=registry)
    broken = Broken()
    registry.register(broken)
    assert list(registry.collect()) == [jobs, broken]
    text = generate_metrics(registry)
    assert "jobs_total 0.0" in text
    assert 'pytheus_collector_errors_total{collector="broken"} 1.0' in text
    registry.unregister(jobs)
    assert list(registry.collect()) == [broken]


@pytest.mark.usefixtures("failing")
def test_it_is_logged_once_for_each_hook_and_at_debug_after_that(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pytheus.plugins")
    registry = resolve_registry()
    for name in ("a", "b", "c"):
        registry.unregister(Gauge(name, "A gauge.", registry=registry))
    levels = [record.levelname for record in caplog.records]
    assert sorted(levels) == ["DEBUG"] * 4 + ["ERROR"] * 2
    first = caplog.records[0].getMessage()
    assert first.startswith("plugin 'failing' ('failing' in PYTHEUS_PLUGINS) failed in pytheus_collector_registered")


# Failed collectors ----------------------------------------------------------------------------------------------------


def test_a_collector_that_fails_is_told_each_time(audit: Audit, caplog: pytest.LogCaptureFixture) -> None:
    registry = resolve_registry()
    broken = Broken()
    registry.register(broken)
    audit.clear()
    for _ in range(2):
        generate_metrics(registry)
    assert [event[:2] for event in audit.events] == [("failed", broken)] * 2
    assert [repr(event[2]) for event in audit.events] == ["ValueError('sensor lost')"] * 2


@pytest.mark.parametrize("above", [union, lambda below: labelled(below, a="b"), lambda below: below])
def test_it_is_called_through_layers_before_it(
    above: Callable[[Registry], Registry], audit: Audit, caplog: pytest.LogCaptureFixture
) -> None:
    registry = resolve_registry()
    registry.register(Broken())
    audit.clear()
    generate_metrics(above(registry))
    assert [event for event, _ in audit.names] == ["failed"]


def test_a_scrape_of_another_registry_is_not_told(audit: Audit, caplog: pytest.LogCaptureFixture) -> None:
    resolve_registry()
    other = CollectorRegistry()
    other.register(Broken())
    generate_metrics(other)
    assert audit.events == []


def test_a_registry_that_fails_when_it_is_told_breaks_no_scrape(caplog: pytest.LogCaptureFixture) -> None:
    class Deaf(CollectorRegistry):
        def collect_failed(self, collector: Collector, error: Exception, /) -> None:
            raise OSError("no ear")

    registry = Deaf()
    registry.register(Broken())
    assert "pytheus_collector_errors_total" in generate_metrics(registry)
    assert "no ear" in caplog.text


# The place of the layer -----------------------------------------------------------------------------------------------


def test_without_an_observer_there_is_no_layer(site: Site) -> None:
    site.active("wraps", "@hookimpl\ndef pytheus_wrap_registry(registry): ...")
    assert type(resolve_registry()) is CollectorRegistry


def test_it_works_before_a_third_party_registry(audit: Audit, site: Site) -> None:
    site.plugin("memory")
    registry = resolve_registry("memory")
    jobs = Counter("jobs_total", "Jobs.", registry=registry)
    registry.register(jobs)
    registry.unregister(jobs)
    assert audit.names == [("registered", "jobs_total"), ("unregistered", "jobs_total")]


def test_the_rest_of_the_registry_shows_through(audit: Audit, site: Site) -> None:
    site.plugin("memory")
    registry = resolve_registry("memory")
    assert isinstance(registry, ObservedRegistry)
    (below,) = registry.wrapped
    assert registry.prefix is None
    jobs = Counter("jobs_total", "Jobs.", registry=registry)
    assert registry.find("jobs_total") is jobs
    registry.close()
    assert getattr(below, "closed") is True  # noqa: B009  # the protocol has no such attribute


def test_collectors_that_move_are_told(audit: Audit, serving: Registry) -> None:
    jobs = Counter("jobs_total", "Jobs.")
    REGISTRY.set_registry("default")
    assert ("registered", "jobs_total") in audit.names
    audit.clear()
    REGISTRY.set_registry(CollectorRegistry())
    assert ("unregistered", "jobs_total") in audit.names
    assert jobs in REGISTRY


def test_a_refusal_of_a_layer_below_is_told(audit: Audit, site: Site) -> None:
    site.plugin(
        "wraps",
        FACTORY + "from pytheus.compose import read_only\n"
        "@hookimpl\ndef pytheus_wrap_registry(registry): return read_only(registry)",
    )
    registry = resolve_registry("wraps")
    assert isinstance(registry, ObservedRegistry)
    assert isinstance(registry.wrapped[0], ReadOnlyRegistry)
    with pytest.raises(ReadOnlyError):
        Counter("jobs_total", "Jobs.", registry=registry)
    assert audit.names == [("rejected", "jobs_total")]


def test_a_derived_collector_is_told_as_the_one_that_was_registered(audit: Audit, home: object) -> None:
    registry = ObservedRegistry(labelled(CollectorRegistry(), a="b"), _plugins_of(resolve_registry()), ())
    jobs = Counter("jobs_total", "Jobs.", registry=registry)
    audit.clear()
    (derived,) = registry.collect()
    assert derived is not jobs
    registry.unregister(derived)
    assert [event[1] is jobs for event in audit.events] == [True]


def _plugins_of(registry: Registry) -> tuple[Observer, ...]:
    assert isinstance(registry, ObservedRegistry)
    return registry._registered.plugins


def test_a_registry_whose_contents_cannot_be_looked_up_takes_registrations(audit: Audit) -> None:
    class Opaque(NullRegistry):
        def find(self, name: str, /) -> Collector | None:
            raise OSError("not now")

    registry = ObservedRegistry(Opaque(), _plugins_of(resolve_registry()), ())
    registry.register(Counter("jobs_total", "Jobs.", registry=None))
    assert audit.events == []


# What object is observed ----------------------------------------------------------------------------------------------


def test_configure_observes_an_object_and_set_registry_does_not(audit: Audit, serving: Registry) -> None:
    registry = CollectorRegistry()
    assert configure(registry) is not registry
    jobs = Counter("jobs_total", "Jobs.")
    assert ("registered", "jobs_total") in audit.names
    assert jobs in registry
    REGISTRY.set_registry(registry)
    assert REGISTRY.registry is registry


def test_configuring_the_same_object_again_loses_nothing(audit: Audit, serving: Registry) -> None:
    registry = CollectorRegistry()
    configure(registry)
    jobs = Counter("jobs_total", "Jobs.")
    configure(registry)
    assert jobs in REGISTRY


def test_what_is_observed_is_not_observed_twice(audit: Audit, serving: Registry) -> None:
    made = configure("default")
    assert configure(made) is made
    both = union(made, CollectorRegistry())
    assert configure(both) is both


def test_first_use_of_the_default_registry_activates(audit: Audit) -> None:
    from pytheus.registry import CollectorRegistryProxy

    proxy = CollectorRegistryProxy()
    Counter("jobs_total", "Jobs.", registry=proxy)
    assert audit.names == [("registered", "jobs_total")]


def test_leaving_collectors_behind_tells_nothing(audit: Audit, serving: Registry) -> None:
    configure("default")
    Counter("jobs_total", "Jobs.")
    audit.clear()
    with pytest.warns(PytheusWarning, match="left 1 collector"):
        REGISTRY.set_registry(CollectorRegistry(), migrate=False)
    assert audit.events == []
