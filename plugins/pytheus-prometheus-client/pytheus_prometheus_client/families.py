"""Families of prometheus_client as families of pytheus, with the names and samples that its own formats show.

Rules:

- Names are as exposed: the counter ``hits`` of prometheus_client is the family ``hits_total``, the info ``build`` is
  ``build_info``.
- A ``_created`` sample is the start time of its series. One whose series is missing stays a sample.
- A native histogram belongs to the ``_count`` of its series.
- A family with a sample that its type does not have becomes families of the type unknown, one for each name.
- A sample that cannot be exposed makes its whole family fail, here rather than in a format, so that the others stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate, chain
from typing import Final, cast

from prometheus_client import Metric
from prometheus_client import samples as theirs

from pytheus.exceptions import LabelError, OutOfRangeError
from pytheus.kinds import KINDS, MetricType
from pytheus.names import validate_label_names, validate_text
from pytheus.native_bounds import MAX_SCHEMA, MIN_SCHEMA
from pytheus.native_buckets import NativeHistogram
from pytheus.samples import Exemplar, Family, Sample

__all__ = ["families_of", "merged"]

_CREATED: Final = "_created"
_STARTED: Final[dict[str, str]] = {"counter": "", "histogram": "_count", "summary": "_count"}
_COUNT: Final[dict[str, str]] = {"histogram": "_count", "gaugehistogram": "_gcount"}
_SUM: Final[dict[str, str]] = {"histogram": "_sum", "gaugehistogram": "_gsum"}


def families_of(metric: Metric) -> list[Family]:
    """Return `metric` as families; raises an error for one that cannot be exposed.

    >>> from prometheus_client.core import CounterMetricFamily
    >>> [family] = families_of(CounterMetricFamily("hits", "Hits.", 3))
    >>> family, family.samples[0].value
    (Family('hits_total', 'counter', 1 sample), 3.0)
    """
    type_ = cast(MetricType, metric.type)
    kind = KINDS[type_]
    base = metric.name
    name = base + kind.own_suffix
    prepared: list[tuple[str, Sample]] = []
    fits = True
    checked: Collection[str] = ()
    for sample in metric.samples:
        suffix = sample.name[len(base) :] if sample.name.startswith(base) else None
        if sample.native_histogram is not None and suffix == "" and type_ in _COUNT:
            suffix = _COUNT[type_]
        elif suffix is not None and kind.own_suffix:
            if suffix == kind.own_suffix:
                suffix = "" if type_ == "counter" else suffix
            elif suffix == "":
                suffix = None  # such as a counter's sample without `_total`
        if suffix is None or suffix not in kind.sample_suffixes:
            fits = False
            suffix = ""
        labels = dict(sample.labels)
        if labels.keys() != checked:  # most samples have the labels of the one before
            validate_label_names(tuple(labels), f"a sample of {name!r}", names="utf8")
            checked = labels.keys()
        for label, text in labels.items():
            if type(text) is not str or not text.isascii():
                validate_text(text, f"label {label!r} of a sample of {name!r}")
        prepared.append((sample.name, _sample(suffix, sample, labels)))
    if not fits:
        return _unknown(metric, prepared)
    samples = _with_native([sample for _, sample in prepared], metric) if type_ in _COUNT else [s for _, s in prepared]
    if type_ in _STARTED:
        samples = _with_start_times(samples, _STARTED[type_])
    _check_series(samples, name)
    return [_family(name, type_, metric, samples)]


def merged(families: Iterable[Family]) -> list[Family]:
    """Return `families` with those of one name and type as one; of a series that occurs twice, the first.

    prometheus_client shows such families one after the other.
    """
    found: dict[tuple[str, str], Family] = {}
    for family in families:
        first = found.setdefault((family.name, family.type), family)
        if first is not family:
            known = {_series(sample) for sample in first.samples}
            first.samples += tuple([sample for sample in family.samples if _series(sample) not in known])
    return list(found.values())


def _family(name: str, type_: MetricType, metric: Metric, samples: Iterable[Sample]) -> Family:
    unit = metric.unit if metric.name.endswith("_" + metric.unit) and type_ not in ("info", "stateset") else ""
    return Family(name, type_, metric.documentation, samples, unit=unit, names="utf8")


def _unknown(metric: Metric, prepared: list[tuple[str, Sample]]) -> list[Family]:
    named: dict[str, list[Sample]] = {}
    for name, sample in prepared:
        named.setdefault(name, []).append(sample._replace(suffix="", exemplar=None))
    for name, samples in named.items():
        _check_series(samples, name)
    return [Family(name, "unknown", metric.documentation, samples, names="utf8") for name, samples in named.items()]


def _sample(suffix: str, sample: theirs.Sample, labels: dict[str, str]) -> Sample:
    native = sample.native_histogram
    timestamp = None if sample.timestamp is None else float(sample.timestamp)
    exemplar = _exemplar(sample.exemplar)
    if native is None:
        return Sample(suffix, labels, float(sample.value), timestamp, exemplar)
    exemplars = tuple([found for given in native.nh_exemplars or () if (found := _exemplar(given)) is not None])
    return Sample(suffix, labels, float(native.count_value), timestamp, exemplar, None, _native(native), exemplars)


def _exemplar(given: theirs.Exemplar | None) -> Exemplar | None:
    if given is None:
        return None
    return Exemplar(dict(given.labels), float(given.value), None if given.timestamp is None else float(given.timestamp))


def _native(given: theirs.NativeHistogram | None) -> NativeHistogram | None:
    if given is None:
        return None
    if not MIN_SCHEMA <= given.schema <= MAX_SCHEMA:
        raise OutOfRangeError(
            f"a native histogram has the schema {given.schema!r}; expected {MIN_SCHEMA} to {MAX_SCHEMA}"
        )
    positive = _counts(given.pos_spans, given.pos_deltas)
    negative = _counts(given.neg_spans, given.neg_deltas)
    buckets = given.zero_count + sum(positive.values()) + sum(negative.values())
    return NativeHistogram(
        given.schema, given.zero_threshold, given.zero_count, positive, negative, max(given.count_value - buckets, 0)
    )


def _counts(spans: Iterable[theirs.BucketSpan] | None, deltas: Iterable[int] | None) -> dict[int, float]:
    """Return the count of each bucket by its index; a span begins after so many indexes, and a count is a difference.

    https://prometheus.io/docs/specs/native_histograms/
    """
    spanned: list[range] = []
    end = 0
    for offset, length in spans or ():
        start = end + offset
        end = start + length
        spanned.append(range(start, end))
    return dict(zip(chain.from_iterable(spanned), accumulate(deltas or ()), strict=True))


def _with_native(samples: list[Sample], metric: Metric) -> list[Sample]:
    """Return `samples` with each native histogram at the count of its series, and its sum if that is missing."""
    count, total = _COUNT[metric.type], _SUM[metric.type]
    natives = {
        frozenset(sample.labels.items()): (sample, theirs_.native_histogram)
        for sample, theirs_ in zip(samples, metric.samples, strict=True)
        if theirs_.native_histogram is not None
    }
    if not natives:
        return samples
    classic = [sample for sample in samples if sample.native is None]
    result: list[Sample] = []
    for sample in classic:
        found = natives.pop(frozenset(sample.labels.items()), None) if sample.suffix == count else None
        result.append(
            sample if found is None else sample._replace(native=found[0].native, exemplars=found[0].exemplars)
        )
    summed = {frozenset(sample.labels.items()) for sample in classic if sample.suffix == total}
    for key, (sample, native) in natives.items():
        if key not in summed:
            result.append(Sample(total, sample.labels, float(native.sum_value), sample.timestamp))
        result.append(sample._replace(value=float(native.count_value), exemplar=None))
    return result


def _with_start_times(samples: list[Sample], suffix: str) -> list[Sample]:
    times = {frozenset(sample.labels.items()): sample for sample in samples if sample.suffix == _CREATED}
    if not times:
        return samples
    kept: list[Sample] = []
    for sample in samples:
        if sample.suffix == suffix:
            found = times.pop(frozenset(sample.labels.items()), None)
            kept.append(sample if found is None else sample._replace(created=found.value))
        elif sample.suffix != _CREATED:
            kept.append(sample)
    return kept + list(times.values())


def _series(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    labels: Mapping[str, str] = sample.labels
    return (sample.suffix, frozenset(labels.items()))


def _check_series(samples: list[Sample], name: str) -> None:
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for sample in samples:
        series = _series(sample)
        if series in seen:
            raise LabelError(
                f"{name!r} of prometheus_client has two samples {name + sample.suffix!r} with the labels"
                f" {dict(sample.labels)!r}; a series has one number in a scrape"
            )
        seen.add(series)
