"""``pytheus top``: live metrics of a URL or a process in the terminal, or once as plain text.

Rules:

- On a terminal that can be drawn on, the screen; everywhere else, and with ``--once``, plain text once.
- A target that cannot be read ends a command that prints once, and is told on the screen otherwise and read again.
- A number is a process; ``:PORT`` is a port.
"""

from __future__ import annotations

import os
from typing import Final

import click

from pytheus.cli.exposition_source import ExpositionSource, Reading, SourceError
from pytheus.cli.reading_options import reading_options
from pytheus.top.plain import read_lines
from pytheus.top.polling import Format, Response, Target
from pytheus.top.state import INTERVALS, State
from pytheus.top.table import COLUMNS
from pytheus.top.terminal import is_capable, is_unicode

__all__ = ["command"]

_TEXT: Final = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4"
# Without OpenMetrics, in which families have other names, so that a series stays the same in every reading.
_ACCEPT: Final[dict[Format, str]] = {
    "text": f"{_TEXT},*/*;q=0.1",
    "protobuf": (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        f";escaping=allow-utf-8;q=0.9,{_TEXT},*/*;q=0.1"
    ),
}
_TRY_SECONDS: Final = 3.0


@click.command(
    "top",
    epilog=(
        "\b\nexamples:\n  pytheus top :9464\n  pytheus top 1234\n"
        "  pytheus top http://127.0.0.1:9464/metrics --filter 'http !500' --sort rate\n"
        "  pytheus top :9464 --once --rates | sort -k2 -h\n\n"
        "\b\nexit codes: 0; 2 if the target is not available or not an exposition; 130 after Ctrl-C."
    ),
)
@click.argument("target", metavar="URL|PID|FILE|-")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1, max=3600),
    default=INTERVALS[1],
    show_default=True,
    metavar="SECONDS",
    help="The time from one reading to the next.",
)
@click.option(
    "--filter", "filtered", default="", metavar="WORDS", help="Show series that have all WORDS, and no !WORD."
)
@click.option(
    "--sort",
    type=click.Choice([column for column in COLUMNS[:-1] if column != "series"]),
    default="name",
    show_default=True,
    help="The column to sort by.",
)
@click.option("--once", is_flag=True, help="Print plain text once, as into a pipe.")
@click.option("--rates", is_flag=True, help="Read a second time, after the interval, before printing once.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone. So it is without UTF-8, anyway.")
@reading_options
def command(
    reading: Reading,
    *,
    target: str,
    interval: float,
    filtered: str,
    sort: str,
    once: bool,
    rates: bool,
    ascii_only: bool,
) -> int:
    """Show the metrics of a program while it runs: values, rates, quantiles, and the history of each series.

    URL may be HOST:PORT or :PORT, whose path is /metrics. PID is a process of this machine that serves metrics, or
    whose children do. Press ? for the keys, and q to quit. Into a pipe, the metrics are printed once as text.
    """
    if rates and target == "-":
        raise click.UsageError("standard input can be read once, so it has no --rates; name a URL or a process")
    source = _source(target, reading)
    read = _Reader(source.target, reading)
    ascii_only = ascii_only or not is_unicode()
    state = State(interval_seconds=interval, filtered=filtered, sort=sort)
    if once or rates or not is_capable():
        return _print(read, state, rates=rates, ascii_only=ascii_only)
    from pytheus.top.live import run_live

    has_colour = not os.environ.get("NO_COLOR")
    return run_live(read, source.shown, state, ascii_only=ascii_only, has_colour=has_colour)


class _Source:
    """A target, and how it is shown."""

    def __init__(self, target: str, shown: str) -> None:
        self.target: Final = target
        self.shown: Final = shown


class _Reader:
    """Reads a target, each time from the start."""

    def __init__(self, target: str, reading: Reading) -> None:
        self._target: Final = target
        self._reading: Final = reading
        self._shown: Final = ExpositionSource(target, reading).shown

    def __call__(self, names: tuple[str, ...], format_: Format) -> Response:
        source = ExpositionSource(self._target, self._reading, accept=_ACCEPT[format_], names=names)
        try:
            exposition = source.read()
        except SourceError as error:
            # The user did not write the names in the URL.
            raise SourceError(str(error).replace(source.shown, self._shown)) from error
        return Response(exposition.body, exposition.content_type)


def _source(target: str, reading: Reading) -> _Source:
    if not (target.isascii() and target.isdigit()):
        return _Source(target, ExpositionSource(target, reading).shown)
    from pytheus.top.processes import ProcessNotReadableError, listeners_of

    try:
        listeners = listeners_of(int(target[:10]))
    except ProcessNotReadableError as error:
        raise click.ClickException(f"{error}; a port is written as :{target}") from error
    if not listeners:
        raise click.ClickException(
            f"process {target} and its children listen at no TCP port, so they serve no metrics over HTTP; start"
            " the program with `pytheus run`, or call pytheus.start_http_server() in it"
        )
    tried: list[str] = []
    seconds = min(reading.timeout_seconds, _TRY_SECONDS)
    for listener in listeners:
        try:
            own = Reading(reading.access, seconds, reading.max_bytes)
            Target(_Reader(listener.url, own)).read()
        except (SourceError, ValueError) as error:
            tried.append(f"{listener.url}: {error}")
        else:
            return _Source(listener.url, f"{listener.url} (process {target})")
    raise click.ClickException(
        f"process {target} listens, but serves no metrics at /metrics ({'; '.join(tried)}); name the URL of its"
        " metrics, or start the program with `pytheus run`"
    )


def _print(read: _Reader, state: State, *, rates: bool, ascii_only: bool) -> int:
    try:
        lines = read_lines(read, state, rates=rates, ascii_only=ascii_only)
    except ValueError as error:
        raise click.ClickException(f"the target is not an exposition: {error}") from error
    for line in lines:
        click.echo(line)
    return 0
