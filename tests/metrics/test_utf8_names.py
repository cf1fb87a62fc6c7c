"""Names that are not legacy names: what they may be, and which conflict after an escape."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.compose import filtered, labelled, prefixed, union
from pytheus.exceptions import CollectorError, ConflictError, InvalidNameError, LabelError
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.text import TextEncoder
from pytheus.exposition.walk import scrape
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry, Registry
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry


def _lines(registry: Registry) -> list[str]:
    request = RenderRequest("allow-utf-8")
    text = "".join(scrape(registry, TextEncoder(request), request, strict=True))
    return [line for line in text.splitlines() if not line.startswith("#")]


MAKERS: list[Callable[[str, list[str]], Metric]] = [
    lambda name, labels: Counter(name, "M.", labels, names="utf8", registry=None),
    lambda name, labels: Gauge(name, "M.", labels, names="utf8", registry=None),
    lambda name, labels: Histogram(name, "M.", labels, names="utf8", registry=None),
    lambda name, labels: Summary(name, "M.", labels, names="utf8", registry=None),
    lambda name, labels: Info(name, "M.", labels, names="utf8", registry=None),
    lambda name, labels: StateSet(name, "M.", labels, states=["on"], names="utf8", registry=None),
]


@pytest.mark.parametrize("make", MAKERS)
def test_every_type_takes_them(make: Callable[[str, list[str]], Metric]) -> None:
    assert make("größe.\n_total", ["a b", "\N{GRINNING FACE}"]).label_names == ("a b", "\N{GRINNING FACE}")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["", "\ud800"])
def test_no_text_and_a_lone_surrogate_are_no_names(make: Callable[[str, list[str]], Metric], name: str) -> None:
    with pytest.raises(InvalidNameError):
        make(name, [])
    with pytest.raises(InvalidNameError):
        make("a_total", [name])


def test_reserved_labels_stay_reserved() -> None:
    for label in ("__name__", "__é"):
        with pytest.raises(InvalidNameError, match="reserved for Prometheus"):
            Gauge("a", "A.", [label], names="utf8", registry=None)
    with pytest.raises(InvalidNameError, match="which its own exposition writes"):
        Histogram("a", "A.", ["le"], names="utf8", registry=None)  # type: ignore[pytheus-name]  # on purpose


@pytest.mark.parametrize(
    ("labels", "scheme"), [(["a.b", "a_b"], "underscores"), (["a b", "a-b"], "underscores"), (["a-b", "a__b"], "dots")]
)
def test_labels_that_an_escape_would_make_one_are_refused(labels: list[str], scheme: str) -> None:
    with pytest.raises(InvalidNameError, match=f"which are the same where they are escaped by '{scheme}'; rename one"):
        Gauge("a", "A.", labels, names="utf8", registry=None)


def test_the_label_of_a_state_set_is_escaped_as_others_are() -> None:
    with pytest.raises(InvalidNameError, match="are the same where they are escaped"):
        StateSet("door.state", "D.", ["door_state"], states=["on"], names="utf8", registry=None)  # type: ignore[pytheus-name]  # on purpose


@pytest.mark.parametrize("other", ["http_requests", "http_dot_requests", "U__http_2e_requests", "http:requests"])
def test_names_that_an_escape_would_make_one_conflict(registry: CollectorRegistry, other: str) -> None:
    Gauge("http.requests", "R.", names="utf8", registry=registry)
    if ":" in other:
        Gauge(other, "R.", registry=registry)
    else:
        with pytest.raises(ConflictError):
            Gauge(other, "R.", registry=registry)
        with pytest.raises(ConflictError):
            Counter(f"{other}_total", "R.", registry=registry)


def test_the_same_metric_twice_shares_its_values(registry: CollectorRegistry) -> None:
    for _ in range(2):
        Counter("http.hits_total", "H.", names="utf8", registry=registry).inc()
    assert _lines(registry) == ['{"http.hits_total"} 2.0']


def test_facts_of_an_info(registry: CollectorRegistry) -> None:
    build = Info("build", "Build.", ["a"], names="utf8", registry=registry)
    build.labels("x").info({"go.version": "1"})
    assert _lines(registry) == ['build_info{a="x","go.version"="1"} 1.0']
    with pytest.raises(InvalidNameError, match="are the same where they are escaped"):
        build.labels("x").info({"go.version": "1", "go_version": "2"})
    with pytest.raises(InvalidNameError):
        Info("other", "Other.", registry=registry).info({"go.version": "1"})
    assert _lines(registry)[0] == 'build_info{a="x","go.version"="1"} 1.0'


def test_through_layers(registry: CollectorRegistry) -> None:
    Counter("http.hits_total", "H.", ["host.name"], names="utf8", registry=registry).labels("a").inc()
    assert _lines(prefixed(registry, "shop")) == ['{"shop_http.hits_total","host.name"="a"} 1.0']
    assert _lines(labelled(registry, zone="b")) == ['{"http.hits_total","host.name"="a",zone="b"} 1.0']
    assert _lines(filtered(registry, names=["http_hits_total"])) == ['{"http.hits_total","host.name"="a"} 1.0']
    other = CollectorRegistry(prefix="other")
    Gauge("a.b", "A.", names="utf8", registry=other)
    assert _lines(union(registry, other)) == ['{"http.hits_total","host.name"="a"} 1.0', '{"other_a.b"} 0.0']


def test_a_label_of_a_layer_that_an_escape_would_make_a_second_one(registry: CollectorRegistry) -> None:
    Gauge("a", "A.", ["host.name"], names="utf8", registry=registry).labels("x").set(1)
    with pytest.raises(CollectorError, match="are the same where they are escaped"):
        _lines(labelled(registry, host_name="b"))


def test_through_shards() -> None:
    backend = MemoryBackend()
    registries = [ShardedRegistry(MemoryShardStore(backend)) for _ in range(2)]
    for registry in registries:
        Counter("http.hits_total", "H.", ["host.name"], names="utf8", registry=registry).labels("a").inc(2)
        Info("build", "B.", names="utf8", registry=registry).info({"go.version": "1"})
        StateSet("door.state", "D.", states=["on"], names="utf8", registry=registry).state("on")
    for registry in registries:
        assert _lines(registry) == [
            '{"http.hits_total","host.name"="a"} 4.0',
            'build_info{"go.version"="1"} 1.0',
            '{"door.state","door.state"="on"} 1.0',
        ]
        assert 'build_info{go_version="1"} 1.0' in generate_metrics(registry)
    for registry in registries:
        registry.close()


def test_the_label_of_a_state_set_with_a_prefix_may_meet_another_one() -> None:
    registry = CollectorRegistry(prefix="shop")
    StateSet("door", "Door.", ["shop_door"], states=["on"], registry=registry).labels("x").state("on")
    with pytest.raises(
        CollectorError, match="has its states in the label 'shop_door', and one of that name already"
    ) as told:
        generate_metrics(registry, strict=True)
    assert isinstance(told.value.__cause__, LabelError)
