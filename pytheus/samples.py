"""Families, samples, exemplars and rows: the data of collectors and formats."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Self, TypeVar

from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.kinds import KINDS, MetricType
from pytheus.names import (
    occupied_names,
    validate_label_name,
    validate_label_names,
    validate_metric_name,
    validate_names,
    validate_unit,
)
from pytheus.native_buckets import NativeHistogram
from pytheus.settings import NameRules

__all__ = [
    "EXEMPLAR_CHARACTERS_AT_MOST",
    "Exemplar",
    "Family",
    "Row",
    "Sample",
    "exemplar_labels",
    "new_exemplar",
]

K = TypeVar("K", bound=str | tuple[str, ...])

# "The combined length of the label names and values of an Exemplar's LabelSet MUST NOT exceed 128 UTF-8 character code
# points": https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars
EXEMPLAR_CHARACTERS_AT_MOST: Final = 128


class Exemplar(NamedTuple):
    """One observation with labels that refer to something else, usually a trace.

    `labels` identify it; names and values have at most 128 characters together. `value` is the observed number.
    `timestamp` is in seconds since the Unix epoch, or None. Immutable.
    https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars

        >>> Exemplar({"trace_id": "4bf92f35"}, 0.25).labels
        {'trace_id': '4bf92f35'}
    """

    labels: Mapping[str, str]
    value: float
    timestamp: float | None = None


class Sample(NamedTuple):
    """One number of one series at the moment of collection.

    `suffix` is the part of the sample's name after the family's name (``""``, ``"_bucket"``, ``"_sum"``, ``"_count"``,
    ``"_info"``). `labels` maps label names to values. `value` is a float. `timestamp` is in seconds since the Unix
    epoch, or None for "now", which is right for almost every sample. Immutable.

    The other items are for formats that can tell them. `exemplar` is the latest one. `created` is when the series of a
    counter, or of the `_count` of a histogram or summary, began at zero, in seconds since the Unix epoch. `native` has
    the native buckets, and `exemplars` their exemplars, of the `_count` of a histogram or the `_gcount` of a gauge
    histogram.

        >>> sample = Sample("_count", {"path": "/"}, 3.0)
        >>> sample.suffix, sample.timestamp
        ('_count', None)
    """

    suffix: str
    labels: Mapping[str, str]
    value: float
    timestamp: float | None = None
    exemplar: Exemplar | None = None
    created: float | None = None
    native: NativeHistogram | None = None
    exemplars: tuple[Exemplar, ...] = ()


class Row(NamedTuple):
    """The numbers of one series as they are stored, independent of any format.

    `labels` has one value per label name, in the order of definition. `numbers` are floats, by the metric's type:

    - counter, gauge: the value;
    - summary: the sum, the number of observations;
    - histogram: the sum, then the count of each bucket in order, the last one up to +Inf (not cumulative);
    - stateset: 1.0 or 0.0 for each state in order;
    - info: no numbers, because its labels are in `info` (None until they are set).

    `exemplars` are the latest ones, by the slot (the index in `numbers`) that they belong to. `is_set` is False for a
    gauge that was never set and whose number 0.0 therefore means nothing; in the mode "sum" it is always True.

    `created` is when the series of a counter, histogram or summary began at zero, in seconds since the Unix epoch;
    `native` has the native buckets of a histogram, and `native_exemplars` their exemplars.

        >>> from pytheus import Summary
        >>> sizes = Summary("size_bytes", "Sizes.", registry=None)
        >>> sizes.observe(512)
        >>> [(row.labels, row.numbers) for row in sizes.rows()]
        [((), [512.0, 1.0])]
    """

    labels: tuple[str, ...]
    numbers: list[float]
    info: Mapping[str, str] | None = None
    exemplars: Mapping[int, Exemplar] | None = None
    is_set: bool = True
    created: float | None = None
    native: NativeHistogram | None = None
    native_exemplars: tuple[Exemplar, ...] = ()


class Family:
    """A metric family at one moment; a collector's `collect()` yields families.

    A custom collector creates them from numbers that it reads elsewhere:

        >>> Family("queue_depth", "gauge", "Jobs waiting.", [Sample("", {"queue": "mail"}, 7.0)])
        Family('queue_depth', 'gauge', 1 sample)

    `type` is one of the types in `pytheus.kinds.KINDS`. `unit` is "" or the end of the name, before ``_total``, as in
    ``cpu_seconds_total``. `names` is "utf8" if the names of the family and its labels may be any text, "legacy" if not,
    and None for the setting of the process (`pytheus.settings`). `samples` are read once and kept as a tuple; they are
    checked when they are exposed. Raises `InvalidNameError` for a name that is not a valid metric name, an unknown
    type, or a unit that is not the end of the name.
    """

    __slots__ = ("description", "name", "names", "samples", "type", "unit")

    def __init__(
        self,
        name: str,
        type: MetricType,
        description: str,
        samples: Iterable[Sample] = (),
        *,
        unit: str = "",
        names: NameRules | None = None,
    ) -> None:
        self.names: NameRules | None = validate_names(names, "a family")
        self.name: str = validate_metric_name(name, "family", names)
        if type not in KINDS:
            raise InvalidNameError(f"family {name!r} has the type {type!r}; expected one of {', '.join(KINDS)}")
        self.type: MetricType = type
        self.description: str = description
        self.unit: str = validate_unit(unit, name, type, f"{type} {name!r}")
        self.samples: tuple[Sample, ...] = tuple(samples)

    @classmethod
    def of(
        cls,
        name: str,
        type: MetricType,
        description: str,
        values: float | Mapping[K, float],
        labels: Iterable[str] = (),
        *,
        unit: str = "",
        names: NameRules | None = None,
    ) -> Self:
        """Return a family of one number for each series: a counter, gauge or unknown.

        `values` is the number of a family without labels, or maps the label values of each series, in the order of
        `labels`, to its number; for a single label, the value itself may be the key. The other arguments are those of
        the constructor. Raises its errors, `LabelError` for label values that do not match `labels`, and
        `InvalidNameError` for a type or label that it does not take.

            >>> Family.of("up", "gauge", "Whether it runs.", 1).samples[0].value
            1.0
            >>> depths = Family.of("queue_depth", "gauge", "Jobs waiting.", {"mail": 7, "print": 2}, ["queue"])
            >>> [(sample.labels, sample.value) for sample in depths.samples]
            [({'queue': 'mail'}, 7.0), ({'queue': 'print'}, 2.0)]
        """
        if type not in KINDS or KINDS[type].base_numbers != 1:
            raise InvalidNameError(
                f"Family.of makes a counter, gauge or unknown but got the type {type!r} for {name!r};"
                " make a Family with its samples"
            )
        subject = f"{type} {name!r}"
        label_names = validate_label_names(labels, subject, names=names)
        numbers: Iterable[tuple[str | tuple[str, ...], float]]
        numbers = values.items() if isinstance(values, Mapping) else [((), values)]
        samples: list[Sample] = []
        for key, number in numbers:
            texts = key if isinstance(key, tuple) else (key,)
            if len(texts) != len(label_names):
                raise LabelError(f"{subject} has the labels {label_names!r} but got {len(texts)} values: {texts!r:.80}")
            samples.append(Sample("", dict(zip(label_names, texts, strict=True)), float(number)))
        return cls(name, type, description, samples, unit=unit, names=names)

    @property
    def occupied_names(self) -> tuple[str, ...]:
        """Every name that this family produces in some exposition format, its own first."""
        return occupied_names(self.name, self.type)

    def __repr__(self) -> str:
        count = len(self.samples)
        return f"Family({self.name!r}, {self.type!r}, {count} sample{'' if count == 1 else 's'})"


def new_exemplar(labels: object, value: float, metric: str, text_of: Callable[[str, object], str]) -> Exemplar:
    """Return an exemplar of `value` with the current time.

    `metric` is the metric's name for messages, and `text_of` gives the text of a label's value. Raises `LabelError` or
    `InvalidNameError` if it could not be exposed.
    """
    return Exemplar(exemplar_labels(labels, f"an exemplar of {metric!r}", text_of), value, time.time())


def exemplar_labels(labels: object, subject: str, text_of: Callable[[str, object], str]) -> dict[str, str]:
    """Return the labels of an exemplar, checked; `subject` is for messages. See `new_exemplar`."""
    if not isinstance(labels, Mapping):
        raise LabelError(f"{subject} must be a mapping of label names to values but got {labels!r:.80}")
    checked: dict[str, str] = {}
    for name in labels:
        label = validate_label_name(name, subject, names="legacy")
        checked[label] = text_of(label, labels[name])
    length = sum(len(name) + len(text) for name, text in checked.items())
    if length > EXEMPLAR_CHARACTERS_AT_MOST:
        raise LabelError(
            f"{subject} has {length} characters in its labels {tuple(checked)!r}, but OpenMetrics allows"
            f" {EXEMPLAR_CHARACTERS_AT_MOST}; use short ids"
        )
    return checked
