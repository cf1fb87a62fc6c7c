"""Real Prometheus servers scrape the same registry in every format, and have the same numbers from each.

The installed server, and those that tools/newer_prometheus.py has downloaded.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from pytheus import make_wsgi_app
from tests.e2e.every_type import Series, every_type

if TYPE_CHECKING:
    from tests.conftest import Prometheus, Start

DOWNLOADED = Path(__file__).resolve().parents[2] / ".venv" / "prometheus"
PROGRAMS = [program for program in [shutil.which("prometheus")] if program]
PROGRAMS += map(str, sorted(DOWNLOADED.glob("*/usr/bin/prometheus")))

pytestmark = pytest.mark.skipif(not PROGRAMS, reason="needs prometheus (Debian: apt-get install prometheus)")

FEATURES = ("exemplar-storage", "native-histograms", "created-timestamp-zero-ingestion")


class Format(NamedTuple):
    """A format: the server's name for it, what a server that has no names for them accepts, and the answer's type."""

    protocol: str
    accept: str
    content_type: str


FORMATS = {
    "text": Format("PrometheusText0.0.4", "text/plain;version=0.0.4", "text/plain; version=0.0.4"),
}


class Target(WSGIServer):
    """Serves an application, and remembers the type of the answers by path.

    A path that is a format's name asks for that format alone, on behalf of servers that cannot be told which to use.
    """

    daemon_threads = True
    types: dict[str, set[str]]

    @classmethod
    def serving(cls, application: Callable[..., Iterable[bytes]]) -> Target:
        types: dict[str, set[str]] = {name: set() for name in FORMATS}

        def asked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            name = environ["PATH_INFO"].strip("/")
            if "format" not in environ["QUERY_STRING"]:
                environ["HTTP_ACCEPT"] = FORMATS[name].accept

            def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                types[name].add(dict(headers)["Content-Type"])
                return start_response(status, headers, *rest)

            return application(environ, started)

        server = make_server("127.0.0.1", 0, asked, cls, Quiet)
        server.types = types
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


class Scene(NamedTuple):
    version: tuple[int, int]
    prometheus: Prometheus
    target: Target
    expected: Series
    at: float

    def series(self, job: str) -> Series:
        """The samples of the scrape at `at`, without those that the server adds."""
        own = f'{{job="{job}",__name__!~"up|scrape_.*"}}'
        return {
            (labels["__name__"], frozenset(labels.items() - {(each, labels[each]) for each in SERVERS_OWN})): value
            for labels, value in self.prometheus.query(own, self.at)
        }


SERVERS_OWN = ("__name__", "instance", "job")


def version_of(program: str) -> tuple[int, int]:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", output)
    assert found is not None
    return int(found[1]), int(found[2])


def job_options(name: str, version: tuple[int, int]) -> list[str]:
    """The lines with which a server of `version` asks for the format `name`."""
    lines = [f"metrics_path: /{name}"]
    if version >= (2, 49):
        lines += [f"scrape_protocols: [{FORMATS[name].protocol}]", "params: {format: [as negotiated]}"]
        lines.append(f"{'always_' if version >= (3, 0) else ''}scrape_classic_histograms: true")
    return lines


@pytest.fixture(scope="module", params=PROGRAMS, ids=[f"server{number}" for number in range(len(PROGRAMS))])
def scene(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    start_for_module: Start,
    start_prometheus: Callable[..., Prometheus],
) -> Iterator[Scene]:
    version = version_of(request.param)
    registry, expected = every_type()
    target = Target.serving(make_wsgi_app(registry))
    prometheus = start_prometheus(
        start_for_module,
        tmp_path_factory.mktemp("formats"),
        program=request.param,
        features=FEATURES,
        options={name: job_options(name, version) for name in FORMATS},
        **dict.fromkeys(FORMATS, target.address),
    )
    yield Scene(version, prometheus, target, expected, prometheus.next_scrape("shop_visits"))
    target.shutdown()
    target.server_close()


def assert_same(series: Mapping[Any, float], expected: Mapping[Any, float]) -> None:
    assert series.keys() == expected.keys()
    differing = {
        each: (value, expected[each])
        for each, value in series.items()
        if value != expected[each] and not (math.isnan(value) and math.isnan(expected[each]))
    }
    assert not differing


@pytest.mark.parametrize("name", FORMATS)
def test_the_server_gets_the_format_that_it_asks_for(scene: Scene, name: str) -> None:
    assert {each.partition("; charset")[0] for each in scene.target.types[name]} == {FORMATS[name].content_type}


@pytest.mark.parametrize("name", FORMATS)
def test_the_server_has_every_number_under_its_name(scene: Scene, name: str) -> None:
    assert_same(scene.series(name), scene.expected)
