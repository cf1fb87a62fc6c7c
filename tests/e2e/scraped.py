"""A registry that real Prometheus servers scrape in every format: the target, the servers, and what they have."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from pytheus.settings import set_created_lines
from tests.e2e.every_type import Labels, Series

if TYPE_CHECKING:
    from tests.conftest import Prometheus

__all__ = [
    "FEATURES",
    "FORMATS",
    "MERGED",
    "NATIVE",
    "PROGRAMS",
    "Format",
    "Scene",
    "Target",
    "job_options",
    "version_of",
]

DOWNLOADED = Path(__file__).resolve().parents[2] / ".venv" / "prometheus"
PROGRAMS = [program for program in [shutil.which("prometheus")] if program]
PROGRAMS += map(str, sorted(DOWNLOADED.glob("*/usr/bin/prometheus")))
"""The installed server, and those that tools/newer_prometheus.py has downloaded."""

FEATURES = ("exemplar-storage", "native-histograms", "created-timestamp-zero-ingestion")

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Format(NamedTuple):
    """A format: the server's names for it, the media type, and the first version of the server that can ask for it."""

    protocols: str
    media_type: str
    since: tuple[int, int] = (0, 0)


FORMATS = {
    "text": Format("PrometheusText0.0.4", "text/plain; version=0.0.4"),
    # It is the same format, and answered with its older version, as client_golang does.
    "text_utf8": Format("PrometheusText1.0.0", "text/plain; version=0.0.4", (3, 0)),
    "openmetrics": Format("OpenMetricsText1.0.0", OPENMETRICS),
    "created_lines": Format("OpenMetricsText1.0.0", OPENMETRICS),
    # The second one, which the server would take as well, tells how it wants its names.
    "protobuf": Format("PrometheusProto, OpenMetricsText1.0.0", PROTOBUF),
}
"""By the name of the job that scrapes it, which is its path, too."""

NATIVE = "protobuf"
"""The one with native histograms."""

MERGED = "merged"
"""The job of another registry, that of several processes, in that format."""


Application = Callable[..., Iterable[bytes]]


def format_of(job: str) -> Format:
    return FORMATS[NATIVE if job == MERGED else job]


class Target(WSGIServer):
    """Serves an application, and remembers the types of the answers by path.

    The path of a format asks for it alone, on behalf of servers that cannot be told which one to use.
    """

    daemon_threads = True
    types: dict[str, set[str]]

    @classmethod
    def serving(cls, application: Application, merged: Application) -> Target:
        types: dict[str, set[str]] = {name: set() for name in (*FORMATS, MERGED)}

        def asked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            name = environ["PATH_INFO"].strip("/")
            if "negotiated" not in environ["QUERY_STRING"]:
                environ["HTTP_ACCEPT"] = format_of(name).media_type

            def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                types[name].add(dict(headers)["Content-Type"])
                return start_response(status, headers, *rest)

            # The requests come one after another, so that this setting is that of one scrape.
            former = set_created_lines(name == "created_lines")
            try:
                return list((merged if name == MERGED else application)(environ, started))
            finally:
                set_created_lines(former)

        server = make_server("127.0.0.1", 0, asked, cls, Quiet)
        server.types = types
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *_: object) -> None:
        """Nothing."""


def version_of(program: str) -> tuple[int, int]:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", output)
    assert found is not None
    return int(found[1]), int(found[2])


def job_options(name: str, version: tuple[int, int]) -> list[str]:
    """The lines with which a server of `version` asks for the format of the job `name`."""
    lines = [f"metrics_path: /{name}"]
    if version >= (2, 49):
        lines += [f"scrape_protocols: [{format_of(name).protocols}]", "params: {format: [negotiated]}"]
        lines.append(f"{'always_' if version >= (3, 0) else ''}scrape_classic_histograms: true")
    return lines


class Scene(NamedTuple):
    """A server of `version` after its scrape at `at`, and the series of the registry."""

    version: tuple[int, int]
    prometheus: Prometheus
    target: Target
    expected: Series
    at: float

    def ask(self, promql: str) -> list[dict[str, Any]]:
        """The result of `promql` at that scrape, as the server answers it."""
        result: list[dict[str, Any]] = self.prometheus.ask("query", query=promql, time=f"{self.at:.3f}")["result"]
        return result

    def numbers(self, promql: str) -> Series:
        """The numbers of the answer, by the name and labels that the application gave."""
        return {self.key(each["metric"]): float(each["value"][1]) for each in self.ask(promql) if "value" in each}

    def of_job(self, job: str) -> Series:
        """All numbers of a job, without those that the server adds."""
        return self.numbers(f'{{job="{job}",__name__!~"up|scrape_.*"}}')

    @staticmethod
    def key(labels: dict[str, str]) -> tuple[str, Labels]:
        own = {label: value for label, value in labels.items() if label not in ("__name__", "instance", "job")}
        return labels.get("__name__", ""), frozenset(own.items())
