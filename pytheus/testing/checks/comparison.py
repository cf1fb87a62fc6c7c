"""Comparing the families of two collectors, where a registry returns others than the registered ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytheus.registry.contract import Collector
from pytheus.registry.traversal import flatten
from pytheus.samples import Family, Sample

__all__ = ["difference", "family_difference"]

_Key = tuple[str, frozenset[tuple[str, str]]]


def difference(given: Collector, expected: Collector, *, prefix: str, labels: Mapping[str, str]) -> str:
    """Return the first point in which `given` tells other families than `expected`, or "".

    Names, types, descriptions, and each sample's labels, value, timestamp and exemplar count; the order of samples does
    not. The families of `given` have `prefix` before their names, and `labels` on every sample.
    """
    return family_difference(list(flatten(given)), list(flatten(expected)), prefix=prefix, labels=labels)


def family_difference(
    given: Sequence[Family], expected: Sequence[Family], *, prefix: str = "", labels: Mapping[str, str] | None = None
) -> str:
    """Return the first point in which `given` are other families than `expected`, or ""; see `difference`."""
    return next(_differences(given, expected, prefix, labels or {}), "")


def _differences(
    given: Sequence[Family], expected: Sequence[Family], prefix: str, labels: Mapping[str, str]
) -> Iterator[str]:
    names, wanted = [family.name for family in given], [prefix + family.name for family in expected]
    if names != wanted:
        yield f"its families are {names} instead of {wanted}"
        return
    for got, family in zip(given, expected, strict=True):
        if got.type != family.type:
            yield f"the type of {got.name!r} is {got.type!r} instead of {family.type!r}"
        if got.description != family.description:
            yield f"the description of {got.name!r} is {got.description!r} instead of {family.description!r}"
        # The label of a state set has the name of its family.
        own_label = family.name if family.type == "stateset" else None
        samples = _by_key(got.samples, {}, got.name if own_label else None, own_label)
        wanted_samples = _by_key(family.samples, labels, own_label, own_label)
        for key in [*wanted_samples, *(key for key in samples if key not in wanted_samples)]:
            shown = f"{got.name + key[0]}{dict(sorted(key[1])) or ''}"
            one, other = samples.get(key), wanted_samples.get(key)
            if one is None or other is None:
                yield f"{shown} is {'missing' if one is None else 'surplus'}"
            else:
                yield from _of_samples(shown, one, other)


def _by_key(
    samples: tuple[Sample, ...], labels: Mapping[str, str], own: str | None, shown: str | None
) -> dict[_Key, Sample]:
    """Return the samples by suffix and labels; the label `own` counts as one of the name `shown`."""
    return {
        (
            sample.suffix,
            frozenset(
                {
                    **{shown if name == own and shown else name: sample.labels[name] for name in sample.labels},
                    **labels,
                }.items()
            ),
        ): sample
        for sample in samples
    }


def _of_samples(shown: str, got: Sample, expected: Sample) -> Iterator[str]:
    # NaN is equal to NaN here.
    if got.value != expected.value and (got.value == got.value or expected.value == expected.value):
        yield f"{shown} is {got.value!r} instead of {expected.value!r}"
    if got.timestamp != expected.timestamp:
        yield f"the timestamp of {shown} is {got.timestamp!r} instead of {expected.timestamp!r}"
    if got.exemplar != expected.exemplar:
        yield f"the exemplar of {shown} is {got.exemplar!r} instead of {expected.exemplar!r}"
