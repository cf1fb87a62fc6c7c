"""Prometheus's protobuf format, of any registry: delimited messages ``io.prometheus.client.MetricFamily``.

Rules:

- Every series has the name and labels that it has in the text format. Infos and state sets are gauges. A histogram or
  summary of a custom collector that is incomplete or contradicts itself becomes several families of the type untyped.
- A metric keeps the message of each series between scrapes. A family with exemplars, native buckets or names that are
  escaped is encoded from its rows, and that of another collector from its samples.
- Only this format has native buckets, and it has start times without a line for each.

https://prometheus.io/docs/instrumenting/exposition_formats/#protobuf-format
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from math import inf
from typing import Final

from pytheus.definitions import Definition
from pytheus.escaping import escape_name
from pytheus.exceptions import LabelError
from pytheus.exposition.checked import CheckedFamily, exposed_labels
from pytheus.exposition.distributions import Distribution, distributions
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.walk import Walk
from pytheus.kinds import KINDS, MetricType
from pytheus.metrics.metric import Metric
from pytheus.names import base_name, state_label, text_name
from pytheus.protobufformat import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    SUMMARY,
    UNTYPED,
    counter_message,
    exemplar_message,
    family_head,
    histogram_message,
    label_pairs,
    metric_message,
    number_message,
    quantile_message,
    summary_message,
    varint,
)
from pytheus.registry.capabilities import HasRows
from pytheus.registry.contract import Collector, Registry
from pytheus.samples import Exemplar, Row, Sample

__all__ = ["CONTENT_TYPE", "ProtobufEncoder", "begin_walk"]

CONTENT_TYPE: Final = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
"""The media type."""

_CREATED: Final = "_created"
_DEFAULT: Final = RenderRequest()

# Those of one number, with the field that holds it. Counters have more fields.
_KEYS: Final[dict[str, bytes]] = {
    "counter": COUNTER,
    "gauge": GAUGE,
    "info": GAUGE,
    "stateset": GAUGE,
    "unknown": UNTYPED,
}


def begin_walk(registry: Registry, request: RenderRequest = _DEFAULT) -> Walk[HasRows, bytes]:
    """Return a scrape of `registry` that can be encoded as protobuf by several threads."""
    return Walk(registry, ProtobufEncoder(request), request)


class ProtobufEncoder:
    """Encodes metrics by the messages that they keep, other collectors by their rows or families."""

    __slots__ = ("_escaping",)

    def __init__(self, request: RenderRequest = _DEFAULT) -> None:
        self._escaping: Final = request.escaping

    def supports(self, collector: Collector, /) -> bool:
        return callable(getattr(collector, "rows", None)) and callable(getattr(collector, "refresh", None))

    def encode_collector(self, collector: HasRows, definition: Definition, lead: str, /) -> Iterable[bytes]:
        metrics: Iterable[bytes] | None = None
        if isinstance(collector, Metric):
            metrics = collector.message_parts()
        name = lead + definition.name
        if definition.name_rules != "legacy":
            name = escape_name(name, self._escaping)
        if metrics is None:
            collector.refresh()
            metrics = self._row_messages(definition, name, collector.rows())
        type_ = definition.type
        return _family(text_name(name, type_), type_, definition.description, definition.unit, metrics)

    def encode_family(self, family: CheckedFamily, /) -> bytes:
        type_ = family.type
        if type_ in ("histogram", "gaugehistogram", "summary"):
            others = [sample for sample in family.samples if sample.suffix != _CREATED]
            found = distributions(type_, others)
            if found is not None:
                metrics = [_distribution_message(type_, series) for series in found]
                parts = _family(family.name, type_, family.description, family.unit, metrics)
                created = [sample for sample in family.samples if sample.suffix == _CREATED]
                return b"".join([*parts, *_number_families(family, created)])
            return b"".join(_number_families(family, family.samples, "unknown"))
        return b"".join(
            _number_families(family, family.samples)
            or _family(text_name(family.name, type_), type_, family.description, family.unit, ())
        )

    def encode_end(self) -> tuple[bytes, ...]:
        return ()

    def _row_messages(self, definition: Definition, name: str, rows: list[Row]) -> list[bytes]:
        subject = f"{definition.type} {definition.name!r}"
        type_ = definition.type
        own_label = definition.name if type_ == "stateset" else None
        names = exposed_labels(definition.labels, None, name, self._escaping, subject)
        messages: list[bytes] = []
        for row in rows:
            pairs = list(zip(names, row.labels, strict=True))
            exemplars = row.exemplars or {}
            if type_ == "info":
                if row.info is not None:
                    facts = tuple(row.info)
                    every = exposed_labels((*definition.labels, *facts), None, name, self._escaping, subject)
                    values = (*row.labels, *row.info.values())
                    labels = label_pairs(zip(every, values, strict=True))
                    messages.append(metric_message(labels, GAUGE, number_message(1.0)))
            elif own_label is not None:
                shown = state_label(name)
                if shown in names:
                    raise LabelError(
                        f"{subject} is exposed with its states in the label {shown!r}, which it has already"
                    )
                for state, active in zip(definition.states, row.numbers, strict=True):
                    labels = label_pairs([*pairs, (shown, state)])
                    messages.append(metric_message(labels, GAUGE, number_message(active)))
            elif type_ == "summary":
                total, count = row.numbers
                messages.append(
                    metric_message(label_pairs(pairs), SUMMARY, summary_message(int(count), total, b"", row.created))
                )
            elif KINDS[type_].reserved_label == "le":
                messages.append(metric_message(label_pairs(pairs), HISTOGRAM, _histogram_of_row(definition, row)))
            elif type_ == "counter":
                number = counter_message(row.numbers[0], _exemplar(exemplars.get(0)), row.created)
                messages.append(metric_message(label_pairs(pairs), COUNTER, number))
            else:
                messages.append(metric_message(label_pairs(pairs), _KEYS[type_], number_message(row.numbers[0])))
        return messages


def _histogram_of_row(definition: Definition, row: Row) -> bytes:
    exemplars = row.exemplars or {}
    counts = [int(count) for count in accumulate(row.numbers[1:])]
    bounds = (*definition.bounds, inf)
    buckets: list[tuple[float, int, bytes]] = []
    for slot, (bound, count) in enumerate(zip(bounds, counts, strict=True), 1):
        exemplar = _exemplar(exemplars.get(slot))
        # The bucket up to +Inf has the count of all, and so is written only to carry an exemplar; without other classic
        # buckets, the native ones have it.
        if bound < inf or (exemplar and definition.bounds):
            buckets.append((bound, count, exemplar))
    native = [_exemplar(exemplar) for exemplar in row.native_exemplars if exemplar.timestamp is not None]
    return histogram_message(counts[-1], row.numbers[0], buckets, row.created, row.native, native)


def _distribution_message(type_: MetricType, series: Distribution) -> bytes:
    counted, total = series.counted, series.total.value
    if type_ == "summary":
        quantiles = b"".join([quantile_message(point, sample.value) for point, sample in series.points])
        key, number = SUMMARY, summary_message(int(counted.value), total, quantiles, counted.created)
    else:
        buckets: list[tuple[float, int, bytes]] = []
        for point, sample in series.points:
            exemplar = _exemplar(sample.exemplar)
            if point < inf or exemplar:
                buckets.append((point, int(sample.value), exemplar))
        native = [_exemplar(exemplar) for exemplar in counted.exemplars if exemplar.timestamp is not None]
        key = HISTOGRAM
        number = histogram_message(int(counted.value), total, buckets, counted.created, counted.native, native)
    return metric_message(label_pairs(series.labels.items()), key, number, counted.timestamp)


def _number_families(family: CheckedFamily, samples: Iterable[Sample], type_: MetricType | None = None) -> list[bytes]:
    """Return `samples` as families of one number for each series, one for each name of a sample."""
    given = family.type
    name = text_name(family.name, given)
    stem = base_name(family.name, given)
    families: dict[tuple[str, MetricType], list[bytes]] = {}
    for sample in samples:
        suffix = sample.suffix
        kind: MetricType = type_ or ("gauge" if suffix == _CREATED else given)
        if kind == "counter":
            number = counter_message(sample.value, _exemplar(sample.exemplar), sample.created)
        else:
            number = number_message(sample.value)
        message = metric_message(label_pairs(sample.labels.items()), _KEYS[kind], number, sample.timestamp)
        families.setdefault((stem + suffix if suffix else name, kind), []).append(message)
    parts: list[bytes] = []
    for (sample_name, kind), messages in families.items():
        parts += _family(sample_name, kind, family.description, family.unit, messages)
    return parts


def _exemplar(exemplar: Exemplar | None) -> bytes:
    if exemplar is None:
        return b""
    return exemplar_message(exemplar.labels, exemplar.value, exemplar.timestamp)


def _family(name: str, type_: MetricType, description: str, unit: str, metrics: Iterable[bytes]) -> list[bytes]:
    """Return a delimited message in parts."""
    head = family_head(name, type_, description, unit)
    parts = list(metrics)
    return [varint(len(head) + sum(map(len, parts))) + head, *parts]
