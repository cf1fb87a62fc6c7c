"""Families with the names and samples as a format exposes them.

Rules:

- A family is exposed as a whole or not at all: a sample that no format could expose is an error.
- Every name is as the client wants it (`pytheus.escaping`), the family's after the registry's prefix. The label of a
  state set has the exposed name of its family, without colons, which labels may not have.
- A histogram that has native buckets alone gets others beside them, for formats without native buckets.
- The value of ``le`` and ``quantile`` is the text of a number as `pytheus.textformat.format_bound` writes it, so that a
  series has the same labels in every format.
- An exemplar that cannot be exposed is left out alone, because it is an extra.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from pytheus.escaping import Escaping, escape_label_name, escape_name
from pytheus.exceptions import LabelError, OutOfRangeError, PytheusError
from pytheus.kinds import KINDS, MetricType
from pytheus.metrics.number import to_float
from pytheus.names import base_name, state_label, text_name, validate_label_names, validate_text
from pytheus.native_buckets import NativeHistogram, classic_buckets
from pytheus.registry.contract import Collector
from pytheus.registry.traversal import flatten
from pytheus.samples import EXEMPLAR_CHARACTERS_AT_MOST, Exemplar, Family, Sample
from pytheus.textformat import format_bound

__all__ = ["CheckedFamily", "checked_families", "checked_family", "exposed_labels"]

# Prometheus has timestamps as milliseconds in 64 bits.
_TIMESTAMP_BELOW: Final = 2.0**63 / 1000


class CheckedFamily(NamedTuple):
    """A family that can be exposed.

    `name` is as it is exposed, with the registry's prefix. Every text is an exact str, every number an exact float, and
    no series occurs twice.

        >>> from pytheus.samples import Sample
        >>> family = CheckedFamily("build", "info", "The build.", [Sample("_info", {"version": "1"}, 1.0)])
        >>> family.sample_name(family.samples[0])
        'build_info'
    """

    name: str
    type: MetricType
    description: str
    samples: list[Sample]
    unit: str = ""

    def sample_name(self, sample: Sample) -> str:
        """Return the name of `sample`, one of this family, in the text formats."""
        suffix = sample.suffix
        return base_name(self.name, self.type) + suffix if suffix else text_name(self.name, self.type)


def checked_families(collector: Collector, lead: str, escaping: Escaping) -> Iterator[CheckedFamily]:
    """Return the families of a collector that an encoder supports but cannot encode from its own lines or rows."""
    for family in flatten(collector):
        yield checked_family(family, lead, escaping)


def checked_family(family: Family, lead: str, escaping: Escaping) -> CheckedFamily:
    """Return `family` as it is exposed after `lead`; raise a `PytheusError` if it cannot be."""
    type_ = family.type
    subject = f"a sample of {type_} {family.name!r}"
    name = escape_name(lead + family.name, escaping)
    own_label = KINDS[type_].reserved_label
    suffixes = KINDS[type_].sample_suffixes
    implied_suffix = "" if base_name(name, type_) == name else KINDS[type_].own_suffix
    description = validate_text(family.description, f"the description of family {family.name!r}")
    samples: list[Sample] = []
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    # Most samples have the names of the one before.
    given: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    has_native = False
    for sample in family.samples:
        suffix = sample.suffix
        if suffix not in suffixes:
            raise LabelError(
                f"{type_} {family.name!r} has a sample with the suffix {suffix!r}; expected one of {suffixes!r}"
            )
        found = tuple(sample.labels)
        if found != given:
            own = family.name if own_label == "" else None
            # The label with the states may have no valid name, because it is exposed by another one.
            others = iter(validate_label_names([label for label in found if label != own], subject, names=family.names))
            plain = tuple([label if label == own else next(others) for label in found])
            names = exposed_labels(plain, own, name, escaping, subject)
            given = found
        labels = {shown: _text(sample.labels[label], label, subject) for shown, label in zip(names, given, strict=True)}
        if own_label and own_label in labels:
            labels[own_label] = _canonical(labels[own_label])
        # A counter `x_total` has the same name with the suffix and without.
        series = (suffix or implied_suffix, frozenset(labels.items()))
        if series in seen:
            raise LabelError(
                f"{type_} {family.name!r} has two samples {family.name + suffix!r} with the labels {labels!r};"
                " a series has one number in a scrape"
            )
        seen.add(series)
        value = to_float(sample.value, subject)
        timestamp = None if sample.timestamp is None else _timestamp(sample.timestamp, subject)
        checked = Sample(suffix, labels, value, timestamp)
        if sample.exemplar is not None or sample.created is not None or sample.native is not None:
            checked = _with_more(checked, sample)
            has_native = has_native or checked.native is not None
        samples.append(checked)
    if has_native and own_label == "le":
        samples = _with_classic_buckets(samples)
    return CheckedFamily(name, type_, description, samples, family.unit)


def exposed_labels(
    labels: tuple[str, ...], family: str | None, name: str, escaping: Escaping, subject: str
) -> tuple[str, ...]:
    """Return the exposed names of `labels`.

    `family` is the name of a state set, or None: a label of that name is exposed as the family is, by `name`. Raises
    `LabelError` if two labels would be exposed by one name.
    """
    exposed = tuple([state_label(name) if label == family else escape_label_name(label, escaping) for label in labels])
    if exposed != labels and len(set(exposed)) < len(exposed):
        raise LabelError(f"{subject} has the labels {labels!r}, which would be exposed as {exposed!r}; rename one")
    return exposed


def _with_classic_buckets(samples: list[Sample]) -> list[Sample]:
    """Return `samples` with buckets for each series that has native ones alone."""
    with_buckets = {
        frozenset([item for item in sample.labels.items() if item[0] != "le"])
        for sample in samples
        if sample.suffix == "_bucket"
    }
    added: dict[frozenset[tuple[str, str]], list[Sample]] = {}
    for sample in samples:
        key = frozenset(sample.labels.items())
        if sample.native is not None and key not in with_buckets:
            added[key] = [
                Sample("_bucket", {**sample.labels, "le": format_bound(bound)}, float(count), sample.timestamp)
                for bound, count in classic_buckets(sample.native)
            ]
    complete: list[Sample] = []
    for sample in samples:
        complete += added.pop(frozenset(sample.labels.items()), ())
        complete.append(sample)
    return complete


def _text(value: object, label: str, subject: str) -> str:
    if type(value) is str and value.isascii():
        return value
    return validate_text(value, f"label {label!r} of {subject}")


def _canonical(text: str) -> str:
    try:
        return format_bound(float(text))
    except ValueError:
        return text


def _timestamp(timestamp: object, subject: str) -> float:
    seconds = to_float(timestamp, subject)
    if not -_TIMESTAMP_BELOW < seconds < _TIMESTAMP_BELOW:
        raise OutOfRangeError(f"{subject} has the timestamp {seconds!r}; expected seconds since the Unix epoch")
    return seconds


def _with_more(checked: Sample, given: Sample) -> Sample:
    """Return `checked` with the parts of `given` that only some formats have, if they can be exposed."""
    created = given.created
    native = given.native
    return checked._replace(
        exemplar=_exemplar(given.exemplar),
        created=created if type(created) is float and 0.0 < created < _TIMESTAMP_BELOW else None,
        native=native if isinstance(native, NativeHistogram) else None,
        exemplars=tuple([exemplar for exemplar in map(_exemplar, given.exemplars) if exemplar is not None]),
    )


def _exemplar(given: Exemplar | None) -> Exemplar | None:
    """Return `given` if it can be exposed, and None otherwise."""
    if given is None:
        return None
    subject = "an exemplar"
    try:
        names = validate_label_names(tuple(given.labels), subject, names="legacy")
        labels = {name: _text(given.labels[name], name, subject) for name in names}
        value = to_float(given.value, subject)
        timestamp = None if given.timestamp is None else _timestamp(given.timestamp, subject)
    except PytheusError:
        return None
    fits = sum(len(name) + len(text) for name, text in labels.items()) <= EXEMPLAR_CHARACTERS_AT_MOST
    return Exemplar(labels, value, timestamp) if fits else None
