"""Measures the cost of a task of Celery, and of an operation of Django's databases and caches, beside others.

    python -P bench/contrib.py
    python -P bench/contrib.py --windows 100

Needs pytheus, celery, django, django-prometheus and prometheus-client installed. A task runs as in a worker, without a
broker: alone, with signals that reach functions which do nothing, with those of pytheus, and with functions that count
in prometheus_client. Events are those that a worker with ``-E`` publishes for celery-exporter, by a broker in memory.
Statements are SQLite's, and caches local memory. The variants take turns, and the best window of each counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

if __name__ == "__main__":
    # Last, so that an installed pytheus comes before the checkout's.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from bench.table import print_table
from pytheus import COMPILED
from pytheus.registry import CollectorRegistry

Variants = dict[str, Callable[[], None]]
"""One operation, in each variant; the first is the operation alone."""

OPERATIONS = 500
"""Operations in one window."""

SIGNALS = ("task_prerun", "task_success", "task_postrun", "task_failure", "task_retry")
DJANGO = "django.db.backends.sqlite3", "django.core.cache.backends.locmem.LocMemCache"
PEER = "django_prometheus.db.backends.sqlite3", "django_prometheus.cache.backends.locmem.LocMemCache"


def celery_variants() -> Variants:
    signals = import_module("celery.signals")
    app = import_module("celery").Celery("bench", broker="memory://")
    app.conf.task_ignore_result = True

    def add(a: int, b: int) -> int:
        return a + b

    task = app.task(name="add")(add)
    app.finalize()
    trace = import_module("celery.app.trace").build_tracer("add", task, app=app)
    events = app.events.Dispatcher(app.connection(), hostname="bench")
    events.enable()

    def run() -> None:
        trace("id", (1, 2), {}, {"id": "id", "task": "add", "delivery_info": {}, "pytheus_published_at": 1.7e9})

    def run_with_events() -> None:
        events.send("task-received", uuid="id", name="add", args="(1, 2)", kwargs="{}", retries=0, eta=None)
        events.send("task-started", uuid="id")
        run()
        events.send("task-succeeded", uuid="id", result="3", runtime=0.1)

    def with_receivers(connect: Callable[[], object]) -> Callable[[], None]:
        """A task while the receivers that `connect` connects are there, and no others."""
        every = [getattr(signals, name).receivers for name in SIGNALS]
        connect()
        own = [list(receivers) for receivers in every]
        for receivers in every:
            receivers.clear()

        def run_with_receivers() -> None:
            for receivers, wanted in zip(every, own, strict=True):
                receivers[:] = wanted
            run()
            for receivers in every:
                receivers.clear()

        return run_with_receivers

    def connect_empty() -> None:
        for name in SIGNALS[:3]:
            getattr(signals, name).connect(lambda **_: None, weak=False)

    def connect_peer() -> None:
        peer = import_module("prometheus_client")
        registry = peer.CollectorRegistry()
        running = peer.Gauge("running", "Tasks that run.", ["task"], registry=registry)
        durations = peer.Histogram("duration", "Durations.", ["task", "state"], registry=registry)
        ended = peer.Counter("ended", "Tasks that ended.", ["task", "state"], registry=registry)
        begun = {}

        def started(task: Any, task_id: str, **_: object) -> None:
            begun[task_id] = perf_counter()
            running.labels(task.name).inc()

        def finished(task: Any, task_id: str, state: str, **_: object) -> None:
            running.labels(task.name).dec()
            durations.labels(task.name, state).observe(perf_counter() - begun.pop(task_id))
            ended.labels(task.name, state).inc()

        signals.task_prerun.connect(started, weak=False)
        signals.task_postrun.connect(finished, weak=False)

    measure_tasks = import_module("pytheus.contrib.celery").measure_tasks
    return {
        "alone": with_receivers(lambda: None),
        "empty receivers": with_receivers(connect_empty),
        "pytheus": with_receivers(lambda: measure_tasks(app, registry=CollectorRegistry())),
        "prometheus_client": with_receivers(connect_peer),
        "events": run_with_events,
    }


def django_variants() -> tuple[Variants, Variants]:
    kinds = {"alone": DJANGO, "pytheus": DJANGO, "django-prometheus": PEER}
    import_module("django.conf").settings.configure(
        DATABASES={"default": {}} | {kind: {"ENGINE": pair[0], "NAME": ":memory:"} for kind, pair in kinds.items()},
        CACHES={name: {"BACKEND": pair[1], "LOCATION": name} for name, pair in {"default": DJANGO, **kinds}.items()},
    )
    import_module("django").setup()
    connections, caches = import_module("django.db").connections, import_module("django.core.cache").caches
    for kind in kinds:
        connections[kind].ensure_connection()
    others = {kind: caches[kind] for kind in ("alone", "django-prometheus")}
    contrib, registry = import_module("pytheus.contrib.django"), CollectorRegistry()
    contrib.measure_databases(registry=registry)
    contrib.measure_caches(registry=registry)
    for kind in others:
        connections[kind].execute_wrappers.clear()
    cursors = {kind: connections[kind].cursor() for kind in kinds}
    found = {**others, "pytheus": caches["pytheus"]}
    for cache in found.values():
        cache.set("key", 1)
    return (
        {kind: lambda cursor=cursors[kind]: cursor.execute("SELECT 1") for kind in kinds},  # type: ignore[misc]  # a default binds
        {kind: lambda cache=found[kind]: cache.get("key") for kind in kinds},  # type: ignore[misc]  # a default binds
    )


def costs(variants: Variants, windows: int) -> dict[str, float]:
    """The microseconds that each variant takes longer than the first."""
    best = dict.fromkeys(variants, float("inf"))
    for _ in range(windows):
        for name, run in variants.items():
            begun = perf_counter()
            for _ in range(OPERATIONS):
                run()
            best[name] = min(best[name], (perf_counter() - begun) / OPERATIONS * 1e6)
    first, *others = best
    return {name: best[name] - best[first] for name in others}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.contrib", description="Measures tasks, databases, caches.")
    parser.add_argument("--windows", type=int, default=40, help="windows of each variant (default: %(default)s)")
    windows = parser.parse_args().windows
    print(f"pytheus {'compiled' if COMPILED else 'pure'}, Python {sys.version.split()[0]}, best of {windows} windows\n")
    statements, lookups = django_variants()
    rows = [["operation", "cost"]]
    for title, variants in (("task", celery_variants()), ("statement", statements), ("lookup", lookups)):
        rows += [[f"{title}, {name}", f"{cost:.1f} µs"] for name, cost in costs(variants, windows).items()]
    print_table(rows, markdown=True)


if __name__ == "__main__":
    main()
