"""What prometheus_client's own endpoints show: of its default registry all processes, and otherwise this one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

import pytheus
from pytheus.registry import CollectorRegistry
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from pytheus_prometheus_client import PytheusCollector, install, uninstall

if TYPE_CHECKING:
    from tests.prometheus_client.conftest import Web

Lines = Callable[[str | bytes], list[str]]

# Imported before the installation, as a program's names are.
PLAIN: Final = generate_latest
OPENMETRICS: Final = cast(Callable[[TheirRegistry], bytes], generate_openmetrics)


class Processes:
    """A registry in which the seam is installed, and that of another process."""

    def __init__(self) -> None:
        backend = MemoryBackend()
        self.ours, self.other = (ShardedRegistry(MemoryShardStore(backend)) for _ in range(2))


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Two processes; the seam is installed in this one."""
    made = Processes()
    install(made.ours)
    yield made
    uninstall()


@pytest.fixture
def jobs(processes: Processes) -> Iterator[prometheus_client.Counter]:
    """A counter in prometheus_client's default registry: 3 in this process, 4 in the other."""
    counter = prometheus_client.Counter("seam_jobs", "Jobs.")
    counter.inc(3)
    pytheus.Counter("seam_jobs_total", "Jobs.", registry=processes.other).inc(4)
    yield counter
    prometheus_client.REGISTRY.unregister(counter)


def of_seam(text: str | bytes, lines: Lines) -> list[str]:
    """The lines of metrics of these tests."""
    return [line for line in lines(text) if line.startswith("seam_")]


def wsgi(registry: TheirRegistry, query: str = "", accept: str = "") -> bytes:
    """The body that prometheus_client's WSGI application sends."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": query, "HTTP_ACCEPT": accept}
    body: list[bytes] = cast(Any, prometheus_client.make_wsgi_app(registry))(environ, lambda *_: None)
    return b"".join(body)


def asgi(registry: TheirRegistry) -> bytes:
    """The body that prometheus_client's ASGI application sends."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    app = cast(Any, prometheus_client.make_asgi_app(registry))
    asyncio.run(app({"type": "http", "query_string": b"", "headers": []}, receive, send))
    body: bytes = sent[1]["body"]
    return body


def pushed(registry: TheirRegistry) -> bytes:
    """The body that is pushed to a gateway."""
    bodies: list[bytes] = []

    def handler(url: str, method: str, timeout: float, headers: object, data: bytes) -> Callable[[], None]:
        return lambda: bodies.append(data)

    prometheus_client.push_to_gateway("gateway", "job", registry, handler=cast(Any, handler))
    return bodies[0]


ENDPOINTS: Final[dict[str, Callable[[TheirRegistry], bytes]]] = {
    "text": PLAIN,
    "openmetrics": OPENMETRICS,
    "wsgi": wsgi,
    "wsgi openmetrics": lambda registry: wsgi(registry, accept="application/openmetrics-text; version=1.0.0"),
    "wsgi escaped": lambda registry: wsgi(registry, accept="text/plain; version=1.0.0; escaping=dots"),
    "wsgi restricted": lambda registry: wsgi(registry, "name[]=seam_jobs_total"),
    "asgi": asgi,
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_of_the_default_registry_shows_all_processes(
    name: str, jobs: prometheus_client.Counter, lines: Lines
) -> None:
    text = ENDPOINTS[name](prometheus_client.REGISTRY)
    assert [line.replace("__", "_") for line in of_seam(text, lines)] == ["seam_jobs_total 7.0"]


def test_a_server_of_the_default_registry_shows_all_processes(
    jobs: prometheus_client.Counter, lines: Lines, web: Web
) -> None:
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1")
    try:
        text = web.get(f"http://127.0.0.1:{server.server_port}/metrics")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert of_seam(text, lines) == ["seam_jobs_total 7.0"]


def test_other_readers_see_this_process(jobs: prometheus_client.Counter, lines: Lines, tmp_path: Path) -> None:
    registry = prometheus_client.REGISTRY
    assert registry.get_sample_value("seam_jobs_total") == 3.0
    [family] = registry.restricted_registry(["seam_jobs_total"]).collect()
    assert family.samples[0].value == 3.0
    assert of_seam(pushed(registry), lines) == ["seam_jobs_total 3.0"]
    prometheus_client.write_to_textfile(str(tmp_path / "file"), registry)
    assert of_seam((tmp_path / "file").read_text(), lines) == ["seam_jobs_total 3.0"]


def test_each_of_their_types_is_merged(processes: Processes, lines: Lines) -> None:
    library = prometheus_client
    made = (
        library.Histogram("seam_wait", "Wait.", ["queue"], buckets=[1]),
        library.Summary("seam_size", "Size."),
        library.Gauge("seam_depth", "Depth.", multiprocess_mode="sum"),
        library.Enum("seam_door", "Door.", states=["open", "shut"]),
        library.Info("seam_build", "Build."),
    )
    try:
        made[0].labels("mail").observe(0.5)
        made[1].observe(2)
        made[2].set(5)
        made[4].info({"version": "1"})
        registry = processes.other
        pytheus.Histogram("seam_wait", "Wait.", ["queue"], buckets=[1], registry=registry).labels("mail").observe(2)
        pytheus.Summary("seam_size", "Size.", registry=registry).observe(3)
        pytheus.Gauge("seam_depth", "Depth.", processes="all", registry=registry).set(6)
        assert of_seam(PLAIN(), lines) == [
            'seam_wait_bucket{le="1.0",queue="mail"} 1.0',
            'seam_wait_bucket{le="+Inf",queue="mail"} 2.0',
            'seam_wait_sum{queue="mail"} 2.5',
            'seam_wait_count{queue="mail"} 2.0',
            "seam_size_sum 5.0",
            "seam_size_count 2.0",
            "seam_depth 11.0",
            'seam_door{seam_door="open"} 1.0',
            'seam_door{seam_door="shut"} 0.0',
            'seam_build_info{version="1"} 1.0',
        ]
        assert b"seam_size_created " in PLAIN()
    finally:
        for metric in made:
            library.REGISTRY.unregister(metric)


def test_the_default_registry_shows_metrics_of_other_processes_but_not_of_other_registries(
    jobs: prometheus_client.Counter, processes: Processes, theirs: TheirRegistry, lines: Lines
) -> None:
    prometheus_client.Counter("seam_private", "Private.", registry=theirs).inc()
    pytheus.Counter("seam_native_total", "Of pytheus.", registry=processes.ours).inc()
    pytheus.Counter("seam_remote_total", "Of the other process.", registry=processes.other).inc()
    assert of_seam(PLAIN(), lines) == ["seam_jobs_total 7.0", "seam_remote_total 1.0"]
    restricted = prometheus_client.REGISTRY.restricted_registry(["seam_remote_total", "seam_private_total"])
    assert of_seam(PLAIN(restricted), lines) == ["seam_remote_total 1.0"]


def test_a_series_that_no_process_has_and_a_refused_metric_are_shown_as_before(
    processes: Processes, lines: Lines
) -> None:
    pytheus.Gauge("seam_taken", "Of pytheus.", registry=processes.ours)
    with pytest.warns(Warning, match="'seam_taken' stays in prometheus_client alone"):
        taken = prometheus_client.Counter("seam_taken", "Of prometheus_client.")
    empty = prometheus_client.Gauge("seam_empty", "Empty.", ["queue"])
    try:
        taken.inc(2)
        assert of_seam(PLAIN(), lines) == ["seam_taken_total 2.0"]
        assert b"# TYPE seam_empty gauge\n" in PLAIN()
    finally:
        for metric in (taken, empty):
            prometheus_client.REGISTRY.unregister(metric)


class Disk:
    """A collector without numbers of prometheus_client, which counts how often it is asked."""

    asked = 0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self.asked += 1
        yield GaugeMetricFamily("seam_disk", "Disk.", self.asked)


def test_a_custom_collector_is_asked_once_by_each_scrape(jobs: prometheus_client.Counter, lines: Lines) -> None:
    disk = Disk()
    prometheus_client.REGISTRY.register(disk)
    try:
        disk.asked = 0
        assert of_seam(PLAIN(), lines) == ["seam_jobs_total 7.0", "seam_disk 1.0"]
        restricted = prometheus_client.REGISTRY.restricted_registry(["seam_jobs_total"])
        assert of_seam(PLAIN(restricted), lines) == ["seam_jobs_total 7.0"]
        assert disk.asked == 1
    finally:
        prometheus_client.REGISTRY.unregister(disk)


def test_a_function_is_called_once_by_each_scrape(processes: Processes, lines: Lines) -> None:
    calls: list[str] = []

    def size() -> int:
        calls.append("size")
        return len(calls)

    depth = prometheus_client.Gauge("seam_depth", "Depth.", multiprocess_mode="sum")
    depth.set_function(size)
    try:
        assert of_seam(PLAIN(), lines) == ["seam_depth 1.0"]
    finally:
        prometheus_client.REGISTRY.unregister(depth)


def test_a_bridge_in_the_default_registry_shows_each_metric_once(
    jobs: prometheus_client.Counter, processes: Processes, lines: Lines
) -> None:
    pytheus.Counter("seam_native_total", "Of pytheus.", registry=processes.ours).inc()
    bridge = PytheusCollector(processes.ours)
    prometheus_client.REGISTRY.register(bridge)
    try:
        assert sorted(of_seam(PLAIN(), lines)) == ["seam_jobs_total 7.0", "seam_native_total 1.0"]
    finally:
        prometheus_client.REGISTRY.unregister(bridge)


def test_the_prefix_of_the_registry_is_shown(lines: Lines) -> None:
    backend = MemoryBackend()
    one, other = (ShardedRegistry(MemoryShardStore(backend), prefix="seam_shop") for _ in range(2))
    install(one)
    counter = prometheus_client.Counter("jobs", "Jobs.")
    try:
        counter.inc()
        pytheus.Counter("jobs_total", "Jobs.", registry=other).inc()
        assert of_seam(PLAIN(), lines) == ["seam_shop_jobs_total 2.0"]
        assert b"\njobs_total" not in PLAIN()
    finally:
        prometheus_client.REGISTRY.unregister(counter)


def test_target_info_is_shown(jobs: prometheus_client.Counter, lines: Lines) -> None:
    prometheus_client.REGISTRY.set_target_info({"env": "test"})
    try:
        assert 'target_info{env="test"} 1.0' in lines(PLAIN())
        restricted = prometheus_client.REGISTRY.restricted_registry(["target_info"])
        assert lines(PLAIN(restricted)) == ['target_info{env="test"} 1.0']
    finally:
        prometheus_client.REGISTRY.set_target_info(None)


# Which endpoints are merged ------------------------------------------------------------------------------------------


def test_another_registry_shows_this_process_unless_it_is_named(
    processes: Processes, theirs: TheirRegistry, lines: Lines
) -> None:
    prometheus_client.Counter("seam_jobs", "Jobs.", registry=theirs).inc(3)
    pytheus.Counter("seam_jobs_total", "Jobs.", registry=processes.other).inc(4)
    pytheus.Counter("seam_remote_total", "Of the other process.", registry=processes.other).inc()
    assert of_seam(PLAIN(theirs), lines) == ["seam_jobs_total 3.0"]
    install(processes.ours, merged_endpoints=[theirs])
    assert of_seam(PLAIN(theirs), lines) == ["seam_jobs_total 7.0"]
    install(processes.ours)
    assert of_seam(wsgi(theirs, "name[]=seam_jobs_total"), lines) == ["seam_jobs_total 7.0"]


def test_no_endpoint_is_merged_without_a_named_registry(
    jobs: prometheus_client.Counter, processes: Processes, lines: Lines
) -> None:
    install(processes.ours, merged_endpoints=[])
    assert of_seam(PLAIN(), lines) == ["seam_jobs_total 3.0"]


def test_without_the_installation_they_show_this_process(jobs: prometheus_client.Counter, lines: Lines) -> None:
    uninstall()
    assert of_seam(PLAIN(), lines) == ["seam_jobs_total 3.0"]
    assert of_seam(wsgi(prometheus_client.REGISTRY, "name[]=seam_jobs_total"), lines) == ["seam_jobs_total 3.0"]


def test_a_registry_of_one_process_changes_no_byte(ours: CollectorRegistry) -> None:
    counter = prometheus_client.Counter("seam_jobs", "Jobs.")
    try:
        counter.inc()
        pytheus.Counter("seam_native_total", "Of pytheus.", registry=ours).inc()
        restricted = prometheus_client.REGISTRY.restricted_registry(["seam_jobs_total", "seam_jobs_created"])
        shown = PLAIN(restricted)
        assert b"seam_native_total" not in PLAIN()
        uninstall()
        assert PLAIN(restricted) == shown
    finally:
        prometheus_client.REGISTRY.unregister(counter)


def test_an_encoder_of_another_library_sees_this_process(jobs: prometheus_client.Counter) -> None:
    def generate_latest(registry: TheirRegistry) -> list[float]:
        return [
            sample.value for each in registry.collect() for sample in each.samples if sample.name.startswith("seam")
        ]

    assert generate_latest(prometheus_client.REGISTRY)[0] == 3.0
