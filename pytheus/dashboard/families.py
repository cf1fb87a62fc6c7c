"""Metric families as a dashboard needs them: name, type, labels, unit and help, without numbers.

They come from a registry, or from the text of a scrape. A registry tells more: labels of metrics that have no series
yet, native buckets, and the mode of a gauge. A scrape tells of all collectors of a running program, with the names that
Prometheus gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from pytheus.definitions import Definition
from pytheus.exposition.checked import CheckedFamily
from pytheus.exposition.walk import scrape
from pytheus.kinds import KINDS, MetricType
from pytheus.names import base_name, state_label
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.traversal import definition_of

if TYPE_CHECKING:
    from pytheus.testing.parse import ParsedFamily, ParsedSample

__all__ = ["FamilyInfo", "families_of_exposition", "families_of_registry"]


class FamilyInfo(NamedTuple):
    """A metric family without its numbers.

    `name` is that of its samples in Prometheus: with ``_total`` for a counter that has it, with ``_info`` for an info,
    and without ``_bucket``, ``_sum`` and ``_count`` for a histogram or summary. `labels` are the label names in the
    order of their definition, or of the first samples, without ``le``, ``quantile``, and the label of a state set.
    `unit` is "" or as OpenMetrics writes it. `mode` is that of a gauge, as in `Definition`. `bound` is the highest
    finite bound of a histogram's classic buckets, or None. `is_native` tells whether it has native buckets,
    `has_quantiles` whether a summary has samples of quantiles.

        >>> FamilyInfo("jobs_total", "counter", "Jobs done.", ("queue",)).labels
        ('queue',)
    """

    name: str
    type: MetricType
    description: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    mode: str = ""
    bound: float | None = None
    is_native: bool = False
    has_quantiles: bool = False


def families_of_registry(registry: Registry) -> list[FamilyInfo]:
    """Return the families that a scrape of `registry` would expose, in its order, with the registry's prefix.

    Collectors that have no definition are called, as in a scrape, and those that fail are left out and logged. Raises
    the errors of `generate_metrics`.

        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry(prefix="shop")
        >>> orders = Counter("orders_total", "Orders placed.", ["method"], registry=registry)
        >>> families_of_registry(registry)[0][:4]
        ('shop_orders_total', 'counter', 'Orders placed.', ('method',))
    """
    return scrape(registry, _InfoEncoder())


class _InfoEncoder:
    """An exposition format whose parts are families without numbers, so that names are claimed as in every scrape."""

    def supports(self, collector: Collector, /) -> bool:
        return definition_of(collector) is not None

    def encode_collector(self, _: Collector, definition: Definition, lead: str, /) -> Iterator[FamilyInfo]:
        bounds = definition.bounds
        yield FamilyInfo(
            _sample_name(lead + definition.name, definition.type),
            definition.type,
            definition.description,
            definition.labels,
            definition.unit,
            definition.mode,
            bounds[-1] if bounds else None,
            definition.native is not None,
        )

    def encode_family(self, family: CheckedFamily, /) -> FamilyInfo:
        own = _own_label(family.name, family.type)
        labels = [label for sample in family.samples for label in sample.labels]
        bounds = [sample.labels["le"] for sample in family.samples if sample.suffix == "_bucket"]
        return FamilyInfo(
            _sample_name(family.name, family.type),
            family.type,
            family.description,
            tuple(label for label in dict.fromkeys(labels) if label != own),
            family.unit,
            bound=_highest(bounds),
            is_native=any(sample.native is not None for sample in family.samples),
            has_quantiles=family.type == "summary" and any(not sample.suffix for sample in family.samples),
        )

    def encode_end(self) -> tuple[FamilyInfo, ...]:
        return ()


def _sample_name(name: str, type_: MetricType) -> str:
    return base_name(name, type_) + KINDS[type_].own_suffix if KINDS[type_].suffix_required else name


def _own_label(name: str, type_: MetricType) -> str | None:
    return state_label(name) if type_ == "stateset" else KINDS[type_].reserved_label


_INFINITE: Final = float("inf")


def _highest(bounds: Iterable[str]) -> float | None:
    return max((bound for bound in map(float, bounds) if bound < _INFINITE), default=None)


def families_of_exposition(text: str | bytes, content_type: str = "text/plain") -> list[FamilyInfo]:
    """Return the families of an exposition, in its order; `content_type` is that of the response.

    It is read as Prometheus does, with ``strict=False``. Families without samples have no labels. The text format has
    fewer types than OpenMetrics: a gauge whose name ends with ``_info`` is an info, and one with a label of its own
    name is a state set. Raises the errors of `pytheus.testing.parse_exposition`.

        >>> families_of_exposition('# TYPE hits_total counter\\nhits_total{path="/"} 3.0\\n')[0].labels
        ('path',)
    """
    from pytheus.testing.parse import parse_exposition

    parsed = list(parse_exposition(text, content_type, strict=False).values())
    histograms = {family.name for family in parsed if family.type.endswith("histogram")}
    return [
        info
        for info in map(_parsed, parsed)
        # The text format has the sum and the count of a gauge histogram as families of their own.
        if not any(info.name == name + end for name in histograms for end in ("_gsum", "_gcount"))
    ]


def _parsed(family: ParsedFamily) -> FamilyInfo:
    samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    type_ = _type_of(family, samples)
    name = family.name
    if type_ == "counter" and samples:
        name = samples[0].name  # with the suffix, which OpenMetrics omits from the name of the family
    own = _own_label(name, type_)
    labels = [label for sample in samples for label, _ in sample.labels]
    bounds = [value for sample in samples for label, value in sample.labels if label == "le" == own]
    return FamilyInfo(
        _sample_name(name, type_),
        type_,
        family.description,
        tuple(label for label in dict.fromkeys(labels) if label != own),
        family.unit,
        bound=_highest(bounds),
        is_native=any(sample.native is not None for sample in samples),
        has_quantiles=any(label == "quantile" == own for label in labels),
    )


def _type_of(family: ParsedFamily, samples: list[ParsedSample]) -> MetricType:
    if family.type == "gauge" and family.name.endswith("_info") and all(each.value == 1 for each in samples):
        return "info"
    if family.type == "gauge" and samples and state_label(family.name) in dict(samples[0].labels):
        return "stateset"
    if family.type == "histogram" and samples and not any(each.name.endswith("_count") for each in samples):
        return "gaugehistogram"
    # The types that the text format has no word for come later in the table than those that it calls them.
    return next(kind.type for kind in KINDS.values() if family.type in (kind.type, kind.text_type))
