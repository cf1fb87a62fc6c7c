"""The families of an exposition as a JSON document. docs/reference/command-line.md describes it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pytheus.native_bounds import upper_bound
from pytheus.native_buckets import NativeHistogram
from pytheus.samples import Exemplar
from pytheus.testing.parsed import ParsedFamily, ParsedSample

__all__ = ["families_document", "number_document"]


def families_document(families: Iterable[ParsedFamily]) -> list[dict[str, object]]:
    """Return one object for each family, in order, whose samples are objects, too.

    >>> family = ParsedFamily("up", "gauge", "Whether it runs.")
    >>> family.samples.append(ParsedSample("up", (("host", "a"),), 1.0))
    >>> families_document([family])[0]["samples"]
    [{'name': 'up', 'labels': {'host': 'a'}, 'value': 1.0}]
    """
    return [
        {
            "name": family.name,
            "type": family.type,
            "help": family.description,
            "unit": family.unit,
            "samples": [_sample(sample) for sample in family.samples],
        }
        for family in families
    ]


def number_document(value: float) -> float | str:
    """Return `value`, or one of the texts "NaN", "+Inf" and "-Inf", because JSON has no such numbers."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _sample(sample: ParsedSample) -> dict[str, object]:
    document: dict[str, object] = {
        "name": sample.name,
        "labels": dict(sample.labels),
        "value": number_document(sample.value),
    }
    if sample.timestamp is not None:
        document["timestamp"] = sample.timestamp
    if sample.created is not None:
        document["created"] = sample.created
    if sample.exemplar is not None:
        document["exemplar"] = _exemplar(sample.exemplar)
    if sample.native is not None:
        document["native"] = _native(sample.native, sample.exemplars)
    return document


def _exemplar(exemplar: Exemplar) -> dict[str, object]:
    document: dict[str, object] = {"labels": dict(exemplar.labels), "value": number_document(exemplar.value)}
    if exemplar.timestamp is not None:
        document["timestamp"] = exemplar.timestamp
    return document


def _native(native: NativeHistogram, exemplars: Iterable[Exemplar]) -> dict[str, object]:
    return {
        "schema": native.schema,
        "zero_threshold": native.zero_threshold,
        "zero_count": native.zero_count,
        "buckets": _buckets(native),
        "exemplars": [_exemplar(exemplar) for exemplar in exemplars],
    }


def _buckets(native: NativeHistogram) -> list[dict[str, object]]:
    """Return the buckets with observations by rising bounds, without the zero bucket."""
    buckets: list[dict[str, object]] = []
    for index in sorted(native.negative, reverse=True):
        lower, upper = -upper_bound(index, native.schema), -upper_bound(index - 1, native.schema)
        count = native.negative[index]
        buckets.append({"lower": number_document(lower), "upper": number_document(upper), "count": count})
    for index in sorted(native.positive):
        lower, upper = upper_bound(index - 1, native.schema), upper_bound(index, native.schema)
        count = native.positive[index]
        buckets.append({"lower": number_document(lower), "upper": number_document(upper), "count": count})
    return buckets
