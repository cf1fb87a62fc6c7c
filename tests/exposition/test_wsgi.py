"""The WSGI application, inside of what the standard library checks and serves WSGI with."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from pytheus import REGISTRY, Counter, make_wsgi_app
from pytheus.exceptions import NotARegistryError
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import Plain, add_queues

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


class Answer:
    """What a WSGI server would have sent."""

    def __init__(self, app: WSGIApplication, method: str = "GET", **environ: str) -> None:
        request: dict[str, object] = {"REQUEST_METHOD": method, "QUERY_STRING": "", **environ}
        setup_testing_defaults(request)
        request["wsgi.input"] = io.BytesIO()
        request["wsgi.errors"] = sys.stderr
        chunks = validator(app)(request, self._start)
        try:
            self.body = b"".join(chunks)
        finally:
            chunks.close()  # type: ignore[attr-defined]  # the validator's iterator has it, and insists on the call

    def _start(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None = None,
        /,
    ) -> Callable[[bytes], object]:
        self.status = status
        self.headers = dict(headers)
        return lambda _: None


def test_get_gives_the_metrics(shop: CollectorRegistry) -> None:
    answer = Answer(make_wsgi_app(shop))

    assert answer.status == "200 OK"
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\nshop_orders_total 1.0\n" in answer.body


def test_any_path_will_do(shop: CollectorRegistry) -> None:
    app = make_wsgi_app(shop)

    assert Answer(app, SCRIPT_NAME="/internal", PATH_INFO="/metrics/").body == Answer(app).body


def test_head_gives_no_body(shop: CollectorRegistry) -> None:
    app = make_wsgi_app(shop)
    answer = Answer(app, "HEAD")

    assert answer.body == b""
    assert answer.headers["Content-Length"] == str(len(Answer(app).body))


def test_post_is_refused(shop: CollectorRegistry) -> None:
    answer = Answer(make_wsgi_app(shop), "POST")

    assert answer.status == "405 Method Not Allowed"
    assert answer.headers["Allow"] == "GET, HEAD"


def test_gzip_goes_to_who_takes_it(shop: CollectorRegistry) -> None:
    add_queues(shop)
    app = make_wsgi_app(shop)

    answer = Answer(app, HTTP_ACCEPT_ENCODING="gzip")

    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == Answer(app).body


def test_the_default_registry_is_asked_at_each_request(shop: CollectorRegistry) -> None:
    app = make_wsgi_app()

    with REGISTRY.use(shop):
        assert b"shop_orders_total 1.0" in Answer(app).body


def test_any_registry_will_do() -> None:
    plain = Plain(lambda: [Counter("orders_total", "Orders placed.", registry=None)])

    assert b"orders_total 0.0" in Answer(make_wsgi_app(plain)).body


def test_what_is_no_registry_is_refused_when_the_app_is_made() -> None:
    with pytest.raises(NotARegistryError):
        make_wsgi_app({})  # type: ignore[arg-type]  # the error under test
