"""``pytheus dashboard``: a Grafana dashboard and Prometheus rules, from the families that a registry defines.

Rules:

- A module is imported, and its metrics are those of `pytheus.REGISTRY`, with the collectors that ``pytheus run`` adds.
  An object of a module is taken as it is. The text of a scrape comes from a URL or a file, and no code is imported.
- A file is replaced in one step, and only if its text changes.
- Messages show no credentials of a URL (`pytheus.cli.click_support.call`).
"""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from pytheus.cli.check_target import module_at, object_at
from pytheus.dashboard import (
    AlertThresholds,
    FamilyInfo,
    dashboard_text,
    families_of_exposition,
    families_of_registry,
    grafana_dashboard,
    prometheus_rules,
)
from pytheus.registry.contract import check_registry

__all__ = ["command"]

_DEFAULTS: Final = AlertThresholds()
_TIMEOUT_SECONDS: Final = 10
# As Prometheus 3 asks, so that the names are those that it stores.
_ACCEPT: Final = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.5"
_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"


@click.command(
    "dashboard",
    epilog=(
        "\b\nexamples:\n  pytheus dashboard shop.app\n"
        "  pytheus dashboard shop.metrics:REGISTRY --app shop --latency 0.3\n"
        "  pytheus dashboard http://127.0.0.1:9464/metrics --app shop --output monitoring\n\n"
        "\b\nexit codes: 0; 2 if the target is not available or has no metrics."
    ),
)
@click.argument("target", metavar="MODULE[:OBJECT]|URL|FILE")
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
def command(target: str, app: str | None, output: Path, error_ratio: float, latency: float, saturation: float) -> int:
    """Write a Grafana dashboard and Prometheus rules for the metrics of an application.

    MODULE (FILE.py as well) is imported, and the metrics are those of pytheus.REGISTRY. MODULE:OBJECT is a registry, or
    a function or class that returns one. URL or FILE is a scrape: the metrics of a program that runs.

    The files are NAME-dashboard.json and NAME-rules.yml. Running it again changes them only if the metrics have.
    """
    name = app or _app_of(target)
    families = _families_of(target)
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
    if "://" in target:
        raise click.UsageError("a URL does not tell the name of its job in Prometheus; add --app NAME")
    name = target.partition(":")[0]
    return Path(name).name.partition(".")[0] if os.path.exists(name) or name.endswith(".py") else name.partition(".")[0]


def _families_of(target: str) -> list[FamilyInfo]:
    if "://" in target:
        text, content_type = _scrape(target)
        return _parsed(text, content_type, target)
    if os.path.isfile(target) and not target.endswith(".py"):
        text = Path(target).read_bytes()
        return _parsed(text, _OPENMETRICS if text.rstrip().endswith(b"# EOF") else "text/plain", target)
    if ":" not in target:
        from pytheus.collectors import register_runtime_collectors
        from pytheus.registry import REGISTRY

        module_at(target)
        register_runtime_collectors()
        return families_of_registry(REGISTRY)
    found = object_at(target)
    if isinstance(found, type) or inspect.isroutine(found):
        found = found()
    return families_of_registry(check_registry(found, f"{target!r}"))


def _scrape(url: str) -> tuple[bytes, str]:
    from base64 import b64encode
    from http.client import HTTPException
    from urllib.parse import unquote
    from urllib.request import Request, urlopen

    headers = {"Accept": _ACCEPT}
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise click.BadParameter(f"{url!r} is not a URL of http or https")
        credentials, is_given, address = parts.netloc.rpartition("@")
        if is_given:
            headers["Authorization"] = f"Basic {b64encode(unquote(credentials).encode()).decode()}"
        address_of_metrics = parts._replace(netloc=address, path=parts.path or "/metrics")  # as Prometheus does
        request = Request(address_of_metrics.geturl(), headers=headers)
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            content: bytes = response.read()
            return content, response.headers.get("Content-Type", "text/plain")
    except (OSError, ValueError, HTTPException) as error:
        raise click.ClickException(f"{url!r} cannot be scraped: {error}") from error


def _parsed(text: bytes, content_type: str, source: str) -> list[FamilyInfo]:
    try:
        return families_of_exposition(text, content_type)
    except ValueError as error:
        raise click.ClickException(f"{source!r} is not an exposition: {error}") from error


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
