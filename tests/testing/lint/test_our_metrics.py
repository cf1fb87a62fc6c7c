"""The metrics that pytheus and its plugins expose follow the conventions, or a reason says why one does not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from pytheus.collectors import register_runtime_collectors
from pytheus.kinds import MetricType
from pytheus.middleware import Names, WsgiMiddleware
from pytheus.registry import CollectorRegistry
from pytheus.tasks import TaskMetrics
from pytheus.testing.lint import LintOptions, lint_registry
from pytheus.testing.lint.family import LintFamily
from pytheus.testing.lint.names import check_name

pytestmark = pytest.mark.once

CLASSES: Final[dict[str, MetricType]] = {
    "Counter": "counter",
    "Gauge": "gauge",
    "Histogram": "histogram",
    "Summary": "summary",
    "Info": "info",
    "StateSet": "stateset",
}

IGNORED: Final[dict[str, list[str]]] = {
    # Names that dashboards of the other library know.
    "django-prometheus": ["unit-not-last:django_http_requests_latency_seconds_by_view_method"],
}


def text_of(node: ast.expr) -> str | None:
    """The text of a literal, with "x" for its variables."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return None


def metrics_in(path: Path) -> Iterator[LintFamily]:
    """The metrics that a source makes with literals."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [text_of(argument) for argument in node.args]
        if called in CLASSES and len(texts) > 1:
            name, description = texts[0], texts[1]
            type_: str = CLASSES[called]
        elif called in ("Family", "Definition", "of") and len(texts) > 2 and texts[1] in get_args(MetricType):
            name, description = texts[0], texts[2]
            type_ = texts[1] or ""
        else:
            continue
        if name is not None and description is not None:
            yield LintFamily(name, type_, description, is_exact=True)


def test_names_and_help_texts_in_the_sources(checkout: Path) -> None:
    found: list[str] = []
    count = 0
    for path in [*checkout.glob("pytheus/**/*.py"), *checkout.glob("plugins/*/pytheus_*/**/*.py")]:
        if path.is_relative_to(checkout / "pytheus" / "testing"):  # the kit's metrics are meant to be hostile
            continue
        for family in metrics_in(path):
            count += 1
            found += [f"{path}: {finding}" for finding in check_name(family, {})]
    assert found == []
    assert count > 20


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


@pytest.mark.parametrize("profile", get_args(Names))
def test_the_middleware(profile: Names) -> None:
    registry = CollectorRegistry()
    app = WsgiMiddleware(application, registry=registry, names=profile)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/cart", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http"}
    assert b"".join(app(environ, lambda status, headers, error=None: lambda data: None)) == b"ok"
    report = lint_registry(registry, LintOptions(ignore=IGNORED.get(profile, ())))
    assert report.series > 0
    assert report.findings == ()


def test_the_process_and_the_interpreter() -> None:
    registry = CollectorRegistry()
    register_runtime_collectors(registry)
    assert lint_registry(registry).findings == ()


def test_tasks() -> None:
    registry = CollectorRegistry()
    with TaskMetrics("mail", registry=registry).start("send_invoice"):
        pass
    assert lint_registry(registry).findings == ()
