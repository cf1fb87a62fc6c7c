"""Real receivers: Prometheus and VictoriaMetrics have each number that was written by remote write or OTLP.

Servers: the installed one, and those that tools/newer_prometheus.py has downloaded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import urlopen

import pytest

from pytheus import Counter, CustomCollector, Histogram
from pytheus.push import OtlpExporter, RemoteWriter
from pytheus.push.remote_write import AnyRemoteWriteVersion
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from tests.conftest import Prometheus, unused_port, wait_until
from tests.e2e.every_type import (
    GAUGE_HISTOGRAMS,
    NATIVE_ALONE,
    NATIVE_HISTOGRAMS,
    USER,
    Series,
    every_type,
    key,
    underscored,
)
from tests.e2e.scraped import DOWNLOADED, FEATURES, PROGRAMS, Scene, version_of
from tests.e2e.test_formats_prometheus import assert_same, buckets_of, found_buckets

if TYPE_CHECKING:
    from tests.conftest import Program, Start

VICTORIAS = list(map(str, sorted(DOWNLOADED.glob("*/usr/bin/victoria-metrics"))))

pytestmark = [
    pytest.mark.skipif(not PROGRAMS, reason="needs Debian's prometheus"),
    pytest.mark.filterwarnings("ignore:counter .* has no suffix"),
]
needs_victoria = pytest.mark.skipif(
    not VICTORIAS, reason="needs VictoriaMetrics, which tools/newer_prometheus.py downloads"
)


def _listening(start: Start, program: str, home: Path, ready: str, arguments: Sequence[str], option: str) -> str:
    """The URL of a new server."""
    for _ in range(5):
        address = f"127.0.0.1:{unused_port()}"
        server = start(program, *arguments, f"{option}={address}", cwd=home)
        wait_until(lambda server=server, address=address: _answers(server, f"http://{address}{ready}"), "the server")  # type: ignore[misc]  # bound now
        if server.process.poll() is None:
            return f"http://{address}"
    pytest.fail("no port was left for a server")


def _answers(server: Program, url: str) -> bool:
    if server.process.poll() is not None:
        return True
    try:
        with urlopen(url, timeout=60) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _prometheus(start: Start, program: str, home: Path, features: Sequence[str]) -> str:
    (home / "prometheus.yml").write_text("")
    arguments = [f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'tsdb'}"]
    arguments.append("--web.enable-remote-write-receiver")
    if features:
        arguments.append(f"--enable-feature={','.join(features)}")
    return _listening(start, program, home, "/-/ready", arguments, "--web.listen-address")


def _victoria(start: Start, home: Path) -> str:
    arguments = (
        f"-storageDataPath={home / 'data'}",
        "-search.latencyOffset=0s",
        "-memory.allowedBytes=64MB",
    )
    return _listening(start, VICTORIAS[-1], home, "/health", arguments, "-httpListenAddr")


class Written(NamedTuple):
    """A server of `version` with the numbers of `at`, and those that it must have."""

    version: tuple[int, int]
    server: Prometheus
    expected: Series
    at: float
    ended: float

    def numbers(self, at: float) -> Series:
        result = self.server.ask("query", query='{job="written"}', time=f"{at:.3f}")["result"]
        return {Scene.key(each["metric"]): float(each["value"][1]) for each in result if "value" in each}


@pytest.fixture(scope="module", params=PROGRAMS, ids=range(len(PROGRAMS)))
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, start_for_module: Start
) -> Written:
    program = request.param
    url = _prometheus(start_for_module, program, tmp_path_factory.mktemp("written"), FEATURES)
    registry, expected = every_type()
    writer = RemoteWriter(url, registry, interval_seconds=0.5, labels={"job": "written"}).start()
    wait_until(lambda: writer.status.delivered > 0, "the first numbers")
    at = time.time()
    writer.close()
    status = writer.status
    assert (status.dropped, status.failures, status.error) == (0, 0, "")
    return Written(version_of(program), Prometheus(url, set()), underscored(expected), at, time.time() + 0.01)


def test_prometheus_has_each_number(written: Written) -> None:
    expected = {
        each: value
        for each, value in written.expected.items()
        if not each[0].startswith(tuple(f"{name}_" for name in NATIVE_ALONE))
    }
    assert_same(written.numbers(written.at), expected)


@pytest.mark.parametrize("histogram", NATIVE_HISTOGRAMS)
def test_prometheus_has_the_native_histograms(written: Written, histogram: str) -> None:
    query = f'{histogram}{{job="written"}}'
    (series,) = written.server.ask("query", query=query, time=f"{written.at:.3f}")["result"]
    seen = NATIVE_HISTOGRAMS[histogram]
    assert float(series["histogram"][1]["count"]) == seen.native.total
    assert float(series["histogram"][1]["sum"]) == pytest.approx(math.fsum(seen.values))
    assert found_buckets(series) == buckets_of(seen.native)


def test_prometheus_has_the_exemplars(written: Written) -> None:
    times = {"start": f"{written.at - 60:.3f}", "end": f"{written.ended + 60:.3f}"}
    found = [
        (series["seriesLabels"]["__name__"], exemplar["labels"], float(exemplar["value"]))
        for series in written.server.ask("query_exemplars", query='{job="written"}', **times)
        for exemplar in series["exemplars"]
    ]
    assert ("shop_orders_total", {"trace_id": "4bf92f35"}, 0.0) in found
    assert ("shop_request_seconds_bucket", {"trace_id": "0af76519", "user": USER}, 0.25) in found
    assert ("shop_native_seconds", {"trace_id": "b7ad6b71"}, 0.5) in found


def test_all_series_have_ended(written: Written) -> None:
    assert written.numbers(written.ended) == {}
    assert written.server.ask("query", query='shop_both_seconds{job="written"}', time=f"{written.ended:.3f}")["result"] == []  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("program", PROGRAMS[-1:])
def test_a_server_with_native_histograms_switched_off(program: str, start: Start, tmp_path: Path) -> None:
    registry, _ = every_type()
    url = _prometheus(start, program, tmp_path, ())
    writer = RemoteWriter(url, registry, interval_seconds=0.2, labels={"job": "written"}).start()
    wait_until(lambda: writer.status.delivered > 200, "several snapshots")
    server = Prometheus(url, set())
    found = {labels["le"] for labels, _ in server.query('shop_native_seconds_bucket{job="written"}')}
    writer.close()
    assert "+Inf" in found or version_of(program) >= (3, 8)
    assert writer.status.dropped == 0


class _Late(CustomCollector):
    """A sample of two hours ago, which a server with newer ones refuses."""

    def __init__(self) -> None:
        self.time = time.time() - 7200

    def collect(self) -> Iterator[Family]:
        yield Family("late", "gauge", "Late.", [Sample("", {}, 1.0, self.time)])


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
@pytest.mark.parametrize("version", ["auto", "1.0"])
def test_a_sample_that_is_too_old_is_lost_alone(
    program: str, version: AnyRemoteWriteVersion, start: Start, tmp_path: Path
) -> None:
    url = _prometheus(start, program, tmp_path, ())
    registry = CollectorRegistry()
    ticks = Counter("ticks_total", "Ticks.", registry=registry)
    with RemoteWriter(url, registry, version=version, interval_seconds=0.1, labels={"job": "written"}) as writer:
        wait_until(lambda: writer.status.delivered > 2, "the first numbers")
        registry.register(_Late())
        wait_until(lambda: writer.status.dropped > 2, "old samples")
        ticks.inc(5)
        server = Prometheus(url, set())
        query = 'ticks_total{job="written"}'
        wait_until(lambda: [value for _, value in server.query(query)] == [5.0], "the other number")
        assert "out of bounds" in writer.status.error


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_series_go_on_when_their_histogram_gets_other_buckets(program: str, start: Start, tmp_path: Path) -> None:
    url = _prometheus(start, program, tmp_path, ())
    registry = CollectorRegistry()
    former = Histogram("wait_seconds", "Wait.", buckets=[1, 2], registry=registry)
    with RemoteWriter(url, registry, interval_seconds=0.1, labels={"job": "written"}) as writer:
        wait_until(lambda: writer.status.delivered > 0, "the first numbers")
        registry.unregister(former)
        Histogram("wait_seconds", "Wait.", buckets=[1, 5], registry=registry).observe(3)
        server = Prometheus(url, set())
        query = 'wait_seconds_bucket{job="written"}'
        expected = {"1.0": 0.0, "5.0": 1.0, "+Inf": 1.0}
        wait_until(
            lambda: {labels["le"]: value for labels, value in server.query(query)} == expected, "the other buckets"
        )
        assert (writer.status.dropped, writer.status.error) == (0, "")


def _has_delivered(writer: RemoteWriter, numbers: int) -> bool:
    return writer.status.delivered > numbers


def test_no_number_is_lost_while_prometheus_is_away(start: Start, tmp_path: Path) -> None:
    """It is stopped and started again; the numbers of the time between arrive afterwards."""
    (tmp_path / "prometheus.yml").write_text("")
    address = f"127.0.0.1:{unused_port()}"
    command = [PROGRAMS[0], f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    command += ["--web.enable-remote-write-receiver", f"--web.listen-address={address}"]
    registry = CollectorRegistry()
    ticks = Counter("ticks_total", "Ticks.", registry=registry)
    with RemoteWriter(f"http://{address}", registry, interval_seconds=0.1, labels={"job": "written"}) as writer:
        for _ in range(2):
            before = writer.status.delivered
            server = start(*command, cwd=tmp_path)
            wait_until(lambda server=server: _answers(server, f"http://{address}/-/ready"), "Prometheus")  # type: ignore[misc]  # bound now
            wait_until(partial(_has_delivered, writer, before + 3), "numbers")
            server.process.terminate()
            server.process.wait(60)
            ticks.inc()
            wait_until(lambda: writer.status.queued > 5, "numbers that wait")
        server = start(*command, cwd=tmp_path)
        wait_until(lambda: writer.status.queued == 0, "numbers that waited to arrive")
        delivered, status = writer.status.delivered, writer.status
        result = Prometheus(f"http://{address}", set()).ask("query", query='ticks_total{job="written"}[1h]')["result"]
    assert (status.dropped, status.error) == (0, "")
    assert status.failures > 0
    ((*values,),) = [series["values"] for series in result]
    assert len(values) >= delivered  # each snapshot has one number
    assert {float(value) for _, value in values} == {0.0, 1.0, 2.0}


# VictoriaMetrics ------------------------------------------------------------------------------------------------------


def _comparable(series: Series) -> Series:
    """Without native histograms, which it has in a way of its own, and NaN, which it does not keep; with its bounds."""
    found: Series = {}
    for (name, labels), value in series.items():
        if name.startswith(tuple(NATIVE_HISTOGRAMS)) or not math.isfinite(value):
            continue
        own = {label: f"{float(text):g}" if label == "le" else text for label, text in labels}
        found[key(name, **own)] = value
    return found


def _of_victoria(url: str, at: float) -> Series:
    """Its numbers by the labels of the application."""
    # Never the same query, because it remembers the series of one for ten seconds.
    query = f'{{__name__=~"shop_.*|at_{time.monotonic_ns()}"}}'
    result = Prometheus(url, set()).ask("query", query=query, time=f"{at:.3f}")["result"]
    series: Series = {}
    for each in result:
        own = {name: text for name, text in each["metric"].items() if not name.startswith(("service.", "scope."))}
        series[Scene.key(own)] = float(each["value"][1])
    return series


@needs_victoria
@pytest.mark.parametrize("protocol", ["remote write", "OTLP"])
def test_victoria_metrics_has_each_number(start: Start, tmp_path: Path, protocol: str) -> None:
    """It knows remote write 1.0 only, and answers a request of 2.0 with a success."""
    url = _victoria(start, tmp_path)
    registry, expected = every_type()
    writer: RemoteWriter | OtlpExporter
    if protocol == "OTLP":
        writer = OtlpExporter(f"{url}/opentelemetry/v1/metrics", registry, service_name="shop", interval_seconds=0.5)
    else:
        writer = RemoteWriter(url, registry, interval_seconds=0.5, labels={"job": "shop"}, escaping="allow-utf-8")
    wanted = _comparable(expected)
    with writer:
        wait_until(lambda: writer.status.delivered > 0, "the first numbers")
        at = time.time()
        wait_until(lambda: len(_comparable(_of_victoria(url, at))) >= len(wanted), "the numbers")
        found = _of_victoria(url, at)
    # It keeps about twelve digits.
    assert _comparable(found) == {each: pytest.approx(value, rel=1e-11) for each, value in wanted.items()}
    for name, seen in NATIVE_HISTOGRAMS.items():
        if name not in GAUGE_HISTOGRAMS:
            assert found[key(f"{name}_count")] == seen.native.total
    assert writer.status.error == ""
