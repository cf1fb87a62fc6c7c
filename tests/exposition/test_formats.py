"""Formats of registries and plugins, with the client's request and without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from pytheus import Counter
from pytheus.exposition import AnyFormat, HasContentType, RenderRequest, expose
from pytheus.exposition.formats import content_type_of, render
from pytheus.exposition.respond import answer_scrape
from pytheus.registry import CollectorRegistry, Registry


class Offering(CollectorRegistry):
    def __init__(self, *formats: AnyFormat) -> None:
        super().__init__()
        self.exposition_formats = formats


class Told:
    """Tells the request that it gets."""

    media_type = "text/x-told"

    def render(self, registry: Registry, request: RenderRequest, /) -> Iterator[bytes]:
        yield f"{request.escaping} {sorted(request.names)} {request.timeout_seconds}".encode()

    def content_type(self, request: RenderRequest, /) -> str:
        return f"{self.media_type}; escaping={request.escaping}"


def test_the_request_reaches_the_format_and_decides_its_content_type() -> None:
    accept = "text/x-told;escaping=dots, text/plain;q=0.5"
    response = answer_scrape(Offering(Told()), "GET", accept=accept, query="name[]=b&name[]=a", timeout="7")
    assert response.body == b"dots ['a', 'b'] 7.0"
    assert dict(response.headers)["Content-Type"] == "text/x-told; escaping=dots"


def test_a_route_of_ones_own_has_no_timeout() -> None:
    exposition = expose(Offering(Told()), "text/x-told", names=["a"])
    assert exposition.body == b"underscores ['a'] None"
    assert exposition.content_type == "text/x-told; escaping=underscores"


def test_the_timeout_is_at_most_that_of_the_server() -> None:
    response = answer_scrape(Offering(Told()), "GET", accept="text/x-told", timeout="1000")
    assert response.body == b"underscores [] 25.0"


def test_a_format_replaces_one_of_pytheus_if_clients_prefer_both_equally() -> None:
    class Own:
        media_type = "application/openmetrics-text; version=1.0.0"

        def render(self, registry: Registry, /) -> list[bytes]:
            return [b"own"]

    registry = Offering(Own())
    Counter("orders_total", "Orders placed.", registry=registry)
    assert expose(registry, "application/openmetrics-text").body == b"own"
    assert expose(registry, "*/*").body != b"own"


def _one(registry: Registry) -> list[bytes]:
    return [b"one"]


def _two(registry: Registry, request: RenderRequest) -> list[bytes]:
    return [request.escaping.encode()]


def _keyword(registry: Registry, *, request: object = None) -> list[bytes]:
    return [b"one"]


def _any(*arguments: object) -> list[bytes]:
    return [str(len(arguments)).encode()]


def _optional(registry: Registry, request: RenderRequest | None = None) -> list[bytes]:
    return [b"none" if request is None else request.escaping.encode()]


class Made:
    """A format whose `render` is not a method."""

    __slots__ = ("media_type", "render")

    def __init__(self, function: Callable[..., Iterable[bytes]]) -> None:
        self.media_type = "text/x-made"
        self.render = function


@pytest.mark.parametrize(
    ("function", "body"),
    [
        (_one, b"one"),
        (_two, b"underscores"),
        (_keyword, b"one"),
        (_any, b"2"),
        (_optional, b"underscores"),
        (partial(_two, request=RenderRequest("dots")), b"dots"),
        (lambda registry: [b"lambda"], b"lambda"),
    ],
)
def test_the_parameters_of_render_tell_whether_it_gets_the_request(
    function: Callable[..., Iterable[bytes]], body: bytes
) -> None:
    made = Made(function)  # which cannot be weakly referenced
    assert [render(made, CollectorRegistry(), RenderRequest()) for _ in range(2)] == [[body]] * 2


def test_a_format_is_asked_once_for_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    import inspect

    asked = []
    signature = inspect.signature

    def watched(function: Callable[..., object]) -> inspect.Signature:
        asked.append(function)
        return signature(function)

    monkeypatch.setattr(inspect, "signature", watched)
    told = Told()
    for _ in range(3):
        render(told, CollectorRegistry(), RenderRequest())
    assert asked == [told.render]


def test_without_a_method_the_content_type_is_the_media_type() -> None:
    assert content_type_of(Made(_one), RenderRequest()) == "text/x-made"
    assert isinstance(Told(), HasContentType)
