"""``pytheus diff``: which families, definitions, series and numbers differ between two expositions.

Rules:

- The exit code is that of diff: 0 if both are the same, 1 if they differ, 2 if they could not be compared.
- A URL is asked for the format of the other side if that is a file, so that both tell the same; otherwise for protobuf.
- Of each family the first series and numbers are shown, and all of them are counted. ``--series`` shows all.
- Names and values of labels are shown with escapes for the characters that change a terminal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

import click

from pytheus.cli.click_support import print_json, print_lines, visible
from pytheus.cli.comparable import Comparable, ComparableFamily, Labels, comparable
from pytheus.cli.exposition_diff import Change, Difference, FamilyDifference, NumberDifference, difference
from pytheus.cli.exposition_document import number_document
from pytheus.cli.exposition_source import (
    ACCEPT,
    ExpositionSource,
    FormatName,
    Reading,
    SourceError,
    exact_names,
    url_of,
)
from pytheus.cli.reading_options import TARGET_METAVAR, reading_options
from pytheus.textformat import format_bound, format_labels

__all__ = ["command"]

_SERIES_AT_MOST: Final = 5
_NUMBERS_AT_MOST: Final = 20
_DAY_SECONDS: Final = 86_400
_SUFFIXES: Final = frozenset(["_bucket", "_sum", "_count", "_gsum", "_gcount", "_created"])


@click.command(
    "diff",
    epilog=(
        "\b\nexamples:\n  pytheus diff before.prom after.prom\n"
        "  pytheus diff http://old:9464 http://new:9464 --json\n"
        "  pytheus diff :9464 --after 5 --values\n"
        "  pytheus scrape :9464 | pytheus diff expected.prom -\n\n"
        "\b\nexit codes: 0 if both are the same, 1 if they differ, 2 if they could not be compared."
    ),
)
@click.argument("one", metavar=f"A ({TARGET_METAVAR})", type=click.Path(allow_dash=True))
@click.argument("other", metavar="[B]", required=False, type=click.Path(allow_dash=True))
@click.option(
    "--after",
    type=click.FloatRange(0, _DAY_SECONDS),
    metavar="S",
    help="Read B, or A a second time, S seconds after A; with --values this gives rates.",
)
@click.option("--values", is_flag=True, help="Compare numbers, too.")
@click.option("--series", "show_all", is_flag=True, help="Show all series and numbers, not only the first ones.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this family, or those of a pattern such as 'http_*'; may be repeated.",
)
@click.option("--ignore", "ignored", multiple=True, metavar="NAME", help="Not this family, or those of a pattern.")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["text", "openmetrics", "protobuf"]),
    help="The format to ask a URL for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@reading_options
def command(
    reading: Reading,
    one: str,
    other: str | None,
    after: float | None,
    values: bool,
    show_all: bool,
    names: tuple[str, ...],
    ignored: tuple[str, ...],
    wanted: FormatName | None,
    as_json: bool,
) -> int:
    """Compare the metrics of A and B, each a URL, a FILE, or standard input.

    Shown are families that came, went, or changed type, help, unit, labels or buckets, and series that came or went.
    Differences of format, such as counters without _total in OpenMetrics, are left out.
    """
    if other is None:
        if after is None:
            raise click.UsageError("one exposition cannot be compared; name a second one, or add --after SECONDS")
        other = one
    if one == other == "-":
        raise click.UsageError("standard input can be read only once; name a file for one of both")
    before, later, seconds = _read(one, other, after, wanted, exact_names(names), reading)
    for name in names:
        if not any(_has_name(each, name) for each in (*before.families, *later.families)):
            raise SourceError(f"neither {before.source} nor {later.source} has a family {name!r}; check its name")
    before, later = (_selected(each, names, ignored) for each in (before, later))
    found = difference(before, later, numbers=values)
    limits = (None, None) if show_all else (_SERIES_AT_MOST, _NUMBERS_AT_MOST)
    if as_json:
        print_json(_document(before, later, found, seconds, limits))
    else:
        print_lines(_lines(before, later, found, seconds, limits))
    return 1 if found.families else 0


def _read(
    one: str, other: str, after: float | None, wanted: FormatName | None, names: Sequence[str], reading: Reading
) -> tuple[Comparable, Comparable, float | None]:
    """Return both expositions, and the seconds between them if they were read after each other."""
    accept = ACCEPT[wanted or "protobuf"]
    if after is not None:
        started = time.monotonic()
        first = _comparable(one, accept, names, reading)
        time.sleep(max(0.0, started + after - time.monotonic()))
        between = time.monotonic() - started
        return first, _comparable(other, accept, names, reading), between
    read: dict[int, Comparable] = {}
    # Files first, whose format is asked for.
    for index, target in sorted(enumerate((one, other)), key=lambda each: url_of(each[1]) is not None):
        read[index] = _comparable(target, accept, names, reading)
        if url_of(target) is None and wanted is None:
            accept = ACCEPT[read[index].format]
    return read[0], read[1], None


def _comparable(target: str, accept: str, names: Sequence[str], reading: Reading) -> Comparable:
    return comparable(ExpositionSource(target, reading, accept=accept, names=names).read())


def _selected(each: Comparable, names: Sequence[str], ignored: Sequence[str]) -> Comparable:
    kept = {
        name: family
        for name, family in each.families.items()
        if (not names or any(_has_name(name, given) for given in names))
        and not any(_has_name(name, given) for given in ignored)
    }
    return replace(each, families=kept)


def _has_name(family: str, name: str) -> bool:
    """Return whether `name` is that of the family in some format, or of one of its samples, or a pattern for it."""
    if name in (family, family.removesuffix("_total"), family.removesuffix("_info")) or fnmatchcase(family, name):
        return True
    return name.startswith(family) and name[len(family) :] in _SUFFIXES


# Lines ----------------------------------------------------------------------------------------------------------------


def _lines(
    before: Comparable,
    after: Comparable,
    found: Difference,
    seconds: float | None,
    limits: tuple[int | None, int | None],
) -> Iterator[str]:
    if not found.families:
        return
    for sign, each in (("-", before), ("+", after)):
        yield _signed(sign, f"{sign * 3} {visible(each.source)} ({each.format})")
    for family in found.families:
        if family.after is None and family.before is not None:
            yield _signed("-", f"- {_one_sided(family.before)}")
        elif family.before is None and family.after is not None:
            yield _signed("+", f"+ {_one_sided(family.after)}")
        else:
            yield from _changed(family, seconds, limits)
    counts = (len(found.came), len(found.went), len(found.changed))
    shown = [f"{count} {word}" for count, word in zip(counts, ("came", "went", "changed"), strict=True) if count]
    yield f"families: {', '.join(shown)}"


def _signed(sign: str, text: str) -> str:
    return click.style(text, fg="red" if sign == "-" else "green")


def _one_sided(family: ComparableFamily) -> str:
    return f"{visible(family.name)}: {family.type}, {len(family.series)} series"


def _changed(family: FamilyDifference, seconds: float | None, limits: tuple[int | None, int | None]) -> Iterator[str]:
    yield f"  {click.style(visible(family.name), bold=True)}"
    for part, change in family.changes.items():
        if isinstance(change.before, tuple) and isinstance(change.after, tuple):
            removed = [_signed("-", f"-{_element(each)}") for each in change.before]
            added = [_signed("+", f"+{_element(each)}") for each in change.after]
            yield f"      {part}: {' '.join([*removed, *added])}"
        else:
            yield f"      {part}: {_text(change.before)} -> {_text(change.after)}"
    for sign, word, series in (("-", "went", family.went), ("+", "came", family.came)):
        if series:
            yield f"      series that {word}: {len(series)}"
            for labels in series[: limits[0]]:
                yield _signed(sign, f"        {sign} {_labels(labels)}")
            yield from _rest(len(series), limits[0])
    if family.numbers:
        yield f"      numbers that differ: {len(family.numbers)}"
        for number in family.numbers[: limits[1]]:
            yield f"        {_number_line(family.name, number, seconds)}"
        yield from _rest(len(family.numbers), limits[1])


def _rest(count: int, limit: int | None) -> Iterator[str]:
    if limit is not None and count > limit:
        yield f"        ... and {count - limit} more; --series shows all"


def _element(value: object) -> str:
    return format_bound(value) if isinstance(value, float) else visible(str(value))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = visible(str(value))
    return text if text.isidentifier() else f'"{text}"'


def _labels(labels: Labels) -> str:
    return "{" + visible(format_labels(labels)) + "}"


def _number_line(name: str, number: NumberDifference, seconds: float | None) -> str:
    suffix, bound = number.point
    stem = name.removesuffix(suffix) if suffix == "_total" else name
    labels = number.labels
    if bound is not None:
        labels = (*labels, ("le" if suffix == "_bucket" else "quantile", format_bound(bound)))
    parts = [f"{visible(stem + suffix)}{_labels(labels) if labels else ''} {number.before:.15g} -> {number.after:.15g}"]
    if math.isfinite(number.change):
        parts.append(f"{number.change:+.15g}")
    rate = _rate(number, seconds)
    if rate is not None and math.isfinite(rate):
        parts.append(f"{rate:.4g}/s")
    if number.was_reset:
        parts.append("reset")
    return ", ".join(parts)


def _rate(number: NumberDifference, seconds: float | None) -> float | None:
    return number.change / seconds if seconds and number.counts else None


# JSON -----------------------------------------------------------------------------------------------------------------


def _document(
    before: Comparable,
    after: Comparable,
    found: Difference,
    seconds: float | None,
    limits: tuple[int | None, int | None],
) -> dict[str, object]:
    return {
        "a": _side(before),
        "b": _side(after),
        "same": not found.families,
        "seconds": seconds,
        "families": {
            "went": [_family(each) for each in found.went],
            "came": [_family(each) for each in found.came],
            "changed": [_changed_document(each, seconds, limits) for each in found.changed],
        },
    }


def _side(each: Comparable) -> dict[str, object]:
    return {
        "source": each.source,
        "format": each.format,
        "families": len(each.families),
        "series": sum(len(family.series) for family in each.families.values()),
    }


def _family(family: ComparableFamily) -> dict[str, object]:
    return {"name": family.name, "type": family.type, "series": len(family.series)}


def _changed_document(
    family: FamilyDifference, seconds: float | None, limits: tuple[int | None, int | None]
) -> dict[str, object]:
    return {
        "name": family.name,
        "changes": {part: _change(change) for part, change in family.changes.items()},
        "series": {"went": _series(family.went, limits[0]), "came": _series(family.came, limits[0])},
        "numbers": {
            "count": len(family.numbers),
            "first": [_number(family.name, number, seconds) for number in family.numbers[: limits[1]]],
        },
    }


def _change(change: Change[object]) -> dict[str, object]:
    if isinstance(change.before, tuple) and isinstance(change.after, tuple):
        return {"went": _elements(change.before), "came": _elements(change.after)}
    return {"a": change.before, "b": change.after}


def _elements(elements: Iterable[object]) -> list[object]:
    return [number_document(each) if isinstance(each, float) else each for each in elements]


def _series(series: Sequence[Labels], limit: int | None) -> dict[str, object]:
    return {"count": len(series), "first": [dict(labels) for labels in series[:limit]]}


def _number(name: str, number: NumberDifference, seconds: float | None) -> dict[str, object]:
    suffix, bound = number.point
    rate = _rate(number, seconds)
    document: dict[str, object] = {
        "name": name if suffix == "_total" else name + suffix,
        "labels": dict(number.labels),
        "a": number_document(number.before),
        "b": number_document(number.after),
        "change": number_document(number.change),
        "per_second": None if rate is None else number_document(rate),
        "reset": number.was_reset,
    }
    if bound is not None:
        document["le" if suffix == "_bucket" else "quantile"] = number_document(bound)
    return document
