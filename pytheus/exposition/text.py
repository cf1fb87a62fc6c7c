"""The text format, version 0.0.4, of any registry.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from typing import Final, cast

from pytheus.definitions import Definition
from pytheus.exposition.checked import CheckedFamily, checked_families
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.walk import Walk, keep_memory, scrape
from pytheus.kinds import KINDS
from pytheus.names import base_name, text_name
from pytheus.registry.capabilities import TextRenderer, has_plain_text
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.registry.traversal import unexposed_note
from pytheus.textformat import format_number, header, line_head, quoted_name

__all__ = ["CONTENT_TYPE", "TextEncoder", "begin_walk", "generate_metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of the result of `generate_metrics`, encoded as UTF-8."""


_DEFAULT: Final = RenderRequest()


def generate_metrics(registry: Registry = REGISTRY, *, strict: bool = False) -> str:
    """Return the metrics of `registry` in the text format 0.0.4.

        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry(prefix="shop")
        >>> Counter("orders_total", "Orders placed.", registry=registry).inc()
        >>> print(generate_metrics(registry), end="")
        # HELP shop_orders_total Orders placed.
        # TYPE shop_orders_total counter
        shop_orders_total 1.0

    `registry` is any object that satisfies `pytheus.registry.Registry`. A collector that raises is left out, logged
    once and counted in ``pytheus_collector_errors_total{collector="..."}``; with `strict` it raises `CollectorError`.
    For a registry that holds collectors and exposes none, the result is a comment that says so.
    Raises `NotARegistryError` if `registry` is not a registry. May be called from any thread, by several at once.
    https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
    """
    text = "".join(scrape(registry, TextEncoder(), strict=strict))
    keep_memory(len(text))
    return text or _comment(registry)


def begin_walk(
    registry: Registry, request: RenderRequest = _DEFAULT, encoder: TextEncoder | None = None
) -> Walk[TextRenderer, str]:
    """Return a scrape of `registry` that can be encoded as text by several threads, by `encoder` if one is given."""
    encoder = encoder or TextEncoder(request)
    walk = Walk(registry, encoder, request)
    if not walk.collectors:
        encoder.comment = _comment(registry)
    return walk


def _comment(registry: Registry) -> str:
    """Return a comment with the reason if `registry` exposes nothing on purpose, or else ""."""
    note = unexposed_note(registry)
    return f"# {note}\n" if note else ""


# OpenMetrics has it for counters, histograms and summaries: https://prometheus.io/docs/specs/om/open_metrics_spec/
_GAUGES: Final = ("_created", "_gsum", "_gcount")
"""Suffixes that no type of this format has, so that each is a gauge family of its own."""


class TextEncoder:
    """Encodes families; a metric, or another `TextRenderer`, writes its own lines."""

    __slots__ = ("_escaping", "comment")

    def __init__(self, request: RenderRequest = _DEFAULT) -> None:
        self._escaping: Final = request.escaping
        self.comment: str = ""
        """A line to end with."""

    def supports(self, collector: Collector, /) -> bool:
        # Without isinstance(..., TextRenderer), which takes 10 microseconds; the walk checks for a definition.
        return callable(getattr(collector, "text_parts", None))

    def encode_collector(self, collector: TextRenderer, definition: Definition, lead: str, /) -> list[str]:
        if definition.name_rules == "legacy" and (definition.type != "info" or has_plain_text(collector)):
            return collector.text_parts(lead)
        families = checked_families(cast(Collector, collector), lead, self._escaping)
        return [self.encode_family(family) for family in families]

    def encode_family(self, family: CheckedFamily, /) -> str:
        # In this format a family of one number has the name of its samples, while OpenMetrics omits a suffix; and it
        # has no suffix for times of creation, and no gauge histograms. So the samples of one family may be several
        # families here.
        kind = KINDS[family.type]
        name = text_name(family.name, family.type)
        stem = base_name(family.name, family.type)
        families: dict[tuple[str, str], list[str]] = {}
        for sample in family.samples:
            suffix, timestamp = sample.suffix, sample.timestamp
            sample_name = stem + suffix if suffix else name
            if suffix in _GAUGES:
                head = (sample_name, "gauge")
            elif suffix and suffix == kind.own_suffix:
                head = (sample_name, family.type)
            else:
                head = (name, family.type)
            # Milliseconds since the Unix epoch, as an integer.
            time = "" if timestamp is None else f" {round(timestamp * 1000)}"
            line = f"{line_head(sample_name, sample.labels)}{format_number(sample.value)}{time}\n"
            families.setdefault(head, []).append(line)
        if not families:
            families[name, family.type] = []
        return "".join(
            header(quoted_name(name), type_, family.description) + "".join(lines)
            for (name, type_), lines in families.items()
        )

    def encode_end(self) -> tuple[str, ...]:
        return (self.comment,) if self.comment else ()
