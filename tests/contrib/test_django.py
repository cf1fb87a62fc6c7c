"""The middleware and the view in a Django project, by its WSGI and ASGI handlers. Numbers are those of the cases.

Each project runs in a process of its own, because Django's settings are of a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_PROJECT = """
import asyncio, json, sys

import django
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.urls import include, path

from pytheus import REGISTRY
from pytheus.contrib.django import metrics_view

kind, options = sys.argv[1], json.loads(sys.argv[2])
settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", USE_TZ=True, LOGGING_CONFIG=None,
    MIDDLEWARE=["pytheus.contrib.django.MetricsMiddleware", "django.middleware.common.CommonMiddleware"],
    PYTHEUS_MIDDLEWARE=options,
)
django.setup(set_prefix=False)


def order(request, drink):
    return HttpResponse(drink)


async def order_async(request, drink):
    return HttpResponse(drink)


def stream(request):
    return StreamingHttpResponse(iter([b"data: 1", b"data: 2"]), content_type=request.GET["type"])


def fails(request):
    raise ValueError("of a view")


def forbidden(request):
    raise PermissionDenied


def missing(request):
    raise Http404


inner = [path("<str:drink>", order, name="order")]
urlpatterns = [
    path("order/", include(inner)),
    path("async/<str:drink>", order_async),
    path("stream", stream),
    path("fails", fails),
    path("forbidden", forbidden),
    path("missing", missing),
    path("metrics", metrics_view),
]
paths = sys.argv[3:]
answers = []
if kind == "wsgi":
    from urllib.parse import urlsplit
    from wsgiref.util import setup_testing_defaults

    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    for each in paths:
        parts = urlsplit(each)
        environ = {"PATH_INFO": parts.path, "QUERY_STRING": parts.query}
        setup_testing_defaults(environ)
        status = []
        body = application(environ, lambda line, headers, exc_info=None: status.append(int(line.split()[0])))
        text = b"".join(body).decode()
        body.close()
        answers.append((status[0], text))
else:
    import httpx

    from django.core.asgi import get_asgi_application

    async def main():
        transport = httpx.ASGITransport(get_asgi_application())
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            for each in paths:
                response = await client.get(each)
                answers.append((response.status_code, response.text))

    import warnings

    warnings.simplefilter("ignore")  # Django's about a synchronous iterator in an asynchronous handler
    asyncio.run(main())

samples = [
    [family.name + sample.suffix, sample.labels, sample.value]
    for collector in REGISTRY.collect()
    for family in collector.collect()
    for sample in family.samples
]
print(json.dumps([answers, samples]))
"""

_STREAM = "/stream?type=text/plain"
_PATHS = ("/order/tea", "/order/mate", "/async/tea", _STREAM, "/stream?type=text/event-stream", "/fails", "/forbidden",
          "/missing", "/nothing", "/metrics")  # fmt: skip


def run(tmp_path: Path, kind: str, options: dict[str, object], *paths: str) -> tuple[list[Any], list[Any]]:
    """Status and text of each response, and the samples afterwards: name, labels, value."""
    (tmp_path / "project.py").write_text(_PROJECT)
    command = [sys.executable, "project.py", kind, json.dumps(options), *paths]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    answers, samples = json.loads(done.stdout.splitlines()[-1])
    return answers, samples


@pytest.mark.once
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_project(tmp_path: Path, kind: str) -> None:
    """1.1: 13, 27. 1.3: 4, 6, 12, 23."""
    answers, samples = run(tmp_path, kind, {}, *_PATHS)

    assert [status for status, _ in answers] == [200, 200, 200, 200, 200, 500, 403, 404, 404, 200]
    found = {
        (labels["http_route"], labels["http_response_status_code"], labels["error_type"]): value
        for name, labels, value in samples
        if name == "http_server_request_duration_seconds_count"
    }
    assert found == {
        ("/order/<str:drink>", "200", ""): 2,
        ("/async/<str:drink>", "200", ""): 1,
        ("/stream", "200", ""): 1,
        ("/fails", "500", "ValueError"): 1,
        ("/forbidden", "403", ""): 1,
        ("/missing", "404", ""): 1,
        ("", "404", ""): 1,
    }
    assert [value for name, _, value in samples if name == "http_server_active_requests"] == [0]
    assert 'http_server_active_requests{http_request_method="GET",url_scheme="http"} 0.0' in answers[-1][1]


@pytest.mark.once
def test_the_names_of_django_prometheus(tmp_path: Path) -> None:
    """1.1: 27. 1.2: an exception is counted once."""
    _, samples = run(tmp_path, "wsgi", {"names": "django-prometheus"}, "/order/tea", "/fails", "/missing", "/nothing")

    found = {(name, *labels.values()): value for name, labels, value in samples}
    assert found["django_http_requests_latency_seconds_by_view_method_count", "order", "GET"] == 1
    assert found["django_http_requests_latency_including_middlewares_seconds_count",] == 4
    assert found["django_http_exceptions_total_by_type_total", "ValueError"] == 1
    assert found["django_http_responses_total_by_status_view_method_total", "404", "<unnamed view>", "GET"] == 1
    assert [key for key in found if key[0] == "django_http_exceptions_total_by_type_total"] == [
        ("django_http_exceptions_total_by_type_total", "ValueError")
    ]


_BROWSER = """
import json
import django
from django.conf import settings
from django.test import RequestFactory

settings.configure(ALLOWED_HOSTS=["*"], USE_TZ=True, LOGGING_CONFIG=None)
django.setup(set_prefix=False)
from pytheus.contrib.django import metrics_view

request = RequestFactory().get("/metrics", HTTP_ACCEPT="text/html,application/xhtml+xml,*/*;q=0.8")
print(json.dumps([dict(metrics_view(request, page=page).headers) for page in (True, False)]))
"""


@pytest.mark.once
def test_a_browser_gets_the_page_unless_it_is_switched_off() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", _BROWSER], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    with_page, without = json.loads(done.stdout)
    assert with_page["Content-Type"] == "text/html; charset=utf-8"
    assert with_page["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert without == {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Vary": "Accept, Accept-Encoding"}
