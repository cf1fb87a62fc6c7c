"""A registry with constant labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytheus.compose.base import refuse_cycle
from pytheus.compose.derived import DerivingLayer, redefined
from pytheus.definitions import Definition
from pytheus.exceptions import LabelError
from pytheus.kinds import KINDS
from pytheus.names import validate_label_name, validate_text
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.traversal import definition_of, walk
from pytheus.samples import Family

__all__ = ["LabelledRegistry", "labelled"]


def labelled(registry: Registry, /, **constant_labels: str) -> LabelledRegistry:
    """Return `registry` with these labels on every sample.

        >>> from pytheus import Counter, generate_metrics
        >>> from pytheus.registry import CollectorRegistry
        >>> shop = CollectorRegistry()
        >>> Counter("orders_total", "Orders placed.", ["method"], registry=shop).labels("card").inc()
        >>> print(generate_metrics(labelled(shop, region="eu")), end="")
        # HELP orders_total Orders placed.
        # TYPE orders_total counter
        orders_total{method="card",region="eu"} 1.0

    Prefer the labels that Prometheus adds to a target, where they suffice. A metric that has one of the labels itself
    is refused when it is registered through this layer; one that was registered in `registry` fails in the scrape and
    is left out, as any collector that fails. Raises `InvalidNameError` or `LabelError` for labels that are not valid,
    and for those that a layer below adds already.

    `collect()` returns derived collectors, always the same one for the same collector below.
    """
    return LabelledRegistry(registry, constant_labels)


class LabelledRegistry(DerivingLayer):
    """The result of `labelled`. May be used from any thread."""

    __slots__ = ("_change",)

    def __init__(self, registry: Registry, labels: dict[str, str]) -> None:
        super().__init__(registry, "labelled(...)")
        checked: dict[str, str] = {}
        for label, value in labels.items():
            name = validate_label_name(label, "labelled(...)")
            if any(name == kind.reserved_label for kind in KINDS.values()):
                raise LabelError(
                    f"labelled(...) got the label {name!r}, which expositions write themselves; choose another name"
                )
            checked[name] = validate_text(value, f"label {name!r} of labelled(...)")
        _refuse_labels_added_below(checked, self._registry)
        self._change: Final = _Labels(checked)

    @property
    def constant_labels(self) -> dict[str, str]:
        """The names and values of the labels that this layer adds to every sample."""
        return dict(self._change.labels)

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry below; raises `LabelError` if it has one of the labels itself."""
        definition = definition_of(self._derived.origin(collector))
        if definition is not None:
            self._change.check(definition)
        super().register(collector)

    def collect(self) -> Iterator[Collector]:
        """Return the collectors of the registry below, with the labels; see `Registry.collect`."""
        refuse_cycle(self)
        change = self._change if self._change.labels else None
        return iter(self._derived.derive([(collector, change) for collector in self._registry.collect()]))

    def __repr__(self) -> str:
        labels = ", ".join(f"{name}={value!r}" for name, value in self._change.labels.items())
        return f"<labelled {labels} {self._registry!r}>"


def _refuse_labels_added_below(labels: dict[str, str], registry: Registry) -> None:
    for below in walk(registry, resolve=False):
        if isinstance(below, LabelledRegistry):
            for name, value in below.constant_labels.items():
                if name in labels:
                    raise LabelError(
                        f"labelled(...) got {name}={labels[name]!r}, but a layer below adds {name}={value!r} already;"
                        " add each label once"
                    )


class _Labels:
    """The change of a labelled registry. Each layer has one, so that equality is identity."""

    __slots__ = ("labels",)

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels

    def name(self, name: str) -> str:
        return name

    def check(self, definition: Definition) -> None:
        taken = (*definition.labels, definition.name) if definition.type == "stateset" else definition.labels
        for label in taken:
            if label in self.labels:
                raise LabelError(
                    f"{definition} has a label {label!r}, which labelled(...) sets to {self.labels[label]!r} on every"
                    " sample; rename one of them"
                )

    def definition(self, definition: Definition) -> Definition:
        return redefined(definition, labels=tuple(self.labels))

    def family(self, family: Family) -> Family:
        samples = []
        for sample in family.samples:
            for name in sample.labels:
                if name in self.labels:
                    raise LabelError(
                        f"{family.type} {family.name!r} has a sample with the label {name!r}, which labelled(...) sets"
                        f" to {self.labels[name]!r} on every sample; rename one of them"
                    )
            samples.append(sample._replace(labels={**sample.labels, **self.labels}))
        return Family(family.name, family.type, family.description, samples, unit=family.unit, names=family.names)
