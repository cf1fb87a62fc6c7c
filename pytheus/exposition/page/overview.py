"""The data of the page besides numbers, as JSON: families, the registry and its origin, processes, and failures.

Rules:

- It is one more format of a scrape: the same walk, deadline, isolation of failures, and sharing between clients.
- No number of a series is read. The labels of a family whose collector tells them take a fraction of the time of rows.
- Everything is bounded: families, their texts, the series whose labels are counted, processes, failures.
- The registry's choice is as ``pytheus config`` shows it, without credentials. There are neither directories of
  configuration files, nor arguments of the program, nor variables of the environment. `scrubbing` has the rules for
  errors.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

from pytheus.definitions import Definition
from pytheus.exposition.checked import CheckedFamily
from pytheus.exposition.failures import failures_of
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.negotiation import OVERVIEW_TYPE
from pytheus.exposition.page.scrubbing import scrubbed
from pytheus.exposition.standard import AnyWalk, StandardFormat
from pytheus.exposition.walk import Walk
from pytheus.interruption import is_interruption
from pytheus.kinds import KINDS, MetricType
from pytheus.names import state_label, text_name
from pytheus.registry.capabilities import HasRows, HasSeriesLabels
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.origin import Origin, origin_of
from pytheus.registry.processes import HasProcesses, ProcessInfo
from pytheus.registry.traversal import Proxy, walk
from pytheus.version import COMPILED, __version__

__all__ = ["OVERVIEW"]

_FAMILIES_AT_MOST: Final = 10_000
_FAMILY_CHARACTERS_AT_MOST: Final = 4 * 1024 * 1024
"""Of all families together."""
_HELP_CHARACTERS_AT_MOST: Final = 1000
_LABELS_AT_MOST: Final = 100
_COUNTED_SERIES_AT_MOST: Final = 200_000
"""The series of one overview whose label values are counted."""
_PROCESSES_AT_MOST: Final = 1000
_REGISTRIES_AT_MOST: Final = 100
_HOST_CHARACTERS_AT_MOST: Final = 255

_Labels: TypeAlias = tuple[str, ...]


def _begin(registry: Registry, request: RenderRequest) -> AnyWalk:
    # Names as they are, because the page asks for families by them.
    request = request._replace(escaping="allow-utf-8")
    return Walk(registry, _OverviewEncoder(registry), request)


class _Overview(StandardFormat):
    __slots__ = ()

    response_headers: Final = (
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    )

    def content_type(self, request: RenderRequest, /) -> str:
        return self.media_type

    def joined(self, parts: Iterable[Any]) -> list[bytes]:
        """Return the document: the last part, with the families before it as one of its values."""
        *families, rest = parts
        shown: list[str] = []
        size = 0
        for family in families:
            size += len(family)
            if len(shown) < _FAMILIES_AT_MOST and size <= _FAMILY_CHARACTERS_AT_MOST:
                shown.append(family)
            else:
                size -= len(family)
        left_out = len(families) - len(shown)
        return [f'{{"families":[{",".join(shown)}],"families_left_out":{left_out},{rest[1:]}'.encode("ascii")]


OVERVIEW: Final = _Overview(OVERVIEW_TYPE, OVERVIEW_TYPE, _begin)
"""The format of the overview."""


# Families -------------------------------------------------------------------------------------------------------------


class _OverviewEncoder:
    """Encodes each family as a JSON object, and the rest of the overview as the last part."""

    __slots__ = ("_counted", "_registry")

    def __init__(self, registry: Registry) -> None:
        self._registry: Final = registry
        self._counted = 0

    def supports(self, collector: Collector, /) -> bool:
        return callable(getattr(collector, "rows", None)) and callable(getattr(collector, "refresh", None))

    def encode_collector(self, collector: HasRows, definition: Definition, lead: str, /) -> tuple[str]:
        series: list[_Labels]
        if callable(getattr(collector, "series_labels", None)):
            series = cast(HasSeriesLabels, collector).series_labels()
        else:
            series = [row.labels for row in collector.rows()]
        labels = definition.labels[:_LABELS_AT_MOST]
        values: list[int] | None = None
        if self._may_count(len(series)):
            values = [len({key[at] for key in series}) for at in range(len(labels))]
        name = text_name(lead + definition.name, definition.type)
        is_native = definition.native is not None
        head = (name, definition.type, definition.unit, definition.description)
        return (_family(*head, len(series), labels, values, is_native=is_native),)

    def encode_family(self, family: CheckedFamily, /) -> str:
        type_ = family.type
        samples = family.samples
        own = state_label(family.name) if type_ == "stateset" else KINDS[type_].reserved_label
        distinct: dict[str, set[str]] = {}
        series: set[frozenset[tuple[str, str]]] = set()
        is_counted = self._may_count(len(samples))
        for sample in samples if is_counted else samples[:1]:
            items = [item for item in sample.labels.items() if item[0] != own]
            for name, value in items:
                distinct.setdefault(name, set()).add(value)
            series.add(frozenset(items))
        is_native = any(sample.native is not None for sample in samples)
        labels = tuple(distinct)[:_LABELS_AT_MOST]
        values = [len(distinct[name]) for name in labels] if is_counted else None
        # As many as samples, where counting them would take too long.
        count = len(series) if is_counted else len(samples)
        name = text_name(family.name, type_)
        return _family(name, type_, family.unit, family.description, count, labels, values, is_native=is_native)

    def encode_end(self) -> tuple[str]:
        registry = self._registry
        origin = origin_of(registry)
        document: dict[str, object] = {
            "version": __version__,
            "compiled": COMPILED,
            "python": ".".join(map(str, sys.version_info[:3])),
            "pid": os.getpid(),
            "uptime_seconds": _seconds_since(_start_seconds(os.getpid())),
            **_registry_document(registry, origin),
            **_processes(registry),
            "failed": _failed(registry, origin),
        }
        return (_json(document),)

    def _may_count(self, count: int) -> bool:
        """Return whether the labels of so many further series are counted; with several threads, about as many."""
        self._counted += count
        return self._counted <= _COUNTED_SERIES_AT_MOST


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
    return _json(
        {
            "name": name,
            "type": type_,
            "unit": unit,
            "help": description[:_HELP_CHARACTERS_AT_MOST],
            "series": series,
            "labels": labels,
            "values": values,
            "native": is_native,
        }
    )


def _json(document: object) -> str:
    # In ASCII, which a lone surrogate cannot break.
    return json.dumps(document, separators=(",", ":"), default=str)


# The process and its registry -----------------------------------------------------------------------------------------


@lru_cache(1)
def _start_seconds(pid: int) -> float | None:
    """Return when process `pid`, this one, began, or None where the system does not tell."""
    from pytheus.collectors.process import ProcessCollector

    for family in ProcessCollector().collect():
        if family.name == "process_start_time_seconds":
            return family.samples[0].value
    return None


def _seconds_since(start: float | None) -> float | None:
    seconds = math.nan if start is None else time.time() - start
    return round(max(seconds, 0.0), 1) if math.isfinite(seconds) else None


def _registry_document(registry: Registry, origin: Origin | None) -> dict[str, object]:
    chain = [current for current in walk(registry, resolve=True) if not isinstance(current, Proxy)]
    names = [type(current).__name__ for current in chain[:_REGISTRIES_AT_MOST]]
    document: dict[str, object] = {
        "registry": {
            "address": names[0],
            "name": names[0],
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
        "registries": names,
    }
    if origin is not None:
        try:
            document |= origin.document()
        except Exception as error:
            document["problems"] = [scrubbed(f"{type(error).__name__}: {error}", origin)]
    path = document["configuration"]
    if not isinstance(path, str):
        return document
    directory = os.path.join(os.path.dirname(path), "")
    return {key: _without(directory, value) for key, value in document.items()}


def _without(directory: str, value: object) -> object:
    """Return `value`, a part of a JSON document, without the name of the configuration file's directory."""
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
        try:
            if isinstance(current, HasProcesses):  # or an unrelated method of this name
                found += [each for each in current.processes() if isinstance(each, ProcessInfo)]
        except BaseException as error:
            if is_interruption(error):
                raise
    shown = [
        {
            "id": each.id,
            "pid": each.pid,
            "host": each.host and each.host[:_HOST_CHARACTERS_AT_MOST],
            "state": each.state,
            "age": _seconds_since(each.started),
            "series": each.series,
        }
        for each in found[:_PROCESSES_AT_MOST]
    ]
    return {"processes": shown, "processes_left_out": len(found) - len(shown)}


def _failed(registry: Registry, origin: Origin | None) -> list[dict[str, object]]:
    failures = failures_of(registry)
    if failures is None:
        return []
    failed: list[dict[str, object]] = []
    for row in failures.counter.rows():
        error, at = failures.latest.get(row.labels[0], ("", 0.0))
        failed.append(
            {
                "collector": row.labels[0],
                "error": scrubbed(error, origin),
                "count": int(row.numbers[0]),
                "at": round(at, 3),
            }
        )
    return failed
