"""The rules for the labels of one family: their names, and whether its series agree on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytheus.testing.lint.family import Labels, LintFamily
from pytheus.testing.lint.finding import Finding, shown_text
from pytheus.testing.lint.label_values import id_findings

__all__ = ["check_labels"]

_OF_TARGETS: Final = ("job", "instance")
_DERIVED_AT_LEAST: Final = 20
_COMPARED_AT_MOST: Final = 30


def check_labels(family: LintFamily, *, keeps_target_labels: bool = False) -> Iterator[Finding]:
    """Yield the findings about the labels of `family`.

    `keeps_target_labels` tells that the exposition is scraped with ``honor_labels``, as that of a Pushgateway.
    """
    series = list(family.label_sets())
    names = dict.fromkeys((*family.labels, *(name for labels in series for name, _ in labels)))
    yield from _check_names(family, names, keeps_target_labels)
    if not family.is_info:
        yield from _check_consistency(family, series)
    values: dict[str, dict[str, None]] = {name: {} for name in names}
    for labels in series:
        for name, value in labels:
            values[name][value] = None
    yield from _check_repeated_name(family, series, values)
    if family.is_info:
        return
    for label, distinct in values.items():
        for message, rule in id_findings(label, distinct):
            remedy = (
                f"leave {label!r} out, or replace its values by a small set, such as the route of a path; put ids into"
                " logs, traces or exemplars"
            )
            yield _finding(family, rule, f"its label {label!r} {message}", remedy, label)
    yield from _check_derived(family, series, values)


def _finding(family: LintFamily, rule: str, message: str, remedy: str, label: str = "") -> Finding:
    return Finding(rule, family.name, message, remedy, label, family.line, family.location)


def _check_names(family: LintFamily, names: dict[str, None], keeps_target_labels: bool) -> Iterator[Finding]:
    for name in names:
        owner = {"le": "histogram", "quantile": "summary"}.get(name)
        if name.startswith("__"):
            yield _finding(
                family,
                "label-reserved",
                f"its label {name!r} begins with '__', which Prometheus reserves",
                f"call it {name.lstrip('_')!r}",
                name,
            )
        elif owner is not None and family.is_typed:
            remedy = f"make it a {owner}, or give the label another name"
            yield _finding(
                family, "label-reserved", f"it is a {family.type} with the label {name!r} of a {owner}", remedy, name
            )
        elif name in _OF_TARGETS and not keeps_target_labels:
            yield _finding(
                family,
                "label-of-target",
                f"Prometheus renames its label {name!r} to 'exported_{name}', because each target has one",
                "give it a more specific name; with honor_labels in the scrape configuration, ignore this",
                name,
            )


def _check_consistency(family: LintFamily, series: list[Labels]) -> Iterator[Finding]:
    # A label with an empty value is one that is missing: https://prometheus.io/docs/concepts/data_model/
    shapes = {frozenset([name for name, value in labels if value]) for labels in series}
    if len(shapes) < 2:
        return
    common = frozenset.intersection(*shapes)
    optional = sorted({name for shape in shapes for name in shape} - common)
    # Empty values are usual where a fact is missing; only label names that no series has a value for are a fault.
    exact = {frozenset([name for name, _ in labels]) for labels in series}
    if len(exact) < 2:
        return
    shown = ", ".join(repr(name) for name in optional[:4])
    yield _finding(
        family,
        "labels-inconsistent",
        f"only some of its series have the label {shown}",
        "give every series the same labels, or make two metrics of it",
        optional[0] if len(optional) == 1 else "",
    )


def _check_repeated_name(
    family: LintFamily, series: list[Labels], values: dict[str, dict[str, None]]
) -> Iterator[Finding]:
    for label, distinct in values.items():
        if label == family.name or (len(distinct) == 1 and family.name in distinct):
            thing = "is called as the metric" if label == family.name else f"has the value {shown_text(family.name)}"
            yield _finding(family, "label-repeats-name", f"its label {label!r} {thing}", "leave it out", label)


def _check_derived(family: LintFamily, series: list[Labels], values: dict[str, dict[str, None]]) -> Iterator[Finding]:
    """Find labels whose values correspond one to one, in many series."""
    many = [label for label, distinct in values.items() if len(distinct) >= _DERIVED_AT_LEAST]
    if len(many) < 2:
        return
    given = [dict(labels) for labels in series]
    # The values of each label that no label before it implies.
    columns: dict[str, list[str]] = {}
    for other in many[:_COMPARED_AT_MOST]:
        column = [labels.get(other, "") for labels in given]
        number = len(set(column))
        one = next(
            (
                one
                for one, first in columns.items()
                if number == len(set(first)) == len(set(zip(first, column, strict=True)))
            ),
            None,
        )
        if one is None:
            columns[other] = column
        else:
            yield _finding(
                family,
                "label-derived",
                f"each value of its label {other!r} belongs to one of {one!r}",
                f"keep one of them; an info metric can have the other, by {one!r}",
                other,
            )
