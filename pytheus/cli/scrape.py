"""``pytheus scrape``: the metrics of a URL, a file or standard input, as they are, readable, or as JSON.

Rules:

- Text is written as the server sent it, byte by byte; on a terminal, with escapes for the characters that change it.
  Protobuf is written as text, unless ``--raw`` asks for its bytes.
- The body is written even if it is damaged; then the reason follows on stderr.
- A format that was asked for and is not sent is an error, because its reader could not use another one.
- Families are selected at the server, by ``name[]``, and again here, because most servers expose all.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import translate
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from pytheus.cli.click_support import print_json, table, visible
from pytheus.cli.exposition_source import (
    ACCEPT,
    Exposition,
    ExpositionSource,
    FormatName,
    Reading,
    SourceError,
    exact_names,
)
from pytheus.cli.reading_options import TARGET_METAVAR, reading_options

if TYPE_CHECKING:
    from pytheus.testing.parsed import ParsedFamily

__all__ = ["command", "selected_families", "stats_document"]

_HINTS_AMONG: Final = 10_000
_UNPRINTABLE: Final = re.compile(r"[^\n\t -~]+")
# The name in a line of a text.
_NAME: Final = re.compile(
    r'[ \t]*(?:#[ \t]+(?:HELP|TYPE|UNIT)[ \t]+)?(?:\{[ \t]*)?("(?:[^"\\]|\\.)*"|[\w:]+)', re.ASCII
)


@click.command(
    "scrape",
    epilog=(
        "\b\nexamples:\n  pytheus scrape :9464\n"
        "  pytheus scrape localhost:9464 --json | jq '.families[].name'\n"
        "  pytheus scrape http://127.0.0.1:9464/metrics --format protobuf --name http_server_duration_seconds\n"
        "  pytheus scrape https://shop:hunter2@shop.example/metrics --stats > metrics.prom\n\n"
        "\b\nexit codes: 0; 1 if the exposition is damaged or lacks a family; 2 if it is not available."
    ),
)
@click.argument("target", metavar=TARGET_METAVAR, type=click.Path(allow_dash=True))
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["text", "openmetrics", "protobuf"]),
    help="Ask for this format only. By default text, and with --json the one that tells most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--raw", is_flag=True, help="Print the bytes as they are, also those of protobuf.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this family, or those of a pattern such as 'http_*'; may be repeated.",
)
@click.option("--stats", is_flag=True, help="Tell sizes, times and format, on stderr or in the document.")
@reading_options
def command(
    reading: Reading,
    target: str,
    wanted: FormatName | None,
    as_json: bool,
    raw: bool,
    names: tuple[str, ...],
    stats: bool,
) -> int:
    """Show the metrics of a URL, a FILE, or standard input.

    URL is http://HOST:PORT/PATH, HOST:PORT, :PORT or PORT; without a path, that is /metrics. Text is shown as the
    server sends it, protobuf in a readable form.
    """
    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other")
    accept = ACCEPT[wanted or ("protobuf" if as_json else "text")]
    exposition = ExpositionSource(target, reading, accept=accept, names=exact_names(names)).read()
    if wanted is not None and exposition.format != wanted:
        raise SourceError(
            f"{exposition.source} has the format {exposition.format}, and not {wanted}; leave out --format"
        )
    if not as_json:
        _write(exposition, names, raw=raw)
    try:
        families = exposition.families()
    except SourceError as error:
        if as_json:
            raise
        click.echo(f"pytheus scrape: {error}", err=True)
        return 1
    shown = selected_families(families, names)
    if stats and not as_json:
        for line in _stats_lines(exposition, shown.values()):
            click.echo(line, err=True)
    if as_json:
        from pytheus.cli.exposition_document import families_document

        document: dict[str, object] = {
            "source": exposition.source,
            "format": exposition.format,
            "content_type": exposition.content_type,
            "families": families_document(shown.values()),
        }
        if stats:
            document["stats"] = stats_document(exposition, shown.values())
        print_json(document)
    missing = [name for name in names if not selected_families(families, [name])]
    for name in missing:
        close = get_close_matches(name, islice(families, _HINTS_AMONG), 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        click.echo(f"pytheus scrape: {exposition.source} has no family {name!r}{hint}", err=True)
    return 1 if missing else 0


def selected_families(families: Mapping[str, ParsedFamily], names: Iterable[str]) -> dict[str, ParsedFamily]:
    """Return the families that one of `names` selects: a name, that of a sample, or a pattern; without names, all."""
    wanted = tuple(names)
    if not wanted:
        return dict(families)
    exact = frozenset(wanted)
    patterns = re.compile("|".join(map(translate, wanted)))
    return {
        name: family
        for name, family in families.items()
        if name in exact or patterns.match(name) or any(sample.name in exact for sample in family.samples)
    }


def stats_document(exposition: Exposition, families: Iterable[ParsedFamily]) -> dict[str, object]:
    """Return sizes and times as JSON has them: bytes and seconds."""
    shown = list(families)
    timings = exposition.timings
    return {
        "body_bytes": len(exposition.body),
        "received_bytes": exposition.received_bytes,
        "coding": exposition.coding,
        "families": len(shown),
        "series": sum(len(family.samples) for family in shown),
        "seconds": None if timings is None else dict(zip(timings._fields, timings, strict=True)),
    }


def _write(exposition: Exposition, names: Iterable[str], *, raw: bool) -> None:
    """Write the body to stdout."""
    body = exposition.body
    stream = sys.stdout.buffer
    if exposition.format == "protobuf":
        if not raw:
            from pytheus.cli.protobuf_text import protobuf_text

            try:
                body = protobuf_text(_selected_messages(body, names)).encode()
            except ValueError as error:
                raise SourceError(f"{exposition.source} is not an exposition: {error}") from error
        elif names:
            body = _selected_messages(body, names)
    else:
        if names:
            body = _selected_lines(exposition, names)
        if not raw and sys.stdout.isatty():
            text = _UNPRINTABLE.sub(lambda found: visible(found[0]), body.decode("utf-8", "backslashreplace"))
            click.echo(text, nl=False)
            return
    stream.write(body)
    stream.flush()


def _selected_lines(exposition: Exposition, names: Iterable[str]) -> bytes:
    """Return the lines of a text that belong to families of these names."""
    try:
        families = selected_families(exposition.families(), names)
    except SourceError:
        return exposition.body  # the damage is told afterwards
    kept = {*families, *(sample.name for family in families.values() for sample in family.samples)}
    lines: list[str] = []
    for line in exposition.body.decode("utf-8").split("\n"):
        found = _NAME.match(line)
        name = "" if found is None else found[1]
        if name[:1] == '"':
            name = re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], name[1:-1])
        if name in kept or line.strip() == "# EOF":
            lines.append(f"{line}\n")
    return "".join(lines).encode()


def _selected_messages(body: bytes, names: Iterable[str]) -> bytes:
    """Return the delimited messages of families of these names, with the lengths before them."""
    from pytheus.testing.parse_protobuf import parse_protobuf
    from pytheus.testing.protobuf_wire import MessageReader

    wanted = tuple(names)
    if not wanted:
        return body
    kept = selected_families(parse_protobuf(body, strict=False), wanted)
    pieces: list[bytes] = []
    place = 0
    for family in MessageReader(body).families():
        if family.text(1) in kept:
            pieces.append(body[place : family.end])
        place = family.end
    return b"".join(pieces)


def _stats_lines(exposition: Exposition, families: Iterable[ParsedFamily]) -> list[str]:
    shown = list(families)
    size = f"{len(exposition.body)} bytes"
    if exposition.coding:
        size += f", received as {exposition.received_bytes} bytes of {visible(exposition.coding)}"
    rows = [
        ("source", visible(exposition.source)),
        ("format", f"{exposition.format} ({visible(exposition.content_type)})"),
        ("size", size),
        ("content", f"families: {len(shown)}, series: {sum(len(family.samples) for family in shown)}"),
    ]
    if exposition.timings is not None:
        before, steps = 0.0, []
        for step, moment in zip(("name", "connection", "TLS", "response", "body"), exposition.timings, strict=True):
            steps.append(f"{step} {1000 * (moment - before):.1f} ms")
            before = moment
        rows.append(("time", f"{1000 * before:.1f} ms: {', '.join(steps)}"))
    return table(rows)
