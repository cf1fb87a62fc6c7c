"""What the page shows besides numbers, as JSON: the registry and its origin, families, processes, and failures.

Rules:

- It is one more format of a scrape: the same walk, deadline, isolation of failures, and sharing between clients.
- No number of a series is read. The labels of a family whose collector tells them cost a fraction of its rows.
- Everything is bounded: families, the text of each, the series whose labels are counted, processes, failures.
- No credentials: of the registry's choice as ``pytheus config`` shows it, of errors what is left without the options'
  credentials and without anything that looks like one. No directory of a file, no argument of the program, and no
  variable of the environment.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from pytheus.definitions import Definition
from pytheus.exposition.checked import CheckedFamily
from pytheus.exposition.failures import failures_of
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.negotiation import OVERVIEW_TYPE
from pytheus.exposition.standard import AnyWalk, StandardFormat
from pytheus.exposition.walk import Walk
from pytheus.interruption import is_interruption
from pytheus.kinds import KINDS, MetricType
from pytheus.names import state_label, text_name
from pytheus.registry.capabilities import HasRows
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.registry.origin import Origin, origin_of
from pytheus.registry.processes import HasProcesses, ProcessInfo
from pytheus.registry.traversal import walk
from pytheus.version import COMPILED, __version__

__all__ = ["OVERVIEW"]

_FAMILIES_AT_MOST: Final = 10_000
_CHARACTERS_AT_MOST: Final = 4 * 1024 * 1024
_HELP_CHARACTERS_AT_MOST: Final = 1000
_LABELS_AT_MOST: Final = 100
_COUNTED_SERIES_AT_MOST: Final = 200_000
"""Of how many series of one overview the values of labels are counted."""
_PROCESSES_AT_MOST: Final = 1000
_REGISTRIES_AT_MOST: Final = 100

_Labels = tuple[str, ...]


def _begin(registry: Registry, request: RenderRequest) -> AnyWalk:
    # Names as they are, because the page asks for families by them.
    request = request._replace(escaping="allow-utf-8")
    return Walk(registry, _OverviewEncoder(registry), request)


class _Overview(StandardFormat):
    __slots__ = ()

    response_headers: Final = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))

    def content_type(self, request: RenderRequest, /) -> str:
        return self.media_type

    def joined(self, parts: Iterable[Any]) -> list[bytes]:
        """Return the document: the last part, with the families before it as one of its values."""
        *families, rest = parts
        shown: list[str] = []
        size = 0
        for family in families[:_FAMILIES_AT_MOST]:
            size += len(family)
            if size > _CHARACTERS_AT_MOST:
                break
            shown.append(family)
        left_out = len(families) - len(shown)
        return [f'{{"families":[{",".join(shown)}],"families_left_out":{left_out},{rest[1:]}'.encode("ascii")]


OVERVIEW: Final = _Overview(OVERVIEW_TYPE, OVERVIEW_TYPE, _begin)
"""The format of the overview."""


class _OverviewEncoder:
    """Encodes each family as a JSON object, and the rest of the overview as the last part."""

    __slots__ = ("_counted", "_registry")

    def __init__(self, registry: Registry) -> None:
        self._registry: Final = registry
        self._counted = 0

    def supports(self, collector: Collector, /) -> bool:
        return callable(getattr(collector, "rows", None)) and callable(getattr(collector, "refresh", None))

    def encode_collector(self, collector: HasRows, definition: Definition, lead: str, /) -> tuple[str]:
        series_labels: object = getattr(collector, "series_labels", None)  # `HasSeriesLabels`
        series: list[_Labels]
        if callable(series_labels):
            series = series_labels()
        else:
            series = [row.labels for row in collector.rows()]
        names = definition.labels
        counts = self._distinct(names, [[key[at] for key in series] for at in range(len(names))], len(series))
        return (
            _family(
                text_name(lead + definition.name, definition.type),
                definition.type,
                definition.unit,
                definition.description,
                len(series),
                names,
                counts,
                is_native=definition.native is not None,
            ),
        )

    def encode_family(self, family: CheckedFamily, /) -> str:
        type_ = family.type
        own = state_label(family.name) if type_ == "stateset" else KINDS[type_].reserved_label
        columns: dict[str, list[str]] = {}
        series: set[frozenset[tuple[str, str]]] = set()
        is_native = False
        for sample in family.samples:
            labels = sample.labels
            for name, value in labels.items():
                if name != own:
                    columns.setdefault(name, []).append(value)
            series.add(frozenset([(name, value) for name, value in labels.items() if name != own]))
            is_native = is_native or sample.native is not None
        names = tuple(columns)
        counts = self._distinct(names, list(columns.values()), len(family.samples))
        name = text_name(family.name, type_)
        return _family(name, type_, family.unit, family.description, len(series), names, counts, is_native=is_native)

    def encode_end(self) -> tuple[str]:
        registry = self._registry
        origin = origin_of(registry)
        document: dict[str, object] = {
            "version": __version__,
            "compiled": COMPILED,
            "python": ".".join(map(str, sys.version_info[:3])),
            "pid": os.getpid(),
            "uptime_seconds": _uptime(),
            **_registry_document(registry, origin),
            **_processes(registry),
            "failed": _failed(registry, origin),
        }
        return (json.dumps(document, separators=(",", ":")),)

    def _distinct(self, names: _Labels, columns: list[list[str]], count: int) -> list[int] | None:
        """Return the number of values of each label, or None if the series are too many to look at."""
        # Several threads may encode; then the bound is not exact.
        self._counted += count
        if self._counted > _COUNTED_SERIES_AT_MOST:
            return None
        return [len(set(column)) for column in columns[:_LABELS_AT_MOST]]


def _family(
    name: str,
    type_: MetricType,
    unit: str,
    description: str,
    series: int,
    labels: _Labels,
    values: list[int] | None,
    *,
    is_native: bool,
) -> str:
    return json.dumps(
        {
            "name": name,
            "type": type_,
            "unit": unit,
            "help": description[:_HELP_CHARACTERS_AT_MOST],
            "series": series,
            "labels": labels[:_LABELS_AT_MOST],
            "values": values,
            "native": is_native,
        },
        separators=(",", ":"),
    )


def _uptime() -> float | None:
    """Return for how many seconds this process runs, or None where the system does not tell."""
    from pytheus.collectors.process import ProcessCollector

    for family in ProcessCollector().collect():
        if family.name == "process_start_time_seconds":
            return round(max(time.time() - family.samples[0].value, 0.0), 1)
    return None


# The registry -----------------------------------------------------------------------------------------------------------


def _registry_document(registry: Registry, origin: Origin | None) -> dict[str, object]:
    chain = [type(current).__name__ for current in walk(registry, resolve=True)][:_REGISTRIES_AT_MOST]
    outermost = next((name for name in chain if not name.endswith("Proxy")), chain[0])
    document: dict[str, object] = {
        "registry": {
            "address": outermost,
            "name": outermost,
            "origin": "program",
            "source": "made by the program",
            "distribution": None,
            "version": None,
        },
        "problems": [],
        "warnings": [],
        "options": {},
        "plugins": {"named": [], "blocked": {}},
        "wrap": [],
        "configuration": None,
        "registries": chain,
    }
    if origin is not None:
        try:
            document |= origin.document()
        except Exception as error:
            document["problems"] = [_scrubbed(f"{type(error).__name__}: {error}", origin)]
    path = document["configuration"]
    if isinstance(path, str):
        directory = os.path.join(os.path.dirname(path), "")
        return {key: _without(directory, value) for key, value in document.items()}
    return document


def _without(directory: str, value: object) -> Any:
    """Return `value` of a JSON document without the name of the configuration file's directory."""
    if isinstance(value, str):
        return value.replace(directory, "")
    if isinstance(value, Mapping):
        return {key: _without(directory, held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(directory, held) for held in value]
    return value


def _processes(registry: Registry) -> dict[str, object]:
    found: list[ProcessInfo] = []
    for current in walk(registry, resolve=True):
        if isinstance(current, HasProcesses):
            try:
                found += current.processes()
            except BaseException as error:
                if is_interruption(error):
                    raise
    now = time.time()
    return {
        "processes": [
            {
                "id": process.id,
                "pid": process.pid,
                "host": process.host,
                "state": process.state,
                "age": None if process.started is None else round(max(now - process.started, 0.0), 1),
                "series": process.series,
            }
            for process in found[:_PROCESSES_AT_MOST]
        ],
        "processes_left_out": max(len(found) - _PROCESSES_AT_MOST, 0),
    }


# Failures ---------------------------------------------------------------------------------------------------------------

# What an error of a client library may contain: a user and password or a query in an address, and values by names.
_HIDDEN_PARTS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"(://)[^\s/@'\"]*@"), r"\1***@"),
    (re.compile(r"(://[^\s?'\"]*\?)[^\s'\"]+"), r"\1***"),
    (
        re.compile(
            r"((?:[\w-]*(?:passw|passphrase|pwd|secret|token|credential|api.?key|access.?key|private.?key|auth))[\w-]*"
            r"['\"]?\s*[=:]\s*(?:bearer\s+|basic\s+)?)(\"[^\"]*\"?|'[^']*'?|[^\s,;&)}\]]+)",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
)


def _scrubbed(text: str, origin: Origin | None) -> str:
    if origin is not None:
        text = origin.scrub(text)
    for pattern, replacement in _HIDDEN_PARTS:
        text = pattern.sub(replacement, text)
    return text


def _failed(registry: Registry, origin: Origin | None) -> list[dict[str, object]]:
    failures = failures_of(registry)
    if failures is None:
        return []
    latest = failures.latest.copy()
    return [
        {
            "collector": row.labels[0],
            "error": _scrubbed(latest.get(row.labels[0], ("", 0.0))[0], origin),
            "count": int(row.numbers[0]),
            "at": latest.get(row.labels[0], ("", 0.0))[1],
        }
        for row in failures.counter.rows()
    ]
