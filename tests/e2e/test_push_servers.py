"""Real receivers: Prometheus has the pushed and written metrics by way of Pushgateway and of node_exporter.

Servers: the installed ones, and those that tools/newer_prometheus.py has downloaded.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import urlopen

import pytest

from pytheus import Counter, Gauge, Histogram
from pytheus.exceptions import PushError
from pytheus.push import Access, delete, job, push, write_textfile
from pytheus.registry import CollectorRegistry
from tests.conftest import unused_port, wait_until
from tests.e2e.every_type import GAUGE_HISTOGRAMS, NATIVE_HISTOGRAMS, Series, every_type, underscored
from tests.e2e.scraped import DOWNLOADED, FEATURES, PROGRAMS, Scene, version_of
from tests.e2e.test_formats_prometheus import assert_same, buckets_of, found_buckets

if TYPE_CHECKING:
    from tests.conftest import Program, Prometheus, Start

GATEWAYS = [program for program in [shutil.which("prometheus-pushgateway")] if program]
GATEWAYS += map(str, sorted(DOWNLOADED.glob("*/usr/bin/prometheus-pushgateway")))
EXPORTER = shutil.which("prometheus-node-exporter")

pytestmark = [
    pytest.mark.skipif(
        not (PROGRAMS and GATEWAYS and EXPORTER),
        reason="needs Debian's prometheus, prometheus-pushgateway and prometheus-node-exporter",
    ),
    pytest.mark.filterwarnings("ignore:counter .* has no suffix"),
]

gateways = pytest.mark.parametrize("program", GATEWAYS, ids=[f"gateway{number}" for number in range(len(GATEWAYS))])


def start_gateway(start: Start, program: str, home: Path) -> str:
    """The URL of a new Pushgateway."""
    for _ in range(5):
        address = f"127.0.0.1:{unused_port()}"
        # Debian's keeps its groups in a file of the system.
        gateway = start(program, f"--web.listen-address={address}", "--persistence.file=", cwd=home)
        if is_listening(gateway, f"http://{address}/-/ready"):
            return f"http://{address}"
    pytest.fail("no port was left for a Pushgateway")


def is_listening(program: Program, url: str) -> bool:
    def answers() -> bool:
        if program.process.poll() is not None:
            return True
        try:
            with urlopen(url, timeout=60) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    wait_until(answers, url)
    return program.process.poll() is None


class Servers(NamedTuple):
    """Gateways by job, the folder of the textfiles, and the Prometheus that scrapes all; with the registry's series."""

    gateways: dict[str, str]
    folder: Path
    prometheus: Prometheus
    expected: Series
    at: float
    is_native: bool

    def of_job(self, group: str) -> Series:
        """The numbers of a group in its gateway, or of the exporter."""
        query = f'{{job="{group}",__name__=~"shop_.*"}}'
        result = self.prometheus.ask("query", query=query, time=f"{self.at:.3f}")["result"]
        return {Scene.key(each["metric"]): float(each["value"][1]) for each in result if "value" in each}


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
    start_for_module: Start,
    start_prometheus: Callable[..., Prometheus],
) -> Servers:
    home = tmp_path_factory.mktemp("push")
    registry, expected = every_type()
    # A family has another type in the other format, which one gateway refuses.
    names = {"astext": GATEWAYS[0], "asproto": GATEWAYS[-1]}
    urls = {name: start_gateway(start_for_module, program, home) for name, program in names.items()}
    push(urls["astext"], "astext", registry, format="text", gzip=True)
    push(urls["asproto"], "asproto", registry)

    assert EXPORTER is not None
    folder = home / "textfiles"
    folder.mkdir()
    write_textfile(folder / "shop.prom", registry)
    address = f"127.0.0.1:{unused_port()}"
    exporter = start_for_module(
        EXPORTER,
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={folder}",
        f"--web.listen-address={address}",
        cwd=home,
    )
    assert is_listening(exporter, f"http://{address}/metrics")
    targets = {name: url.removeprefix("http://") for name, url in urls.items()}
    prometheus = start_prometheus(
        start_for_module,
        home,
        program=PROGRAMS[-1],
        features=FEATURES,
        options={name: ["honor_labels: true"] for name in urls},
        **targets,
        asfile=address,
    )
    at = prometheus.next_scrape("shop_visits")
    with urlopen(f"{urls['asproto']}/api/v1/status", timeout=60) as response:
        version = json.load(response)["data"]["build_information"]["version"]
    return Servers(urls, folder, prometheus, expected, at, tuple(map(int, version.split(".")[:2])) >= (1, 9))


def in_text(expected: Series) -> Series:
    return underscored(expected)


def without_empty_sums(series: Series) -> Series:
    """Without those that the servers add to the buckets of gauge histograms, which text calls histograms."""
    added = {f"{name}_{suffix}" for name in GAUGE_HISTOGRAMS for suffix in ("sum", "count")}
    assert all(value == 0 for (name, _), value in series.items() if name in added)
    return {each: value for each, value in series.items() if each[0] not in added}


def test_prometheus_has_each_number_that_was_pushed_as_text(servers: Servers) -> None:
    assert_same(without_empty_sums(servers.of_job("astext")), in_text(servers.expected))


def test_prometheus_has_each_number_that_was_written_to_a_file(servers: Servers) -> None:
    assert_same(without_empty_sums(servers.of_job("asfile")), in_text(servers.expected))
    (written,) = servers.prometheus.query("node_textfile_mtime_seconds")
    assert abs(written[1] - time.time()) < 3600
    assert servers.prometheus.query("node_textfile_scrape_error")[0][1] == 0


def test_prometheus_has_each_number_that_was_pushed_as_protobuf(servers: Servers) -> None:
    absent = tuple(NATIVE_HISTOGRAMS)
    if version_of(PROGRAMS[-1]) < (2, 49):
        # It reads protobuf, in which it calls each part of a gauge histogram by the family's name.
        absent += GAUGE_HISTOGRAMS
    own = {each: value for each, value in in_text(servers.expected).items() if not each[0].startswith(absent)}
    found = {each: value for each, value in servers.of_job("asproto").items() if not each[0].startswith(absent)}
    gauge = "shop_job_age_seconds"
    as_named = {(name.replace(f"{gauge}_g", f"{gauge}_"), labels): value for (name, labels), value in own.items()}
    assert_same(found, as_named)


@pytest.mark.parametrize("histogram", NATIVE_HISTOGRAMS)
def test_prometheus_has_the_native_histograms(servers: Servers, histogram: str) -> None:
    if not servers.is_native:
        pytest.skip("the newest Pushgateway here has no native histograms")
    query = f'{histogram}{{job="asproto"}}'
    (series,) = servers.prometheus.ask("query", query=query, time=f"{servers.at:.3f}")["result"]
    seen = NATIVE_HISTOGRAMS[histogram]
    assert float(series["histogram"][1]["count"]) == seen.native.total
    assert float(series["histogram"][1]["sum"]) == pytest.approx(math.fsum(seen.values))
    assert found_buckets(series) == buckets_of(seen.native)


@pytest.mark.parametrize(
    ("metric", "type"),
    [
        ("shop_orders_total", "counter"),
        ("shop_level", "gauge"),
        ("shop_request_seconds", "histogram"),
        ("shop_size_bytes", "summary"),
        ("shop_build_info", "gauge"),
    ],
)
def test_prometheus_has_the_types(servers: Servers, metric: str, type: str) -> None:
    ((_, (found, *_)),) = servers.prometheus.ask("metadata", metric=metric).items()
    assert found["type"] == type


# Gateways ------------------------------------------------------------------------------------------------------------


def metrics_of(url: str) -> dict[str, float]:
    """The values by name and labels, but for those of the gateway itself."""
    with urlopen(f"{url}/metrics", timeout=60) as response:
        lines = response.read().decode().splitlines()
    pairs = (line.rpartition(" ")[::2] for line in lines if "job=" in line and not line.startswith("push_"))
    return {name: float(value) for name, value in pairs}


@gateways
def test_groups_are_replaced_merged_and_deleted(program: str, start: Start, tmp_path: Path) -> None:
    url = start_gateway(start, program, tmp_path)
    one, other = CollectorRegistry(), CollectorRegistry()
    Gauge("a", "A.", registry=one).set(1)
    Gauge("b", "B.", registry=other).set(2)
    grouping = {"path": "/var/lib", "empty": "", "text": 'é "#?%&'}
    labels = 'empty="",instance="",job="a/b",path="/var/lib",text="é \\"#?%&"'

    push(url, "a/b", one, grouping=grouping)
    push(url, "a/b", other, grouping=grouping, method="merge")
    assert metrics_of(url) == {f"a{{{labels}}}": 1, f"b{{{labels}}}": 2}
    push(url, "a/b", one, grouping=grouping)
    assert metrics_of(url) == {f"a{{{labels}}}": 1}
    delete(url, "a/b", grouping=grouping)
    assert metrics_of(url) == {}
    delete(url, "a/b", grouping=grouping)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the certificates of both sides, and the gateway's configuration, which names them."""
    bcrypt, trustme = pytest.importorskip("bcrypt"), pytest.importorskip("trustme")
    home = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(home / "ca.pem"))
    for name, host in (("server", "127.0.0.1"), ("client", "shop.example")):
        issued = authority.issue_cert(host)
        issued.private_key_pem.write_to_path(str(home / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(home / f"{name}.crt"))
    hashed = bcrypt.hashpw(b"hunter2", bcrypt.gensalt(4)).decode()
    (home / "web.yml").write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
        f"basic_auth_users:\n  shop: {hashed}\n"
    )
    return home


@gateways
def test_a_gateway_with_tls_and_passwords(program: str, start: Start, secured: Path) -> None:
    registry = CollectorRegistry()
    Gauge("a", "A.", registry=registry).set(1)
    address = f"127.0.0.1:{unused_port()}"
    options = ("--persistence.file=", f"--web.config.file={secured / 'web.yml'}")
    gateway = start(program, f"--web.listen-address={address}", *options, cwd=secured)
    gateway.wait_for("TLS is enabled")
    wait_until(lambda: is_open(address), "the gateway to listen")
    files: dict[str, Any] = {"ca_file": secured / "ca.pem"}
    showing: dict[str, Any] = files | {"cert_file": secured / "client.crt", "key_file": secured / "client.key"}

    def reason(url: str, **access: Any) -> tuple[str, str]:
        with pytest.raises(PushError) as caught:
            push(url, "secured", registry, access=Access(**access))
        assert "hunter2" not in str(caught.value)
        return caught.value.reason, str(caught.value)

    push(f"https://shop:hunter2@{address}", "secured", registry, access=Access(**showing))
    push(f"https://{address}", "secured", registry, access=Access(username="shop", password="hunter2", **showing))
    delete(f"https://shop:hunter2@{address}", "secured", access=Access(**showing))
    assert reason(f"https://shop:hunter2@{address}")[0] == "tls"
    assert reason(f"https://shop:hunter2@{address}", **files)[0] in ("tls", "connection", "response")
    kind, words = reason(f"https://shop:hunter22@{address}", **showing)
    assert (kind, "status 401" in words, "check the credentials" in words) == ("status", True, True)
    kind, words = reason(f"https://{address}", **showing)
    assert "pass credentials in the URL or in access=Access(...)" in words
    # The gateway answers in plain text that it wants TLS.
    kind, words = reason(f"http://shop:hunter2@{address}")
    assert (kind, "an HTTP request to an HTTPS server" in words) == ("status", True)


def is_open(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as connection:
        return connection.connect_ex((host, int(port))) == 0


@gateways
def test_the_words_of_a_refusal_are_the_gateways(program: str, start: Start, tmp_path: Path) -> None:
    url = start_gateway(start, program, tmp_path)
    one, other = CollectorRegistry(), CollectorRegistry()
    Gauge("a", "A.", registry=one).set(1)
    Counter("a", "A.", registry=other).inc()
    push(url, "one", one)
    with pytest.raises(PushError, match="pushed metrics are invalid or inconsistent") as caught:
        push(url, "other", other)
    assert caught.value.status == 400


@gateways
@pytest.mark.parametrize("native", [False, True])
def test_a_job_that_fails_leaves_its_last_success(program: str, native: bool, start: Start, tmp_path: Path) -> None:
    url = start_gateway(start, program, tmp_path)
    registry = CollectorRegistry()
    Counter("rows_total", "Rows.", registry=registry).inc(5)
    if native:
        Histogram("wait_seconds", "Waits.", native=True, registry=registry).observe(1)
    with job("nightly", registry, push=url):
        pass
    labels = '{instance="",job="nightly",job_name="nightly"}'
    success = metrics_of(url)[f"batch_job_last_success_timestamp_seconds{labels}"]
    assert abs(success - time.time()) < 3600
    with pytest.raises(ValueError, match="no"), job("nightly", registry, push=url):
        raise ValueError("no")
    found = metrics_of(url)
    assert found[f"batch_job_last_success_timestamp_seconds{labels}"] == success
    assert found[f"batch_job_success{labels}"] == 0
    assert found['rows_total{instance="",job="nightly"}'] == 5


def test_files_of_several_jobs_are_read_together(servers: Servers, tmp_path: Path) -> None:
    for name in ("hourly", "nightly"):
        with job(name, CollectorRegistry(), textfile=servers.folder / f"{name}.prom"):
            pass

    def latest(name: str) -> list[tuple[dict[str, str], float]]:
        return servers.prometheus.query(f"last_over_time({name}[1m])")  # a scrape may fail on a busy machine

    wait_until(lambda: len(latest("batch_job_success")) == 2, "both jobs")
    assert {labels["job_name"]: value for labels, value in latest("batch_job_success")} == {"hourly": 1, "nightly": 1}
    assert [value for _, value in latest("node_textfile_scrape_error")] == [0]
    assert not [name for name in os.listdir(servers.folder) if name.endswith(".tmp")]
