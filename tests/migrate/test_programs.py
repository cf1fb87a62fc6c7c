"""Packages of the index, rewritten: they are parsed, compile, are rewritten once, and expose the same series."""

from __future__ import annotations

import compileall
import importlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("libcst", reason="libcst has no wheel for this interpreter")

import prometheus_client

import pytheus
from pytheus.migrate.sources import migrate, replace
from tests.migrate.test_expositions import series

pytestmark = [pytest.mark.once, pytest.mark.network, pytest.mark.slow]

# The calls that are rewritten, and the names of which a use is left to a person.
PROGRAMS = {
    "dramatiq==2.2.1": (10, {"multiprocess.mark_process_dead", "multiprocess.MultiProcessCollector"}),
    "prometheus-async==26.1.0": (
        0,
        {
            "generate_latest",
            "openmetrics.exposition.CONTENT_TYPE_LATEST",
            "openmetrics.exposition.generate_latest",
        },
    ),
    "prometheus-fastapi-instrumentator==8.1.0": (19, {"multiprocess.MultiProcessCollector"}),
    "py-grpc-prometheus==0.8.0": (16, set[str]()),
    "starlette-exporter==0.24.0": (
        8,
        {
            "Histogram(...) with * or ** hides its arguments",
            "MetricWrapperBase",
            "multiprocess.MultiProcessCollector",
            "openmetrics.exposition.CONTENT_TYPE_LATEST",
            "openmetrics.exposition.generate_latest",
        },
    ),
}


def fetched(requirement: str, folder: Path) -> Path:
    """The folder of the unpacked wheel of `requirement`, without what it depends on."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(folder)]
    subprocess.run([*command, requirement], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as archive:
        archive.extractall(folder / "package")
    return folder / "package"


@pytest.mark.parametrize("requirement", PROGRAMS)
def test_a_package_is_rewritten_once_and_compiles(requirement: str, tmp_path: Path) -> None:
    package = fetched(requirement, tmp_path)
    calls, left = PROGRAMS[requirement]
    outcomes = list(migrate([package]))
    assert [each.problem for each in outcomes if each.problem] == []
    assert sum(each.calls for each in outcomes) == calls
    assert {remark.subject for each in outcomes for remark in each.remarks} - {
        "process_*, python_* are not exposed by themselves",
        "a gauge without multiprocess_mode had a series for each process",
    } == left
    for each in outcomes:
        if each.before != each.after:
            replace(each)
    assert [each.path for each in migrate([package]) if each.before != each.after] == []
    assert compileall.compile_dir(package, quiet=1)


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ModuleType]]:
    """`py_grpc_prometheus.server_metrics` and `.client_metrics`, as they were and as rewritten."""
    package = fetched("py-grpc-prometheus==0.8.0", tmp_path)
    monkeypatch.syspath_prepend(package)
    modules: list[ModuleType] = []
    names = ("py_grpc_prometheus", "py_grpc_prometheus.server_metrics", "py_grpc_prometheus.client_metrics")
    for rewriting in (False, True):
        if rewriting:
            for each in migrate([package]):
                replace(each)
        for name in names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        modules += [importlib.import_module(name) for name in names[1:]]
    yield modules
    for name in names:
        sys.modules.pop(name, None)


def test_the_metrics_of_a_package_expose_the_same_series(imported: list[ModuleType]) -> None:
    theirs, ours = prometheus_client.CollectorRegistry(), pytheus.CollectorRegistry()
    for registry, (server, client) in ((theirs, imported[:2]), (ours, imported[2:])):
        for module in (server, client):
            metrics = module.init_metrics(registry)
            for metric in metrics.values():
                names = getattr(metric, "_labelnames", None) or metric.definition.labels
                child = metric.labels(*("x" for _ in names))
                child.inc(2) if hasattr(child, "inc") else child.observe(0.06)
    before = series(prometheus_client.generate_latest(theirs))
    assert before
    assert series(pytheus.generate_metrics(ours).encode()) == before
