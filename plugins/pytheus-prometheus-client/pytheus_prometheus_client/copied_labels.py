"""The labels of copied series, and the layer that shows them.

A family of a custom collector may have other label names in each process: OpenTelemetry, for example, adds
``error.type`` once a request has failed. Processes could not merge metrics whose label names differ. So a copied metric
has one label, whose value has the names and values of all, and a scrape shows these in its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final, Protocol, cast

from pytheus.compose import Layer
from pytheus.metrics import CustomCollector
from pytheus.registry import Collector, Registry, definition_of, walk
from pytheus.samples import Family, Sample

__all__ = ["COPIES", "LABEL", "Copies", "CopiesLayer", "copied_names", "encoded", "shows_copies", "with_copies"]

LABEL: Final = "copied_labels"
"""The label of a copied metric."""


class Copies(Protocol):
    """Copies of collectors of prometheus_client."""

    def copy(self) -> None:
        """Make the copies equal to the collectors now."""
        ...

    def names_of(self, collector: object) -> list[str] | None:
        """Return the names of the families that are copied from `collector`, as there, or None if it is not copied."""
        ...


COPIES: Final[list[Copies]] = []
"""Those of this process that are not closed."""


def copied_names(collector: object) -> list[str] | None:
    """Return the names of the families that are copied from `collector`, as there, or None if it is not copied."""
    for copies in list(COPIES):
        names = copies.names_of(collector)
        if names is not None:
            return names
    return None


def encoded(labels: Mapping[str, str]) -> str:
    """Return labels as the value of `LABEL`, the same text for equal labels; an empty value is as no label.

    >>> encoded({"queue": "mail", "error": "", "code": "5"})
    '{"code":"5","queue":"mail"}'
    """
    kept = sorted([(name, value) for name, value in labels.items() if value])
    return json.dumps(dict(kept), ensure_ascii=False, separators=(",", ":"))


def with_copies(registry: Registry) -> CopiesLayer:
    """Return `registry` with the own labels of copied series; see `CollectorCopies`.

    A registry that is chosen by name has this layer where the plugin is named.
    """
    return CopiesLayer(registry)


def shows_copies(registry: Registry) -> bool:
    """Return whether `registry` has this layer."""
    return any(isinstance(each, CopiesLayer) for each in walk(registry, resolve=True))


class CopiesLayer(Layer):
    """The result of `with_copies`. May be used from any thread."""

    __slots__ = ()

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry, "with_copies(...)")

    def collect(self) -> Iterator[Collector]:
        """Return the collectors of the registry below, copied metrics with their own labels and present numbers."""
        for copies in list(COPIES):
            copies.copy()
        return iter([_shown(collector) for collector in super().collect()])

    def __repr__(self) -> str:
        return f"<with copies {self._registry!r}>"


def _shown(collector: Collector) -> Collector:
    definition = definition_of(collector)
    if definition is None or LABEL not in definition.labels:
        return collector
    return _Copied(collector, definition.name)


class _Copied(CustomCollector):
    """A copied metric, with the labels that its series have."""

    def __init__(self, origin: Collector, name: str) -> None:
        self._origin = origin
        self.name = name

    def collect(self) -> Iterator[Family]:
        for family in cast("Iterator[Family]", self._origin.collect()):
            samples = [sample._replace(labels=_labels(sample)) for sample in family.samples]
            yield Family(family.name, family.type, family.description, samples, unit=family.unit, names="utf8")


def _labels(sample: Sample) -> dict[str, str]:
    others = dict(sample.labels)
    own: dict[str, str] = json.loads(others.pop(LABEL, "{}"))
    return own | others
