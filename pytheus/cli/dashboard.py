"""``pytheus dashboard``: a Grafana dashboard and Prometheus rules, from the families that a registry defines.

Rules:

- The target is a registry or a scrape (`pytheus.cli.metrics_target`).
- A file is replaced in one step, and only if its text changes.
- Messages show no credentials of a URL (`pytheus.cli.click_support.call`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import click

from pytheus.cli.exposition_source import ACCEPT, ExpositionSource, Reading, SourceError, url_of
from pytheus.cli.metrics_target import METRICS_METAVAR, is_exposition, registry_at
from pytheus.cli.reading_options import reading_options
from pytheus.dashboard import (
    AlertThresholds,
    FamilyInfo,
    dashboard_text,
    families_of_exposition,
    families_of_registry,
    grafana_dashboard,
    prometheus_rules,
)

__all__ = ["command"]

_DEFAULTS: Final = AlertThresholds()


@click.command(
    "dashboard",
    epilog=(
        "\b\nexamples:\n  pytheus dashboard shop.app\n"
        "  pytheus dashboard shop.metrics:REGISTRY --app shop --latency 0.3\n"
        "  pytheus dashboard http://127.0.0.1:9464/metrics --app shop --output monitoring\n\n"
        "\b\nexit codes: 0; 2 if the target is not available or has no metrics."
    ),
)
@click.argument("target", metavar=METRICS_METAVAR)
@click.option("--app", metavar="NAME", help="The title, and the job in Prometheus. By default from the target.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the files are written. By default here.",
)
@click.option(
    "--error-ratio",
    type=click.FloatRange(0, 1),
    default=_DEFAULTS.error_ratio,
    show_default=True,
    help="Alert if a greater share of the requests fails.",
)
@click.option(
    "--latency",
    type=click.FloatRange(0, min_open=True),
    default=_DEFAULTS.latency_seconds,
    show_default=True,
    metavar="SECONDS",
    help="Alert if the 99th percentile of the duration of requests is greater.",
)
@click.option(
    "--saturation",
    type=click.FloatRange(0, 1),
    default=_DEFAULTS.saturation_ratio,
    show_default=True,
    help="Alert if a gauge uses a greater share of its limit.",
)
@reading_options
def command(
    reading: Reading,
    target: str,
    app: str | None,
    output: Path,
    error_ratio: float,
    latency: float,
    saturation: float,
) -> int:
    """Write a Grafana dashboard and Prometheus rules for the metrics of an application.

    MODULE (FILE.py as well) is imported, and the metrics are those of pytheus.REGISTRY. MODULE:OBJECT is a registry, or
    a function or class that returns one. URL, FILE or - (standard input) is a scrape: the metrics of a program that
    runs.

    The files are NAME-dashboard.json and NAME-rules.yml. Running it again changes them only if the metrics have.
    """
    name = app or _app_of(target)
    families = _families_of(target, reading)
    if not families:
        raise click.ClickException(f"{target!r} has no metrics; name the module that defines them, or a scrape")
    thresholds = AlertThresholds(error_ratio, latency, saturation)
    dashboard = grafana_dashboard(name, families, thresholds)
    rules = prometheus_rules(name, families, thresholds)
    stem = re.sub(r"[^\w.-]+", "-", name).lstrip(".-") or "app"
    output.mkdir(parents=True, exist_ok=True)
    for path, text in (
        (output / f"{stem}-dashboard.json", dashboard_text(dashboard)),
        (output / f"{stem}-rules.yml", rules),
    ):
        click.echo(f"{path}: {'written' if _replace(path, text) else 'unchanged'}")
    click.echo(f"{len(families)} {'family' if len(families) == 1 else 'families'} of metrics for the job {name!r}")
    return 0


def _app_of(target: str) -> str:
    if url_of(target) is not None or target == "-":
        subject = "standard input" if target == "-" else "a URL"
        raise click.UsageError(f"{subject} does not tell the name of its job in Prometheus; add --app NAME")
    name = target.partition(":")[0]
    return Path(name).name.partition(".")[0] if os.path.exists(name) or name.endswith(".py") else name.partition(".")[0]


def _families_of(target: str, reading: Reading) -> list[FamilyInfo]:
    if is_exposition(target):
        exposition = ExpositionSource(target, reading, accept=ACCEPT["openmetrics"]).read()
        try:
            return families_of_exposition(exposition.body, exposition.content_type)
        except ValueError as error:
            raise SourceError(f"{exposition.source} is not an exposition: {error}") from error
    return families_of_registry(registry_at(target))


def _replace(path: Path, text: str) -> bool:
    """Write `text` unless the file has it already; returns whether it was written."""
    content = text.encode()
    if path.is_file() and path.read_bytes() == content:
        return False
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True
