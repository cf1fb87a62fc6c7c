"""The overview that the page reads: families, the registry's origin, processes, failures."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

import pytheus
from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.compose import filtered, labelled, limited, prefixed, read_only, union
from pytheus.exposition import expose, page
from pytheus.exposition.negotiation import OVERVIEW_TYPE
from pytheus.exposition.page import overview as overview_module
from pytheus.exposition.respond import answer_scrape
from pytheus.plugins import resolve_registry
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy, HasSeriesLabels, Registry
from pytheus.registry.processes import ProcessInfo
from pytheus.samples import Family, Sample
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.exposition.conftest import Custom, Plain, fail, gauge_family
from tests.exposition.test_standard_formats import PROTOBUF, messages

Overview = dict[str, Any]


def overview(registry: Registry, query: str = "", timeout: str = "") -> Overview:
    response = answer_scrape(registry, "GET", accept=OVERVIEW_TYPE, query=query, timeout=timeout)
    assert response.status == 200, response.body
    return cast(Overview, json.loads(response.body))


def families(registry: Registry, query: str = "") -> dict[str, Overview]:
    return {family["name"]: family for family in overview(registry, query)["families"]}


# Families -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def every_kind() -> CollectorRegistry:
    """Each metric type, and a custom collector with each type of family."""
    registry = CollectorRegistry(prefix="shop")
    requests = Counter("requests_total", "Requests.", ["code", "route"], registry=registry)
    for number in range(12):
        requests.labels(str(200 + number % 3), f"/{number}").inc()
    Gauge("queue_bytes", "Waiting.", unit="bytes", registry=registry).set(3)
    Gauge("carts.open", "Open.", ["a.b"], registry=registry, names="utf8").labels("x").set(1)
    Histogram("wait_seconds", "Waits.", ["route"], buckets=[1, 2], registry=registry).labels("/").observe(0.5)
    Histogram("size_bytes", "Sizes.", native=True, registry=registry).observe(5)
    Summary("items", "Items.", registry=registry).observe(1)
    Info("build", "Build.", registry=registry).info(version="1", commit="ab")
    StateSet("door", "Door.", ["place"], states=["open", "shut"], registry=registry).labels("front").state("open")
    Counter("unused_total", "Unused.", ["code"], registry=registry)
    registry.register(
        Custom(
            Family("hits_total", "counter", "Hits.", [Sample("", {"x": str(n), "y": "1"}, 1.0) for n in range(4)]),
            Family(
                "lag_seconds",
                "histogram",
                "Lag.",
                [
                    *[Sample("_bucket", {"q": q, "le": le}, 1.0) for q in "ab" for le in ("1", "+Inf")],
                    *[Sample(suffix, {"q": q}, 1.0) for q in "ab" for suffix in ("_sum", "_count")],
                ],
            ),
            Family("host", "info", "Host.", [Sample("_info", {"name": "web"}, 1.0)]),
            Family("mode", "stateset", "Mode.", [Sample("", {"mode": state}, 0.0) for state in ("on", "off", "idle")]),
            Family("plain", "unknown", "Any.", [Sample("", {}, 1.0)]),
            Family("empty", "gauge", "None."),
        )
    )
    return registry


def test_each_family_has_its_facts(every_kind: CollectorRegistry) -> None:
    found = families(every_kind)

    def facts(name: str) -> tuple[object, ...]:
        family = found[f"shop_{name}"]
        return tuple(family[key] for key in ("type", "unit", "help", "series", "labels", "values", "native"))

    assert facts("requests_total") == ("counter", "", "Requests.", 12, ["code", "route"], [3, 12], False)
    assert facts("queue_bytes") == ("gauge", "bytes", "Waiting.", 1, [], [], False)
    assert facts("carts.open") == ("gauge", "", "Open.", 1, ["a.b"], [1], False)
    assert facts("wait_seconds") == ("histogram", "", "Waits.", 1, ["route"], [1], False)
    assert facts("size_bytes") == ("histogram", "", "Sizes.", 1, [], [], True)
    assert facts("items") == ("summary", "", "Items.", 1, [], [], False)
    assert facts("build_info")[:6] == ("info", "", "Build.", 1, [], [])
    assert facts("door") == ("stateset", "", "Door.", 1, ["place"], [1], False)
    assert facts("unused_total") == ("counter", "", "Unused.", 0, ["code"], [0], False)
    assert facts("hits_total") == ("counter", "", "Hits.", 4, ["x", "y"], [4, 1], False)
    assert facts("lag_seconds") == ("histogram", "", "Lag.", 2, ["q"], [2], False)
    assert facts("host_info") == ("info", "", "Host.", 1, ["name"], [1], False)
    assert facts("mode") == ("stateset", "", "Mode.", 1, [], [], False)
    assert facts("plain")[0] == "unknown"
    assert facts("empty") == ("gauge", "", "None.", 0, [], [], False)
    assert overview(every_kind)["families_left_out"] == 0


def test_their_names_are_those_of_the_protobuf_format_and_select_them(every_kind: CollectorRegistry) -> None:
    def names(query: str) -> list[str]:
        accept = f"{PROTOBUF}; escaping=allow-utf-8"
        body = answer_scrape(every_kind, "GET", accept=accept, query=query).body
        return [message[2 : 2 + message[1]].decode() for message in messages(body)]

    found = families(every_kind)
    assert set(found) == set(names(""))
    for name in found:
        assert names(f"name[]={name}") == [name]
        assert list(families(every_kind, f"name[]={name}")) == [name]


def test_it_counts_series_and_reads_no_numbers() -> None:
    registry = CollectorRegistry()
    calls: list[int] = []
    jobs = Counter("jobs_total", "Jobs.", ["queue"], registry=registry)
    jobs.labels("mail").inc()
    assert isinstance(jobs, HasSeriesLabels)
    assert jobs.series_labels() == [("mail",)]
    gauge = Gauge("depth", "Depth.", ["a", "b"], registry=registry)
    gauge.labels("1", "2").set(1)
    gauge.labels("2", "2").set(1)
    assert gauge.labels(a="1").series_labels() == [("1", "2")]

    def load() -> float:
        calls.append(1)
        return 1.0

    Gauge("load", "Load.", registry=registry).set_function(load)
    found = {name: family["series"] for name, family in families(registry).items()}
    assert found == {"jobs_total": 1, "depth": 2, "load": 1}
    assert not calls


class OnlyRows:
    """A collector of a third party that has rows, and nothing faster."""

    def __init__(self) -> None:
        self._metric = Counter("theirs_total", "Theirs.", ["a"], registry=None)
        self._metric.labels("1").inc()
        self._metric.labels("2").inc()
        self.definition = self._metric.definition
        self.name = self._metric.name
        self.rows = self._metric.rows
        self.refresh = self._metric.refresh
        self.collect = self._metric.collect


def test_any_registry_will_do() -> None:
    found = families(Plain(lambda: [OnlyRows(), Custom(gauge_family("a"))], prefix="x"))
    assert found["x_theirs_total"]["values"] == [2]
    assert found["x_a"]["series"] == 1


def test_a_native_family_of_a_custom_collector_is_native() -> None:
    registry = CollectorRegistry()
    source = Histogram("a_seconds", "A.", native=True, registry=None)
    source.observe(1)
    [native] = [row.native for row in source.rows()]
    samples = [Sample("_count", {}, 1.0, native=native), Sample("_sum", {}, 1.0)]
    registry.register(Custom(Family("a_seconds", "histogram", "A.", samples)))
    assert families(registry)["a_seconds"]["native"] is True


def test_hostile_texts_stay_texts() -> None:
    text = "</script><img src=x onerror=alert(1)>\u2028\u0000\"'\\\n"
    registry = CollectorRegistry()
    Gauge(text, text, [text], names="utf8", registry=registry).labels(text).set(1)
    registry.register(Custom(gauge_family("lone")))
    body = answer_scrape(registry, "GET", accept=OVERVIEW_TYPE).body
    assert body.isascii()
    [family, _] = json.loads(body)["families"]
    assert (family["name"], family["help"], family["labels"]) == (text, text, [text])


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview_module, "_FAMILIES_AT_MOST", 3)
    monkeypatch.setattr(overview_module, "_COUNTED_SERIES_AT_MOST", 5)
    registry = CollectorRegistry()
    small = Counter("small_total", "x" * 5000, ["a"], registry=registry)
    large = Counter("large_total", "Large.", ["a"], registry=registry)
    for number in range(5):
        small.labels(str(number)).inc()
        large.labels(str(number)).inc()
    registry.register(Custom(gauge_family("custom", *[Sample("", {"a": str(n)}, 1.0) for n in range(7)])))
    Gauge("last", "Last.", registry=registry)
    got = overview(registry)
    assert [family["name"] for family in got["families"]] == ["small_total", "large_total", "custom"]
    assert got["families_left_out"] == 1
    assert [(family["series"], family["values"]) for family in got["families"]] == [(5, [5]), (5, None), (7, None)]
    assert len(got["families"][0]["help"]) == 1000

    monkeypatch.setattr(overview_module, "_FAMILY_CHARACTERS_AT_MOST", 200)
    got = overview(registry)
    assert [family["name"] for family in got["families"]] == ["large_total"]
    assert got["families_left_out"] == 3


# Deadlines and failures -----------------------------------------------------------------------------------------------


def test_a_collector_that_hangs_is_left_out(every_kind: CollectorRegistry) -> None:
    released = threading.Event()

    class Hanging:
        name = "hanging"

        def collect(self) -> Iterator[Family]:
            released.wait()
            yield gauge_family("late")

    every_kind.register(Hanging())
    try:
        got = overview(every_kind, timeout="0.5")
    finally:
        released.set()
    assert "shop_requests_total" in {family["name"] for family in got["families"]}
    [failed] = got["failed"]
    assert (failed["collector"], failed["count"]) == ("hanging", 1)
    assert failed["error"].startswith("NotReturnedError: ")


def test_failed_collectors_are_told_without_credentials() -> None:
    class Failing:
        name = "failing"

        def collect(self) -> Iterator[Family]:
            raise ConnectionError("no answer of redis://bob:hunter2@db.example/0?password=hunter3 in /srv/bob/x.sock")

    registry = CollectorRegistry()
    registry.register(Failing())
    Gauge("broken", "Broken.", registry=registry).set_function(lambda: 1 / 0)
    before = time.time()
    expose(registry)  # a scrape calls the function, and the overview does not
    got = overview(registry)
    failed = {each["collector"]: each for each in got["failed"]}
    assert failed["failing"]["error"] == "ConnectionError: no answer of redis://***@db.example/0?*** in ...x.sock"
    assert failed["failing"]["count"] == 2
    assert failed["failing"]["at"] >= before - 0.001  # it is rounded
    assert failed["broken"]["error"] == "ZeroDivisionError: division by zero"
    assert "pytheus_collector_errors_total" in {family["name"] for family in got["families"]}


def test_a_registry_that_fails_is_an_error() -> None:
    response = answer_scrape(Plain(fail), "GET", accept=OVERVIEW_TYPE)
    assert response.status == 500
    assert b"secret" not in response.body


def test_the_credentials_of_the_registry_are_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Origin:
        def document(self) -> dict[str, object]:
            raise ValueError("a plan with hunter2")

        def scrub(self, text: str) -> str:
            return text.replace("hunter2", "***")

    monkeypatch.setattr(overview_module, "origin_of", lambda registry: Origin())

    class Failing:
        name = "failing"

        def collect(self) -> Iterator[Family]:
            raise ValueError("hunter2 was refused")

    registry = CollectorRegistry()
    registry.register(Failing())
    got = overview(registry)
    assert got["failed"][0]["error"] == "ValueError: *** was refused"
    assert got["problems"] == ["ValueError: a plan with ***"]


# The registry ---------------------------------------------------------------------------------------------------------


def test_a_registry_that_the_program_made() -> None:
    got = overview(CollectorRegistry())
    assert got["registry"] == {
        "address": "CollectorRegistry",
        "name": "CollectorRegistry",
        "origin": "program",
        "source": "made by the program",
        "distribution": None,
        "version": None,
    }
    assert (got["options"], got["plugins"], got["wrap"]) == ({}, {"named": [], "blocked": {}}, [])
    assert got["registries"] == ["CollectorRegistry"]
    assert (got["version"], got["compiled"], got["pid"]) == (pytheus.__version__, pytheus.COMPILED, os.getpid())
    assert got["uptime_seconds"] is None or got["uptime_seconds"] > 0
    assert (got["processes"], got["failed"]) == ([], [])


def test_a_registry_that_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytheus]\nregistry = "default://?prefix=shop"\nwrap = [{ labelled = { zone = "a" } }]\nstrict = true\n'
    )
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHEUS_REGISTRY", "PYTHEUS_CONFIG", "PYTHEUS_PLUGINS", "PYTHEUS_STRICT"):
        monkeypatch.delenv(name, raising=False)
    proxy = CollectorRegistryProxy(resolve_registry())
    (tmp_path / "pyproject.toml").unlink()  # it is as it was when the registry was made
    for registry in (proxy, read_only(union(proxy))):
        got = overview(registry)
        assert got["registry"]["address"] == "default://?prefix=shop"
        assert (got["registry"]["origin"], got["registry"]["source"]) == ("configuration", "from pyproject.toml")
        assert got["options"] == {"prefix": {"value": "shop", "source": "from pyproject.toml"}}
        assert got["wrap"] == [{"layer": "labelled", "arguments": {"zone": "a"}}]
        assert got["strict"] == {"value": True, "source": "from pyproject.toml"}
        assert got["configuration"] == "pyproject.toml"
        assert str(tmp_path) not in json.dumps(got)


def test_a_name_that_the_program_chose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    proxy = CollectorRegistryProxy()
    proxy.set_registry("default://?prefix=store")
    assert overview(proxy)["registry"]["source"] == "as argument"
    with proxy.use(CollectorRegistry()):
        assert overview(proxy)["registry"]["origin"] == "program"


def test_it_tells_what_the_command_tells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pytheus.cli.__main__ import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHEUS_REGISTRY", "default://?prefix=shop")
    assert main(["config", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    got = overview(resolve_registry())
    assert told.pop("looked_at") is not None
    assert told.items() <= got.items()


def test_neither_arguments_nor_variables_are_in_it(monkeypatch: pytest.MonkeyPatch, shop: CollectorRegistry) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2hunter2")
    monkeypatch.setattr("sys.argv", ["/srv/shop/app.py", "--token", "hunter3hunter3"])
    text = json.dumps(overview(shop))
    for hidden in ("hunter2", "hunter3", "SHOP_PASSWORD", "app.py", os.getcwd(), os.path.expanduser("~")):
        assert hidden not in text


# Processes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared() -> Iterator[Callable[[], ShardedRegistry]]:
    backend = MemoryBackend()
    made: list[ShardedRegistry] = []

    def make() -> ShardedRegistry:
        made.append(ShardedRegistry(MemoryShardStore(backend)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_processes_are_told(shared: Callable[[], ShardedRegistry]) -> None:
    one, other = shared(), shared()
    jobs = Counter("jobs_total", "Jobs.", ["queue"], registry=one)
    jobs.labels("mail").inc()
    jobs.labels("print").inc()
    Histogram("wait_seconds", "Waits.", native=True, registry=other).observe(1)
    assert one.processes() == []  # before the first scrape

    got = overview(one)
    assert [(each["state"], each["pid"], each["series"]) for each in got["processes"]] == [
        ("alive", os.getpid(), 2),
        ("alive", os.getpid(), 1),
    ]
    assert all(each["age"] >= 0 and each["host"] for each in got["processes"])
    assert len({each["id"] for each in got["processes"]}) == 2
    assert {family["name"]: family["series"] for family in got["families"]} == {"jobs_total": 2, "wait_seconds": 1}

    other.close()
    one.close()
    assert overview(one)["processes"] == []


LAYERS: Sequence[Callable[[Registry], Registry]] = (
    CollectorRegistryProxy,
    read_only,
    lambda registry: prefixed(registry, "x"),
    lambda registry: labelled(registry, zone="a"),
    lambda registry: limited(registry, max_series=10),
    lambda registry: filtered(registry, names=["jobs_total"]),
    lambda registry: union(CollectorRegistry(), registry),
    lambda registry: CollectorRegistryProxy(prefixed(read_only(union(registry)), "x")),
)


@pytest.mark.parametrize("layer", LAYERS)
def test_processes_are_told_through_layers(
    layer: Callable[[Registry], Registry], shared: Callable[[], ShardedRegistry]
) -> None:
    registry = shared()
    Counter("jobs_total", "Jobs.", registry=registry).inc()
    assert [each["state"] for each in overview(layer(registry))["processes"]] == ["alive"]


class Foreign(CollectorRegistry):
    """A registry with an unrelated member of this name, or with one that fails."""

    def __init__(self, answer: Callable[[], object]) -> None:
        super().__init__()
        self._answer = answer

    @property
    def processes(self) -> object:
        return self._answer


@pytest.mark.parametrize("answer", [lambda: 1 / 0, lambda: ["a", 1], lambda: 5, lambda: None])
def test_an_unrelated_member_does_no_harm(answer: Callable[[], object]) -> None:
    assert overview(Foreign(answer))["processes"] == []


def test_processes_of_third_parties_are_bounded() -> None:
    many = [ProcessInfo(str(n), n, "h" * 1000, "alive", float("nan"), n) for n in range(1200)]
    got = overview(Foreign(lambda: many))
    assert (len(got["processes"]), got["processes_left_out"]) == (1000, 200)
    assert got["processes"][0]["age"] is None
    assert len(got["processes"][0]["host"]) == 255


def test_the_package_has_both_formats() -> None:
    assert page.PAGE_FORMATS == (page.OVERVIEW, page.PAGE)
