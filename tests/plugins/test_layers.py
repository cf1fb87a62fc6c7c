"""Layers that the configuration file puts before the registry."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytheus import REGISTRY, Counter, generate_metrics
from pytheus.compose import LimitedRegistry
from pytheus.exceptions import PluginLoadError, ReadOnlyError
from pytheus.plugins import WrapLayer, configure, resolve_registry
from pytheus.plugins.config import load_configuration
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry
from tests.plugins.conftest import COUNTING, PREFIXING, Site, made, refused


def write(home: Path, wrap: str, more: str = "") -> None:
    (home / "pyproject.toml").write_text(f"[tool.pytheus]\nwrap = {wrap}\n{more}", "utf-8")


def exposed(registry: Registry) -> list[str]:
    return [line for line in generate_metrics(registry).splitlines() if not line.startswith("#")]


# What applies ---------------------------------------------------------------------------------------------------------


def test_the_first_is_directly_before_the_registry(home: Path) -> None:
    write(home, '[{ prefixed = "inner" }, { prefixed = "outer" }]', '[tool.pytheus.registries.default]\nprefix = "own"')
    assert resolve_registry().prefix == "outer_inner_own"


def test_each_layer_does_what_its_function_does(home: Path) -> None:
    write(
        home,
        '[{ limited = { max_series_per_metric = 1, overflow = "more" } }, { filtered = { names = ["visits_total"] } },'
        ' { labelled = { region = "eu" } }, { prefixed = "app" }]',
    )
    registry = resolve_registry()
    visits = Counter("visits_total", "Visits.", ["user"], registry=registry)
    Counter("hidden_total", "Hidden.", registry=registry)
    for user in ("ann", "bob"):
        visits.labels(user).inc()
    assert exposed(registry) == [
        'app_visits_total{user="ann",region="eu"} 1.0',
        'app_visits_total{user="more",region="eu"} 1.0',
    ]


def test_a_read_only_registry_takes_nothing(home: Path) -> None:
    write(home, '["read_only"]')
    with pytest.raises(ReadOnlyError):
        Counter("jobs_total", "Jobs.", registry=resolve_registry())


def test_an_empty_array_does_nothing(home: Path) -> None:
    write(home, "[]")
    assert type(resolve_registry()) is CollectorRegistry


@pytest.mark.parametrize("choice", ["none", "default", "memory"])
def test_it_applies_to_any_registry_that_is_chosen_by_name(choice: str, home: Path, site: Site) -> None:
    site.plugin("memory")
    write(home, '[{ limited = { max_series = 5 } }, { prefixed = "app" }]')
    assert resolve_registry(choice).prefix == "app"


def test_closing_a_layer_closes_the_registry(home: Path, site: Site) -> None:
    site.plugin("memory", "registry = Memory()", value="memory_module:registry")
    write(home, '["read_only", { prefixed = "app" }]')
    CollectorRegistryProxy(resolve_registry("memory")).close()
    assert sys.modules["memory_module"].registry.closed


def test_the_proxy_serves_it_and_metrics_made_before_move_into_it(home: Path) -> None:
    proxy = CollectorRegistryProxy()
    write(home, '[{ labelled = { region = "eu" } }, { prefixed = "app" }]')
    Counter("jobs_total", "Jobs.", registry=proxy).inc()
    assert exposed(proxy) == ['app_jobs_total{region="eu"} 1.0']


def test_a_metric_defined_twice_shares_its_values_through_it(home: Path) -> None:
    write(home, '[{ labelled = { region = "eu" } }]')
    registry = resolve_registry()
    for _ in range(2):
        Counter("jobs_total", "Jobs.", registry=registry).inc()
    assert exposed(registry) == ['jobs_total{region="eu"} 2.0']


def test_configure_applies_it_to_an_object_once_and_set_registry_does_not(home: Path, serving: Registry) -> None:
    write(home, '[{ prefixed = "app" }]')
    assert configure(configure(CollectorRegistry(prefix="own"))).prefix == "app_own"
    REGISTRY.set_registry(CollectorRegistry(prefix="own"))
    assert REGISTRY.prefix == "own"


def test_a_plugin_wraps_what_the_configuration_has_wrapped(home: Path, site: Site) -> None:
    site.active("a", PREFIXING.format(prefix="plugin"))
    write(home, '[{ prefixed = "file" }]')
    assert resolve_registry().prefix == "plugin_file"


def test_a_registry_that_was_made_for_nothing_is_closed_behind_a_view(home: Path, site: Site) -> None:
    site.active("a", "@hookimpl\ndef pytheus_wrap_registry(): raise OSError('no disk')")
    site.plugin("memory", COUNTING)
    write(home, '["read_only"]')
    refused(PluginLoadError)
    assert getattr(made()[0], "closed") is True  # noqa: B009  # the protocol has no such attribute


def test_the_configuration_tells_of_the_layers(home: Path) -> None:
    write(home, '["read_only", { prefixed = "app" }, { limited = { max_series = 5 } }]')
    layers = load_configuration().wrap
    assert [str(layer) for layer in layers] == ["read_only()", "prefixed(prefix='app')", "limited(max_series=5)"]
    assert layers[1] == WrapLayer("prefixed", {"prefix": "app"})


def test_what_is_shown_of_a_limit_is_what_was_configured(home: Path) -> None:
    write(home, "[{ limited = { max_series = 5 } }]")
    registry = resolve_registry("none")
    assert isinstance(registry, LimitedRegistry)
    assert isinstance(registry.wrapped[0], NullRegistry)
