"""The text format, version 0.0.4, of any registry.

Rules:

- What is asked of a registry is the protocol and nothing else; its prefix is read once, and put before every family.
- A collector is rendered whole or not at all: if it raises, or yields what cannot be exposed, it is left out, and all
  others are served. The failure is logged once and counted in `pytheus_collector_errors_total`.
- No name stands twice. Metrics and others that are `TextRenderer`, whose names are known beforehand, come before the
  families of custom collectors.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from itertools import chain
from typing import Final, cast

from pytheus.definitions import Definition
from pytheus.exceptions import CollectorError, ConflictError, LabelError
from pytheus.exposition.failures import failures_of, record_failure
from pytheus.kinds import KINDS
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import to_float
from pytheus.names import RESERVED_NAMES, base_name, prefix_lead, validate_label_names, validate_text
from pytheus.registry.capabilities import TextRenderer
from pytheus.registry.contract import Collector, Registry, check_registry, collector_name
from pytheus.registry.proxy import REGISTRY, CollectorRegistryProxy
from pytheus.registry.traversal import definition_of, flatten
from pytheus.samples import Family, Sample
from pytheus.textformat import format_labels, format_number, header

__all__ = ["CONTENT_TYPE", "exposition_parts", "generate_metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of `generate_metrics`' result, encoded as UTF-8."""


def generate_metrics(registry: Registry = REGISTRY, *, strict: bool = False) -> str:
    """What `registry` holds, in the text format 0.0.4.

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
    May be called from any thread, by several at once.
    """
    return "".join(exposition_parts(registry, strict=strict))


def exposition_parts(registry: Registry, *, strict: bool = False) -> list[str]:
    """As `generate_metrics`, in pieces of some thousand lines, which need no joining where they are sent one by one."""
    try:
        lead = prefix_lead(registry.prefix)
        collectors = list(registry.collect())
    except (AttributeError, TypeError):
        # Checked only now, so that a registry that is one costs nothing.
        if not isinstance(registry, CollectorRegistryProxy):
            check_registry(registry, "generate_metrics(...)")
        raise
    kinds: dict[type, bool] = {}
    # One for each collector: who writes its own lines is asked for its names before anything is written.
    rendering: list[tuple[TextRenderer, Definition] | None] = [_rendered(collector, kinds) for collector in collectors]
    definitions = [entry[1] for entry in rendering if entry is not None]
    # With no name twice, as nearly always, nobody needs to be asked whose it is.
    owned = [definition.occupied_names for definition in definitions]
    distinct = len({*RESERVED_NAMES, *chain.from_iterable(owned)}) == len(RESERVED_NAMES) + sum(map(len, owned))
    claimed = {} if distinct and len(definitions) == len(collectors) else _claims(definitions)
    texts: list[str] = []
    written: set[int] = set()
    for collector, entry in zip(collectors, rendering, strict=True):
        try:
            if entry is None:
                texts.append(_custom_text(collector, lead, claimed))
                continue
            rendered, definition = entry
            if distinct:
                texts += rendered.text_parts(lead)
                continue
            _check_claims(claimed, definition.occupied_names, definition)
            if id(definition) not in written:
                texts += rendered.text_parts(lead)
                written.add(id(definition))
        except Exception as error:
            if strict:
                name = collector_name(collector)
                raise CollectorError(f"collector {name!r} failed: {error}", collector=name) from error
            record_failure(registry, collector, error)
    failures = failures_of(registry)
    if failures is not None:
        texts.append(failures.text(lead))
    return texts


def _claims(definitions: list[Definition]) -> dict[str, object]:
    """Who has which name; metrics are told apart by their definitions, which the handles on one metric share."""
    claimed: dict[str, object] = dict.fromkeys(RESERVED_NAMES, "the count of failed collectors")
    for definition in definitions:
        for name in definition.occupied_names:
            claimed.setdefault(name, definition)
    return claimed


def _rendered(collector: Collector, kinds: dict[type, bool]) -> tuple[TextRenderer, Definition] | None:
    """`collector` and its definition if it writes its own lines, and None where its families are asked for.

    Which types do is asked once for each, for the protocol's check takes microseconds.
    """
    kind = type(collector)
    known = kinds.get(kind)
    if known is None:
        try:
            known = isinstance(collector, TextRenderer) and definition_of(collector) is not None
        except Exception:
            known = False  # 3.11 executes properties to see whether they are there
        kinds[kind] = known
    if not known:
        return None
    definition = definition_of(collector)
    return None if definition is None else (cast(TextRenderer, collector), definition)


def _custom_text(collector: Collector, lead: str, claimed: dict[str, object]) -> str:
    texts: list[str] = []
    taken: dict[str, object] = {}
    for part in flatten(collector, Metric):
        if isinstance(part, Metric):
            names = part.definition.occupied_names
            text = "".join(part.text_parts(lead))
        else:
            names = part.occupied_names
            text = _family_text(part, lead)
        _check_claims(claimed, names, part)
        _check_claims(taken, names, part)
        for name in names:
            taken[name] = part
        texts.append(text)
    claimed |= taken
    return "".join(texts)


def _check_claims(claimed: dict[str, object], names: tuple[str, ...], claimant: object) -> None:
    for name in names:
        holder = claimed.get(name, claimant)
        if holder is not claimant:
            raise ConflictError(
                f"{claimant} would expose the name {name!r} a second time, beside {holder}; give it another name",
                name=name,
                incumbent=holder,
            )


def _family_text(family: Family, lead: str) -> str:
    type_ = family.type
    name = lead + family.name
    # An info's sample is its base name with the suffix, however the family is called.
    stem = lead + base_name(family.name, type_) if type_ == "info" else name
    description = validate_text(family.description, f"the description of family {family.name!r}")
    suffixes = KINDS[type_].sample_suffixes
    lines: list[str] = []
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for sample in family.samples:
        if sample.suffix not in suffixes:
            raise LabelError(
                f"{type_} {family.name!r} has a sample with the suffix {sample.suffix!r}; expected one of {suffixes!r}"
            )
        lines.append(_sample_line(stem, family, sample))
        series = (sample.suffix, frozenset(sample.labels.items()))
        if series in seen:
            raise LabelError(
                f"{type_} {family.name!r} has two samples {family.name + sample.suffix!r} with the labels"
                f" {dict(sample.labels)!r}; a series has one number in a scrape"
            )
        seen.add(series)
    # In this format a family is called what its samples are called, where OpenMetrics leaves that suffix out.
    if type_ == "info":
        name = stem + "_info"
    elif type_ == "counter" and any(sample.suffix == "_total" for sample in family.samples):
        name += "_total"
    return header(name, type_, description) + "".join(lines)


def _sample_line(stem: str, family: Family, sample: Sample) -> str:
    subject = f"a sample of {family.type} {family.name!r}"
    names = validate_label_names(list(sample.labels), subject)
    labels = format_labels((name, validate_text(sample.labels[name], f"label {name!r} of {subject}")) for name in names)
    line = f"{stem}{sample.suffix}{{{labels}}} " if labels else f"{stem}{sample.suffix} "
    line += format_number(to_float(sample.value, subject))
    if sample.timestamp is not None:
        # This format has milliseconds since the epoch, as an integer.
        line += f" {round(to_float(sample.timestamp, subject) * 1000)}"
    return line + "\n"
