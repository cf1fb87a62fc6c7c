"""The families of a scrape as JSON values, so that a process of a check can send them to another one."""

from __future__ import annotations

from typing import cast

from pytheus.kinds import MetricType
from pytheus.samples import Exemplar, Family, Sample

__all__ = ["decoded", "encoded"]

_EncodedExemplar = tuple[dict[str, str], float, float | None]
_EncodedSample = tuple[str, dict[str, str], float, float | None, _EncodedExemplar | None]
_EncodedFamily = tuple[str, MetricType, str, list[_EncodedSample]]


def encoded(family: Family) -> list[object]:
    """Return a family as JSON values."""
    return [family.name, family.type, family.description, [_encoded(sample) for sample in family.samples]]


def _encoded(sample: Sample) -> list[object]:
    exemplar = sample.exemplar
    return [
        sample.suffix,
        dict(sample.labels),
        sample.value,
        sample.timestamp,
        exemplar and [dict(exemplar.labels), exemplar.value, exemplar.timestamp],
    ]


def decoded(scraped: object) -> list[Family]:
    """Return the families of a scrape from those values."""
    families: list[Family] = []
    for name, kind, description, samples in cast("list[_EncodedFamily]", scraped):
        found = [
            Sample(suffix, labels, value, timestamp, Exemplar(*exemplar) if exemplar else None)
            for suffix, labels, value, timestamp, exemplar in samples
        ]
        families.append(Family(name, kind, description, found))
    return families
