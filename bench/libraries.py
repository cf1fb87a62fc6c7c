"""The table's columns: the libraries, where each is installed, and how a program imports it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BASE", "GO", "LIBRARIES", "LIMIT", "REFERENCE", "Library", "base_of"]


class Library(NamedTuple):
    """A column. `key` is its name in figures, `workload` its name in bench/workloads.py.

    `environment` is one of bench/environments.py, `distribution` its name for pip there, `imports` the modules that a
    program imports to write and expose metrics; both empty for a program of our own.
    """

    key: str
    title: str
    workload: str
    environment: str
    distribution: str
    imports: str


REFERENCE = "prometheus_client"
"""The column that the others' ratios are made with."""

GO = Library("go", "client_golang", "", "go", "", "")
"""Not a Python library: a program of its own, bench/go/main.go, does the same work."""

LIMIT = Library("limit", "limit in C", "limit", "limit", "", "")
"""Not a library: bench/limit.c, as fast as a metric can be that CPython calls. It shows the distance to go."""

BASE = "base"
"""The environment of an earlier revision of pytheus, which `bench/run.py --base REVISION` measures beside this one."""

_PYTHEUS = ("pytheus", "from pytheus import Counter, generate_metrics")

LIBRARIES = (
    Library("pytheus", "pytheus", "pytheus", "compiled", *_PYTHEUS),
    LIMIT,
    Library("pytheus_pure", "pytheus, pure", "pytheus", "pure", *_PYTHEUS),
    Library(
        "prometheus_client",
        "prometheus_client",
        "prometheus_client",
        "peers",
        "prometheus-client",
        "from prometheus_client import Counter, generate_latest",
    ),
    Library(
        "pytheus_published",
        "pytheus 0.6.1",
        "pytheus_published",
        "published",
        "pytheus",
        "from pytheus.metrics import Counter; from pytheus.exposition import generate_metrics",
    ),
    Library(
        "opentelemetry",
        "OpenTelemetry",
        "opentelemetry",
        "peers",
        "opentelemetry-sdk",
        "from opentelemetry.sdk.metrics import MeterProvider",
    ),
    Library(
        "aioprometheus",
        "aioprometheus",
        "aioprometheus",
        "peers",
        "aioprometheus",
        "from aioprometheus import Counter, render",
    ),
    GO,
)


def base_of(revision: str) -> Library:
    """The column of this project's `revision`, compiled."""
    return Library("pytheus_base", f"pytheus at {revision}", "pytheus", BASE, *_PYTHEUS)
