"""The format OpenMetrics 1.0.0, of any registry.

Rules:

- Every series has the name and labels that it has in the text format. A family that OpenMetrics does not allow, such as
  a counter without ``_total`` or a histogram with a negative sum, is therefore exposed as ``unknown``, one family for
  each name of its samples.
- A metric's lines are those of the text format under another header, which a metric keeps between scrapes. A family
  with more than these, such as an exemplar, is written from its samples.
- Start times are lines ``_created`` only if the process-wide setting asks for them, because each of them is a series in
  most versions of Prometheus.

https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, cast

from pytheus.definitions import Definition
from pytheus.exposition.checked import CheckedFamily, checked_families
from pytheus.exposition.distributions import distributions
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.walk import Walk
from pytheus.kinds import MetricType
from pytheus.metrics.metric import Metric
from pytheus.names import base_name, state_label, text_name
from pytheus.registry.capabilities import TextRenderer, has_plain_text
from pytheus.registry.contract import Collector, Registry
from pytheus.samples import Exemplar, Sample
from pytheus.settings import has_created_lines
from pytheus.textformat import format_labels, format_number, line_head, open_metrics_header, quoted_name

__all__ = ["CONTENT_TYPE", "OpenMetricsEncoder", "begin_walk"]

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""The media type, encoded as UTF-8."""

_CREATED: Final = "_created"
_DISTRIBUTIONS: Final = ("histogram", "gaugehistogram", "summary")
_WITH_START: Final = ("counter", "histogram", "summary")


def begin_walk(registry: Registry, request: RenderRequest = RenderRequest()) -> Walk[TextRenderer, str]:  # noqa: B008
    """Return a scrape of `registry` that can be encoded as OpenMetrics by several threads."""
    return Walk(registry, OpenMetricsEncoder(request), request)


class OpenMetricsEncoder:
    """Encodes families; for a metric whose text is the same as in the text format, under another header."""

    __slots__ = ("_created", "_escaping")

    def __init__(self, request: RenderRequest) -> None:
        self._escaping: Final = request.escaping
        self._created: Final = has_created_lines()

    def supports(self, collector: Collector, /) -> bool:
        return callable(getattr(collector, "text_parts", None))

    def encode_collector(self, collector: TextRenderer, definition: Definition, lead: str, /) -> Iterable[str]:
        type_ = definition.type
        name = lead + definition.name
        is_plain = collector.has_plain_text() if isinstance(collector, Metric) else has_plain_text(collector)
        if (
            not is_plain
            or (self._created and type_ in _WITH_START)
            or (type_ == "stateset" and state_label(name) != name)
        ):
            families = checked_families(cast(Collector, collector), lead, self._escaping)
            return [self.encode_family(family) for family in families]
        parts = collector.text_parts(lead)
        if parts:
            base = base_name(name, type_)
            if type_ == "counter" and base == name:
                type_ = "unknown"
            parts[0] = open_metrics_header(base, type_, definition.description, definition.unit)
        return parts

    def encode_family(self, family: CheckedFamily, /) -> str:
        type_ = family.type
        base = base_name(family.name, type_)
        lines: list[str] | None
        if type_ in _DISTRIBUTIONS:
            lines = self._distribution_lines(family, base)
        else:
            lines = self._number_lines(family, base)
        if lines is None:
            return _unknown_families(family, base)
        return open_metrics_header(quoted_name(base), type_, family.description, family.unit) + "".join(lines)

    def encode_end(self) -> tuple[str, ...]:
        return ("# EOF\n",)

    def _number_lines(self, family: CheckedFamily, base: str) -> list[str] | None:
        """Return the lines of a family of one number for each series, or None if it has to be exposed as unknown."""
        type_ = family.type
        name = text_name(family.name, type_)
        own_label = state_label(family.name) if type_ == "stateset" else ""
        if own_label != "" and own_label != family.name:
            return None
        if type_ == "counter" and not family.samples and name == base:
            return None
        series: dict[frozenset[tuple[str, str]], list[str]] = {}
        times: dict[frozenset[tuple[str, str]], float | None] = {}
        for sample in family.samples:
            if not _fits(sample, type_, own_label, base + sample.suffix if sample.suffix else name, base):
                return None
            labels = sample.labels
            key = frozenset([item for item in labels.items() if item[0] != own_label])
            if times.setdefault(key, sample.timestamp) != sample.timestamp:
                return None
            lines = series.setdefault(key, [])
            sample_name = base + sample.suffix if sample.suffix else name
            is_total = type_ == "counter" and sample.suffix != _CREATED
            lines.append(_line(sample_name, labels, sample, sample.exemplar if is_total else None))
            if self._created and sample.created is not None and is_total:
                lines.append(_created_line(base, labels, sample))
        return [line for lines in series.values() for line in lines]

    def _distribution_lines(self, family: CheckedFamily, base: str) -> list[str] | None:
        type_ = family.type
        found = distributions(type_, [sample for sample in family.samples if sample.suffix != _CREATED])
        if found is None:
            return None
        created = {frozenset(sample.labels.items()): sample for sample in family.samples if sample.suffix == _CREATED}
        lines: list[str] = []
        for series in found:
            total = series.total.value
            has_negative = bool(series.points) and series.points[0][0] < 0
            if type_ == "summary":
                if not total >= 0 or any(sample.value < 0 for _, sample in series.points):
                    return None
            elif total != total or has_negative or total < 0:
                return None
            for _, sample in series.points:
                lines.append(_line(base + sample.suffix, sample.labels, sample, sample.exemplar))
            count = series.counted
            lines.append(_line(base + series.total.suffix, series.labels, series.total, None))
            lines.append(_line(base + count.suffix, series.labels, count, None))
            given = created.pop(frozenset(series.labels.items()), None)
            if given is not None:
                if given.timestamp != count.timestamp:
                    return None
                lines.append(_line(base + _CREATED, series.labels, given, None))
            elif self._created and count.created is not None and type_ in _WITH_START:
                lines.append(_created_line(base, series.labels, count))
        return None if created else lines


def _fits(sample: Sample, type_: MetricType, own_label: str, name: str, base: str) -> bool:
    value = sample.value
    if type_ == "counter":
        return sample.suffix == _CREATED or (name == base + "_total" and base != name and value >= 0)
    if type_ == "info":
        return value == 1
    if type_ == "stateset":
        return value in (0.0, 1.0) and own_label in sample.labels
    return True


def _unknown_families(family: CheckedFamily, base: str) -> str:
    """Return the samples as families of the type unknown, one for each name."""
    name = text_name(family.name, family.type)
    families: dict[str, list[str]] = {}
    for sample in family.samples:
        sample_name = base + sample.suffix if sample.suffix else name
        families.setdefault(sample_name, []).append(_line(sample_name, sample.labels, sample, None))
    if not families:
        families[name] = []
    return "".join(
        open_metrics_header(quoted_name(sample_name), "unknown", family.description, family.unit) + "".join(lines)
        for sample_name, lines in families.items()
    )


def _line(name: str, labels: Mapping[str, str], sample: Sample, exemplar: Exemplar | None) -> str:
    time = "" if sample.timestamp is None else f" {_seconds(sample.timestamp)}"
    shown = "" if exemplar is None else _exemplar(exemplar)
    return f"{line_head(name, labels)}{format_number(sample.value)}{time}{shown}\n"


def _exemplar(exemplar: Exemplar) -> str:
    time = "" if exemplar.timestamp is None else f" {_seconds(exemplar.timestamp)}"
    return f" # {{{format_labels(exemplar.labels.items())}}} {format_number(exemplar.value)}{time}"


def _created_line(base: str, labels: Mapping[str, str], sample: Sample) -> str:
    time = "" if sample.timestamp is None else f" {_seconds(sample.timestamp)}"
    return f"{line_head(base + _CREATED, labels)}{_seconds(sample.created or 0.0)}{time}\n"


def _seconds(timestamp: float) -> str:
    """Return a timestamp in seconds without an exponent, which not every reader accepts here."""
    text = repr(timestamp)
    return f"{timestamp:.9f}" if "e" in text else text
