"""The rules about size, and about labels of the whole exposition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pytheus.testing.lint.family import LintFamily
from pytheus.testing.lint.finding import Finding, shown_text
from pytheus.testing.lint.options import LintOptions

__all__ = ["check_series", "check_totals", "widest_label"]

_FAMILIES_AT_LEAST: Final = 5


def widest_label(family: LintFamily) -> tuple[str, list[str]]:
    """Return the label of `family` with most values, and these; "" if it has no labels."""
    values: dict[str, dict[str, None]] = {}
    for labels in family.label_sets():
        for name, value in labels:
            values.setdefault(name, {})[value] = None
    if not values:
        return "", []
    label = max(values, key=lambda name: len(values[name]))
    return label, list(values[label])


def check_series(family: LintFamily, options: LintOptions) -> Iterator[Finding]:
    """Yield a finding if `family` has more label sets than it may."""
    bound = options.max_series_per_metric
    if bound is None or len(family.samples) <= bound:
        return
    count = len(family.label_sets())
    if count > bound:
        label, values = widest_label(family)
        shown = ", ".join(shown_text(value) for value in values[:3])
        yield Finding(
            "too-many-series",
            family.name,
            f"it has {count} label sets, more than {bound}; the label {label!r} has {len(values)} values: {shown}",
            f"leave {label!r} out, replace its values by a small set, or raise the bound",
            label,
            family.line,
            family.location,
        )


def check_totals(families: Sequence[LintFamily], size: int, options: LintOptions) -> Iterator[Finding]:
    """Yield the findings about all `families` together, an exposition of `size` bytes (0 if it is not known)."""
    total = sum(len(family.samples) for family in families)
    if options.max_series is not None and total > options.max_series:
        largest = sorted(families, key=lambda family: -len(family.samples))[:3]
        shown = ", ".join(f"{family.name} {len(family.samples)}" for family in largest)
        yield Finding(
            "too-many-series",
            "",
            f"there are {total} series, more than {options.max_series}; most are of {shown}",
            "leave out labels or metrics, or raise the bound",
        )
    if options.max_bytes is not None and size > options.max_bytes:
        message = f"the exposition has {size} bytes, more than {options.max_bytes}"
        yield Finding("large-exposition", "", message, "leave out labels or metrics, or raise the bound")
    yield from _check_constant_labels(families)


def _check_constant_labels(families: Sequence[LintFamily]) -> Iterator[Finding]:
    with_samples = [family for family in families if family.samples]
    if len(with_samples) < _FAMILIES_AT_LEAST:
        return
    common = set(with_samples[0].samples[0].labels)
    for family in with_samples:
        for sample in family.samples:
            common.intersection_update(sample.labels)
            if not common:
                return
    for name, value in sorted(common):
        yield Finding(
            "label-constant",
            "",
            f"every series has the label {name}={shown_text(value)}",
            "set labels of a target in its scrape configuration, or in an info metric",
            name,
        )
