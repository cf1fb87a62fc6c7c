"""`labelled`: constant labels on every sample."""

from __future__ import annotations

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, generate_metrics
from pytheus.compose import labelled, prefixed, union
from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy
from pytheus.samples import Family
from tests.compose.conftest import Queue


def test_every_sample_of_every_type_has_them_after_its_own(below: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", ["path"], registry=below).labels("/").inc()
    Gauge("depth", "Depth.", registry=below)
    Histogram("wait_seconds", "Wait.", buckets=(1.0,), registry=below)
    Info("build", "Build.", registry=below).info(version="1")
    StateSet("door", "Door.", states=["open"], registry=below)
    below.register(Queue(queue="mail"))
    text = generate_metrics(labelled(below, region="eu", zone='a"b'), strict=True)
    both = 'region="eu",zone="a\\"b"'
    assert [line for line in text.splitlines() if line[0] != "#"] == [
        f'hits_total{{path="/",{both}}} 1.0',
        f"depth{{{both}}} 0.0",
        f'wait_seconds_bucket{{le="1.0",{both}}} 0.0',
        f'wait_seconds_bucket{{le="+Inf",{both}}} 0.0',
        f"wait_seconds_sum{{{both}}} 0.0",
        f"wait_seconds_count{{{both}}} 0.0",
        f'build_info{{version="1",{both}}} 1.0',
        f'door{{door="open",{both}}} 0.0',
        f'queue_depth{{queue="mail",{both}}} 7.0',
        f"queue_age_seconds{{{both}}} 0.0",
    ]


def test_exemplars_stay(below: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=below).inc(1, {"trace": "abc"})
    collector = next(labelled(below, region="eu").collect())
    family = next(iter(collector.collect()))
    assert isinstance(family, Family)
    exemplar = family.samples[0].exemplar
    assert exemplar is not None
    assert exemplar.labels == {"trace": "abc"}


def test_layers_add_up(below: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=below)
    text = generate_metrics(labelled(labelled(below, a="1"), b="2"), strict=True)
    assert '\nhits_total{a="1",b="2"} 0.0\n' in text


def test_a_label_that_a_layer_below_adds_is_refused() -> None:
    inner = union(prefixed(labelled(CollectorRegistry(), a="1"), "x"))
    with pytest.raises(LabelError, match="adds a='1' already"):
        labelled(inner, a="2")


def test_a_label_that_the_registry_of_a_proxy_adds_is_refused() -> None:
    proxy = CollectorRegistryProxy(labelled(CollectorRegistry(), a="1"))
    with pytest.raises(LabelError, match="adds a='1' already"):
        labelled(prefixed(proxy, "app"), a="2")


def test_a_metric_that_has_the_label_itself_is_refused(below: CollectorRegistry) -> None:
    layer = labelled(below, region="eu")
    with pytest.raises(LabelError, match="has a label 'region'"):
        Counter("hits_total", "Hits.", ["region"], registry=layer)
    assert len(below) == 0


def test_a_stateset_of_the_label_s_name_is_refused() -> None:
    with pytest.raises(LabelError, match="has a label 'door'"):
        StateSet("door", "Door.", states=["open"], registry=labelled(CollectorRegistry(), door="x"))


@pytest.mark.parametrize("region", ["eu", "us"])
def test_a_collector_below_that_has_the_label_fails_alone(region: str) -> None:
    below = CollectorRegistry()
    below.register(Queue(region=region))
    Counter("hits_total", "Hits.", registry=below)
    text = generate_metrics(labelled(below, region="eu"))
    assert 'pytheus_collector_errors_total{collector="Queue"} 1.0' in text
    assert '\nhits_total{region="eu"} 0.0\n' in text
    assert "queue_depth" not in text


def test_derived_collectors_can_be_registered_in_another_registry() -> None:
    below, other = CollectorRegistry(), CollectorRegistry()
    Counter("hits_total", "Hits.", registry=below)
    layer = labelled(below, region="eu")
    for _ in range(2):
        for collector in layer.collect():
            other.register(collector)
    assert len(other) == 1
    assert "hits_total" in other
    assert '\nhits_total{region="eu"} 0.0\n' in generate_metrics(other, strict=True)


def test_a_custom_collector_gets_no_definition(below: CollectorRegistry) -> None:
    below.register(Queue())
    assert not hasattr(next(labelled(below, region="eu").collect()), "definition")


@pytest.mark.parametrize("labels", [{"a-b": "x"}, {"__a": "x"}], ids=repr)
def test_invalid_label_names_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(InvalidNameError):
        labelled(CollectorRegistry(), **labels)


@pytest.mark.parametrize("labels", [{"le": "1"}, {"quantile": "1"}, {"a": 1}, {"a": "\ud800"}], ids=ascii)
def test_invalid_labels_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(LabelError):
        labelled(CollectorRegistry(), **labels)


def test_a_label_may_be_called_registry_or_self(below: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=below)
    assert 'registry="a"' in generate_metrics(labelled(below, registry="a"))
