"""The rules for names, units and help texts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pytheus.testing.lint.family import LintFamily, bare_name
from pytheus.testing.lint.finding import Finding, shown_text
from pytheus.testing.lint.units import ABBREVIATIONS, base_unit, misplaced_unit

__all__ = ["check_all_names", "check_name", "snake_case"]

# The types whose samples or names have the suffix.
_RESERVED: Final[dict[str, tuple[str, ...]]] = {
    "_info": ("info",),
    "_bucket": (),
    "_count": (),
    "_sum": (),
    "_gcount": (),
    "_gsum": (),
    "_created": (),
}
_TYPES: Final = ("counter", "gauge", "histogram", "summary")
_CAMEL_CASE: Final = re.compile("[a-z][A-Z]")
_SUFFIX_OF_SIBLING: Final = re.compile("_(?:created|gsum|gcount)$")
# Formats without a type for a family may have its parts as families of their own.
_SUFFIX_OF_PART: Final = re.compile("_(?:created|g?sum|g?count|bucket)$")


def snake_case(name: str) -> str:
    """Return `name` in snake_case.

    >>> snake_case("openHTTPRequests")
    'open_http_requests'
    """
    return re.sub("([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", name).lower()


def check_name(family: LintFamily, names: Mapping[str, LintFamily]) -> Iterator[Finding]:
    """Yield the findings about the name, unit and help text of `family`, one of `names`."""
    yield from _check_help(family)
    yield from _check_suffix(family, names)
    yield from _check_units(family)
    yield from _check_style(family)


def _finding(family: LintFamily, rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule, family.name, message, remedy, "", family.line, family.location)


def _check_help(family: LintFamily) -> Iterator[Finding]:
    text = family.help
    if text is None or not text.strip():
        yield _finding(
            family,
            "no-help",
            "it has no help text",
            "state the thing it counts, and the unit",
        )
    elif _letters(text) == _letters(family.name):
        yield _finding(
            family,
            "help-repeats-name",
            f"the help text {shown_text(text)} repeats the name",
            "state the thing that it measures, and when it changes",
        )


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def _check_suffix(family: LintFamily, names: Mapping[str, LintFamily]) -> Iterator[Finding]:
    name = family.name
    if family.type == "counter":
        if not name.endswith("_total"):
            yield _finding(
                family,
                "counter-without-total",
                "it is a counter without '_total'",
                f"a counter ends with '_total': {name + '_total'!r}",
            )
    elif name.endswith("_total") and family.is_typed:
        yield _finding(
            family,
            "total-on-other-type",
            f"it is a {family.type} and ends with '_total' as a counter does",
            f"samples of other types end with '_total': {name.removesuffix('_total')!r}",
        )
    if not family.is_typed:
        return
    for suffix, types in _RESERVED.items():
        if not name.endswith(suffix) or family.type in types or (suffix == "_info" and _is_usual_info(family)):
            continue
        if _SUFFIX_OF_SIBLING.search(name) and _has_sibling(name, names):
            continue  # the text format has no better place for these
        yield _finding(
            family,
            "reserved-suffix",
            f"it is a {family.type} and ends with {suffix!r} as samples of another type do",
            f"samples of other types end with {suffix!r}: {name.removesuffix(suffix)!r}",
        )


def _is_usual_info(family: LintFamily) -> bool:
    """Whether it is a gauge in place of an info, as formats and libraries without that type have it."""
    return family.is_info and not family.is_exact


def _has_sibling(name: str, names: Mapping[str, LintFamily]) -> bool:
    base = _SUFFIX_OF_SIBLING.sub("", name)
    return base in names or f"{base}_total" in names


def _check_units(family: LintFamily) -> Iterator[Finding]:
    words = family.name.split("_")
    for place, word in enumerate(words):
        lower = word.lower()
        base = base_unit(lower)
        if base is not None:
            yield _finding(family, "unit-not-base", f"{word!r} is not a base unit", _use_base(words, word, base))
        elif place and lower in ABBREVIATIONS:
            yield _finding(
                family,
                "unit-abbreviated",
                f"{word!r} abbreviates a unit",
                _use_base(words, word, ABBREVIATIONS[lower]),
            )
    suffix = "_total" if family.name.endswith("_total") else ""
    bare = bare_name(family).split("_")
    found = misplaced_unit(bare)
    if found is not None:
        unit = bare[found]
        better = "_".join([*bare[:found], *bare[found + 1 :], base_unit(unit) or unit]) + suffix
        yield _finding(
            family,
            "unit-not-last",
            f"the unit {unit!r} is not the end of the name",
            f"put the unit last: {better!r}",
        )
    if family.unit and (family.type in ("info", "stateset") or not bare_name(family).endswith(f"_{family.unit}")):
        remedy = (
            f"leave the unit out, because a {family.type} has none"
            if family.type in ("info", "stateset")
            else f"call it {bare_name(family) + '_' + family.unit + suffix!r}, or declare the unit of its name"
        )
        yield _finding(family, "unit-mismatch", f"its UNIT is {shown_text(family.unit)}, its name has another", remedy)


def _use_base(words: Sequence[str], word: str, base: str) -> str:
    if not base:
        return f"write the unit {word!r} out, as a base unit"
    return f"use the base unit: {'_'.join(base if other == word else other for other in words)!r}"


def _check_style(family: LintFamily) -> Iterator[Finding]:
    name = family.name
    words = name.lower().split("_")
    kinds = [word for word in _TYPES if word in words[1:]]
    if kinds:
        better = "_".join(word for place, word in enumerate(name.split("_")) if not place or word.lower() not in kinds)
        shown = " and ".join(repr(kind) for kind in kinds)
        # A counter may count things of histograms.
        is_own = words[-1] in kinds or family.type in kinds
        yield _finding(
            family,
            "type-in-name" if is_own else "other-type-in-name",
            f"the name has the type {shown}",
            f"leave the type out of the name: {better!r}",
        )
    if ":" in name:
        yield _finding(family, "name-with-colon", "it has a ':'", "':' is for the names of recording rules; use '_'")
    if _CAMEL_CASE.search(name):
        yield _finding(
            family, "name-not-snake-case", "it is not in snake_case", f"write it in snake_case: {snake_case(name)!r}"
        )
    declared = (label for sample in family.samples for label, _ in sample.labels)
    for label in dict.fromkeys((*family.labels, *declared)):
        if _CAMEL_CASE.search(label) and label != family.own_label:
            yield _finding(
                family,
                "label-not-snake-case",
                f"its label {label!r} is not in snake_case",
                f"write its label {label!r} in snake_case: {snake_case(label)!r}",
            )._replace(label=label)


def check_all_names(families: Sequence[LintFamily]) -> Iterator[Finding]:
    """Yield the findings about names and help texts of several families together."""
    by_letters: defaultdict[str, list[LintFamily]] = defaultdict(list)
    by_help: defaultdict[str, list[LintFamily]] = defaultdict(list)
    for family in families:
        by_letters[family.name.replace("_", "").lower()].append(family)
        if family.help and not _SUFFIX_OF_PART.search(family.name):
            by_help[family.help.strip()].append(family)
    for first, *others in by_letters.values():
        for other in others:
            if other.name != first.name:
                yield _finding(
                    other,
                    "names-differ-by-case",
                    f"it differs from {first.name!r} in case or underscores alone",
                    "give one of them a name of its own",
                )
    for text, same in by_help.items():
        if len(same) > 1 and text:
            others_names = ", ".join(repr(other.name) for other in same[1:4])
            yield _finding(
                same[0],
                "help-duplicated",
                f"its help text is that of {others_names} as well",
                "tell the difference in the help text",
            )
