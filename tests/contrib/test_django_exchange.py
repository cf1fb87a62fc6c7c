"""When the exchange of a Django project ends, and how: streams, clients that leave, other middleware around.

Each project runs in a process of its own, because Django's settings are of a process. Numbers are those of the cases.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

METRICS = "pytheus.contrib.django.MetricsMiddleware"

_PROJECT = """
import asyncio, gc, json, sys, tempfile, warnings
from wsgiref.util import FileWrapper, setup_testing_defaults

import django
from django.conf import settings

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", LOGGING_CONFIG=None,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    MIDDLEWARE=json.loads(sys.argv[1]), PYTHEUS_MIDDLEWARE={"sizes": True},
)
django.setup(set_prefix=False)

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import path
from pytheus import REGISTRY
from pytheus.contrib.django import metrics_view


def sync_only(get_response):
    return lambda request: get_response(request)


def page(request):
    return HttpResponse("a page")


def parts(request):
    return StreamingHttpResponse(iter([b"one", "two", b"three"]))


def fails(request):
    def content():
        yield b"one"
        raise ValueError("of the content")

    return StreamingHttpResponse(content())


def file(request):
    stored = tempfile.NamedTemporaryFile()
    stored.write(b"x" * 5000)
    stored.seek(0)
    return FileResponse(stored, headers={"ETag": '"of the file"'})


async def parts_async(request):
    async def content():
        yield b"one"
        yield b"two"

    return StreamingHttpResponse(content())


async def fails_async(request):
    async def content():
        yield b"one"
        raise ValueError("of the content")

    return StreamingHttpResponse(content())


async def waits(request):
    reached.set()
    await asyncio.Event().wait()


async def stream_that_waits(request):
    async def content():
        yield b"one"
        reached.set()
        await asyncio.Event().wait()

    return StreamingHttpResponse(content())


async def endless(request):
    async def content():
        while True:
            yield b"one"
            await asyncio.sleep(0)

    return StreamingHttpResponse(content())


urlpatterns = [path(view.__name__, view) for view in (page, parts, fails, file, parts_async, fails_async, waits,
                                                      stream_that_waits, endless)]
urlpatterns.append(path("metrics", metrics_view))


def by_wsgi(path, app=None, read=None, **environ):
    app = app or get_wsgi_application()
    environ["PATH_INFO"] = path
    setup_testing_defaults(environ)
    content = app(environ, lambda status, headers, exc_info=None: None)
    try:
        for number, part in enumerate(content, 1):
            if number == read:
                break
    except ValueError:
        pass
    content.close()


def by_asgi(path, app=None, leaves=lambda sent: False):
    # The client leaves once `leaves` is true of the types of the messages that were sent, or the view says so.
    async def main():
        global reached
        reached = asyncio.Event()
        app_ = app or get_asgi_application()
        is_first, sent, gone = True, [], asyncio.Event()

        async def receive():
            nonlocal is_first
            if is_first:
                is_first = False
                return {"type": "http.request", "body": b"", "more_body": False}
            waiting = [asyncio.ensure_future(event.wait()) for event in (reached, gone)]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waiting:
                    each.cancel()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message["type"])
            if leaves(sent):
                gone.set()

        scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"shop")], "query_string": b"",
                 "http_version": "1.1", "scheme": "http"}
        try:
            await app_(scope, receive, send)
        except ValueError:
            pass

    asyncio.run(main())


def values(name):
    found = {}
    for collector in REGISTRY.collect():
        for family in collector.collect():
            for sample in family.samples:
                if family.name + sample.suffix == name:
                    labels = ("http_response_status_code", "http_route", "error_type")
                    key = tuple(sample.labels.get(label, "") for label in labels)
                    found[key] = found.get(key, 0) + sample.value
    return found

"""

_REPORT = """
print(json.dumps([
    [[*labels, count, values("http_server_response_body_size_bytes_sum")[labels]]
     for labels, count in values("http_server_request_duration_seconds_count").items()],
    [*values("http_server_active_requests").values()],
]))
"""


def run(tmp_path: Path, program: str, *middleware: str) -> list[list[object]]:
    """Status, route, error, count and bytes of the exchanges; afterwards none is in progress."""
    (tmp_path / "project.py").write_text(_PROJECT + program + _REPORT)
    command = [sys.executable, "-W", "ignore", "project.py", json.dumps(middleware or [METRICS])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    exchanges: list[list[object]]
    exchanges, in_progress = json.loads(done.stdout.splitlines()[-1])
    assert sum(in_progress) == 0
    return exchanges


# Streams -------------------------------------------------------------------------------------------------------------


def test_the_sizes_of_responses(tmp_path: Path) -> None:
    """1.1: 29, 30. 1.3: 15."""
    program = """
by_wsgi("/page")
by_wsgi("/parts")
by_asgi("/parts")
by_wsgi("/parts_async")
by_asgi("/parts_async")
by_wsgi("/file")
by_wsgi("/file", **{"wsgi.file_wrapper": FileWrapper})
by_asgi("/file")
assert b"".join(Client().get("/parts")) == b"onetwothree"
assert b"".join(Client().head("/parts")) == b""
"""
    assert run(tmp_path, program) == [
        ["200", "/page", "", 1, 6],
        ["200", "/parts", "", 4, 33],
        ["200", "/parts_async", "", 2, 12],
        ["200", "/file", "", 3, 15_000],
    ]


def test_a_server_sends_a_file_by_its_own_means(tmp_path: Path) -> None:
    """1.3: 10: the file gets to the server as without the middleware."""
    program = """
class Wrapper(FileWrapper):
    def __init__(self, file, size):
        super().__init__(file, size)
        assert file.read(5) == b"xxxxx"

environ = {"PATH_INFO": "/file", "wsgi.file_wrapper": Wrapper}
setup_testing_defaults(environ)
content = get_wsgi_application()(environ, lambda status, headers: None)
assert type(content) is Wrapper
assert values("http_server_request_duration_seconds_count") == {}
content.close()
"""
    assert run(tmp_path, program) == [["200", "/file", "", 1, 5000]]


def test_content_that_raises(tmp_path: Path) -> None:
    """1.3: 9: the status is what was sent."""
    assert run(tmp_path, 'by_wsgi("/fails"); by_asgi("/fails"); by_asgi("/fails_async")') == [
        ["200", "/fails", "ValueError", 2, 6],
        ["200", "/fails_async", "ValueError", 1, 3],
    ]


# Clients that leave --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("middleware", [[METRICS], [METRICS, "__main__.sync_only"], ["__main__.sync_only", METRICS]])
def test_a_client_that_leaves_before_the_response(tmp_path: Path, middleware: list[str]) -> None:
    """1.1: 25. 1.3: 11, 23."""
    assert run(tmp_path, 'by_asgi("/waits")', *middleware) == [["499", "/waits", "client_disconnected", 1, 0]]


def test_a_client_that_leaves_a_stream(tmp_path: Path) -> None:
    """1.3: 11, 23."""
    program = """
by_wsgi("/parts", read=2)
by_asgi("/stream_that_waits")
by_asgi("/endless", leaves=lambda sent: len(sent) > 3)
"""
    *first, (*labels, size) = run(tmp_path, program)
    assert first == [
        ["200", "/parts", "client_disconnected", 1, 6],
        ["200", "/stream_that_waits", "client_disconnected", 1, 3],
    ]
    assert labels == ["200", "/endless", "client_disconnected", 1]
    assert size in range(9, 1_000_000, 3)


# Other middleware around it ------------------------------------------------------------------------------------------


def test_a_page_can_be_cached(tmp_path: Path) -> None:
    """1.3: 26."""
    program = """
for _ in range(2):
    assert Client().get("/page").content == b"a page"
"""
    cache = "django.middleware.cache"
    middleware = [f"{cache}.UpdateCacheMiddleware", METRICS, f"{cache}.FetchFromCacheMiddleware"]
    assert run(tmp_path, program, *middleware) == [["200", "/page", "", 1, 6], ["200", "", "", 1, 6]]


def test_a_response_that_is_replaced(tmp_path: Path) -> None:
    """1.1: 28. 1.3: 26: the response that Django never closes was complete."""
    program = """
for _ in range(3):
    etag = Client().get("/page").headers["ETag"]
    assert Client().get("/page", headers={"If-None-Match": etag}).status_code == 304
    assert Client().get("/file", headers={"If-None-Match": '"of the file"'}).status_code == 304
gc.collect()
"""
    middleware = ["django.middleware.http.ConditionalGetMiddleware", METRICS]
    assert run(tmp_path, program, *middleware) == [["200", "/page", "", 6, 36], ["200", "/file", "", 3, 0]]


@pytest.mark.parametrize("by", ["asgi", "wsgi"])
def test_a_project_within_other_middleware_is_measured_once(tmp_path: Path, by: str) -> None:
    """1.3: 16, 18: by the outermost, which takes the route from Django; a scrape is left out."""
    program = f"""
from pytheus.middleware import {by.title()}Middleware

app = {by.title()}Middleware(get_{by}_application(), sizes=True)
for path in ("/page", "/parts", "/none", "/metrics"):
    by_{by}(path, app)
"""
    assert [each[:4] for each in run(tmp_path, program)] == [
        ["200", "/page", "", 1],
        ["200", "/parts", "", 1],
        ["404", "", "", 1],
    ]


def test_the_view_of_an_unmeasured_project_is_left_out(tmp_path: Path) -> None:
    """1.3: 18: by middleware around the project."""
    program = """
from pytheus.middleware import AsgiMiddleware

by_asgi("/metrics", AsgiMiddleware(get_asgi_application(), sizes=True))
"""
    assert run(tmp_path, program, "__main__.sync_only") == []
