"""Names of prometheus_client and of pytheus 0.6, those that replace them, and remedies where none does.

The reasons for each row are in docs/how-to/from-prometheus-client.md and docs/how-to/from-pytheus-0.6.md.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pytheus.metrics import PROMETHEUS_CLIENT_BUCKETS

__all__ = [
    "BUCKETS",
    "CALLED",
    "FAMILIES",
    "GAUGE_MODES",
    "KEPT",
    "METRICS",
    "OLD_BUCKETS",
    "RENAMED",
    "Remark",
    "Target",
    "canonical",
    "is_module",
    "remedy",
]


class Remark(NamedTuple):
    """Something that a person should look at: its line, counted from 1, its subject and its remedy."""

    line: int
    subject: str
    remedy: str


class Target(NamedTuple):
    """A name of this pytheus, and the module that it is imported from."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}"


# Modules of prometheus_client whose names are the same objects as those of the package.
_ALIASES: Final = ("", "core", "metrics", "registry", "exposition", "metrics_core", "asgi", "gc_collector")
_MODULES: Final = (
    frozenset(
        f"prometheus_client.{name}".rstrip(".")
        for name in (
            *_ALIASES,
            "bridge",
            "bridge.graphite",
            "context_managers",
            "decorator",
            "mmap_dict",
            "multiprocess",
            "openmetrics",
            "openmetrics.exposition",
            "openmetrics.parser",
            "parser",
            "platform_collector",
            "process_collector",
            "samples",
            "utils",
            "validation",
            "values",
        )
    )
    | {"pytheus", "pytheus.backends", "pytheus.backends.base", "pytheus.exceptions", "pytheus.experimental"}
    | {
        "pytheus.experimental.compatibility",
        "pytheus.exposition",
        "pytheus.metrics",
        "pytheus.middleware",
        "pytheus.registry",
    }
)

METRICS: Final = {
    "Counter": Target("pytheus", "Counter"),
    "Gauge": Target("pytheus", "Gauge"),
    "Histogram": Target("pytheus", "Histogram"),
    "Summary": Target("pytheus", "Summary"),
    "Info": Target("pytheus", "Info"),
    "Enum": Target("pytheus", "StateSet"),
}
RENAMED: Final = {
    **METRICS,
    "REGISTRY": Target("pytheus", "REGISTRY"),
    "CollectorRegistry": Target("pytheus", "CollectorRegistry"),
    "Collector": Target("pytheus", "CustomCollector"),
    "CONTENT_TYPE_LATEST": Target("pytheus.exposition", "CONTENT_TYPE"),
    "CONTENT_TYPE_PLAIN_0_0_4": Target("pytheus.exposition", "CONTENT_TYPE"),
    "start_http_server": Target("pytheus", "start_http_server"),
    "start_wsgi_server": Target("pytheus", "start_http_server"),
    "make_wsgi_app": Target("pytheus", "make_wsgi_app"),
    "make_asgi_app": Target("pytheus", "make_asgi_app"),
    "pytheus.exposition.PROMETHEUS_CONTENT_TYPE": Target("pytheus.exposition", "CONTENT_TYPE"),
    "pytheus.exceptions.PytheusException": Target("pytheus.exceptions", "PytheusError"),
    "pytheus.exceptions.LabelValidationException": Target("pytheus.exceptions", "LabelError"),
    "pytheus.exceptions.UnobservableMetricException": Target("pytheus.exceptions", "LabelError"),
    "pytheus.exceptions.BucketException": Target("pytheus.exceptions", "BucketError"),
    "pytheus.exceptions.InvalidBackendClassException": Target("pytheus.exceptions", "SelectionError"),
    "pytheus.exceptions.InvalidBackendConfigException": Target("pytheus.exceptions", "SelectionError"),
}
"""Names whose every use is rewritten."""

FAMILIES: Final = {
    "GaugeMetricFamily": "gauge",
    "CounterMetricFamily": "counter",
    "UnknownMetricFamily": "unknown",
    "UntypedMetricFamily": "unknown",
}
"""The classes of families of one sample, with their types."""

CALLED: Final[dict[str, tuple[Target, ...]]] = {
    "generate_latest": (Target("pytheus", "generate_metrics"),),
    **dict.fromkeys(FAMILIES, (Target("pytheus.samples", "Family"),)),
}
"""Names of which calls are rewritten, if their arguments allow it; all other uses are left to a person."""

_NUMBERS: Final = "pytheus.samples.Family.of(name, type, description, {label values: number}, labels) replaces it"
_FAMILY: Final = "pytheus.samples.Family(name, type, description, [Sample(suffix, labels, value), ...]) replaces it"
_PUSH: Final = "pytheus has no push gateway client; keep prometheus_client for it, with a registry of its own"
_PROCESSES: Final = (
    "pytheus needs no call for several processes: remove it, and choose the registry by PYTHEUS_REGISTRY=multiprocess"
)
_RUNTIME: Final = "call pytheus.collectors.register_runtime_collectors(registry), once, where the program starts"

KEPT: Final = {
    "generate_latest": "pytheus.generate_metrics(registry) returns a str, not bytes: encode it",
    **dict.fromkeys(FAMILIES, _NUMBERS),
    "Metric": _FAMILY,
    "HistogramMetricFamily": _FAMILY,
    "SummaryMetricFamily": _FAMILY,
    "InfoMetricFamily": _FAMILY,
    "StateSetMetricFamily": _FAMILY,
    "GaugeHistogramMetricFamily": _FAMILY,
    "push_to_gateway": _PUSH,
    "pushadd_to_gateway": _PUSH,
    "delete_from_gateway": _PUSH,
    "instance_ip_grouping_key": _PUSH,
    "write_to_textfile": "pytheus has no such function; write generate_metrics(registry) to a file, and rename that",
    "multiprocess.MultiProcessCollector": _PROCESSES,
    "multiprocess.mark_process_dead": _PROCESSES,
    "ProcessCollector": _RUNTIME,
    "PlatformCollector": _RUNTIME,
    "GCCollector": _RUNTIME,
    "PROCESS_COLLECTOR": _RUNTIME,
    "PLATFORM_COLLECTOR": _RUNTIME,
    "GC_COLLECTOR": _RUNTIME,
    "enable_created_metrics": "set the option created_lines of pytheus, see docs/reference/selection.md",
    "choose_encoder": "pytheus.exposition.expose(registry, accept) returns the body and its content type",
    "openmetrics.exposition.generate_latest": 'expose(registry, "application/openmetrics-text").body replaces it',
    "samples.Sample": "pytheus.samples.Sample(suffix, labels, value) has the end of the name instead of the name",
    "MetricsHandler": "use pytheus.start_http_server or pytheus.make_wsgi_app",
    "pytheus.middleware.PytheusMiddlewareASGI": "this pytheus has no such middleware; use metrics of your own",
    "pytheus.experimental.compatibility.patch_client": "it was removed; rewrite the code that uses prometheus_client",
}
"""Names that stay, each with a remedy."""

GAUGE_MODES: Final = {
    "all": ("each", "all"),
    "liveall": ("each", "live"),
    "sum": ("sum", "all"),
    "livesum": ("sum", "live"),
    "min": ("min", "all"),
    "livemin": ("min", "live"),
    "max": ("max", "all"),
    "livemax": ("max", "live"),
    "mostrecent": ("last", "all"),
    "livemostrecent": ("last", "live"),
}
"""`mode` and `processes` by `multiprocess_mode`."""

BUCKETS: Final = Target("pytheus.metrics", "PROMETHEUS_CLIENT_BUCKETS")
"""The name of the default buckets of prometheus_client."""

OLD_BUCKETS: Final = repr(PROMETHEUS_CLIENT_BUCKETS)
"""The same as an expression: in a source whose imports cannot have the name."""


def is_module(qualified: str) -> bool:
    """Whether `qualified` is a module of prometheus_client or of pytheus 0.6."""
    return qualified in _MODULES


def canonical(qualified: str) -> str | None:
    """The name by which these tables know `qualified`; None for a module, an attribute of a class, or another name.

    >>> canonical("prometheus_client.core.REGISTRY"), canonical("prometheus_client.multiprocess.mark_process_dead")
    ('REGISTRY', 'multiprocess.mark_process_dead')
    >>> canonical("collections.Counter"), canonical("prometheus_client.Counter.inc")
    (None, None)
    """
    module, _, name = qualified.rpartition(".")
    if module not in _MODULES or qualified in _MODULES:
        return None
    if module.startswith("pytheus"):
        return qualified
    short = module.removeprefix("prometheus_client").lstrip(".")
    if short in (*_ALIASES, "process_collector", "platform_collector"):
        return name
    return f"{short}.{name}"


def remedy(package: str, name: str) -> str | None:
    """The name or way of pytheus in place of `name`, which `package` of pytheus lacks; None if no table has it.

    >>> remedy("pytheus", "Enum")
    'use pytheus.StateSet'
    >>> remedy("pytheus", "mark_process_dead")[:44]
    'pytheus needs no call for several processes:'
    >>> remedy("pytheus", "nothing") is None
    True
    """
    for known in (f"{package}.{name}", name, *[f"{module}.{name}" for module in ("multiprocess", "samples")]):
        if known in KEPT:
            return KEPT[known]
        if known in RENAMED:
            return f"use {RENAMED[known].dotted}"
    return None
