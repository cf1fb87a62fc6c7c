"""The options that both middlewares have, and the rules that hold for each request.

Numbers are those of the cases in the docstrings.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import threading
import weakref
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from pytheus import Gauge, Histogram, make_asgi_app
from pytheus.exceptions import ConflictError, PytheusWarning
from pytheus.exposition import expose
from pytheus.exposition.asgi import Message, Scope
from pytheus.middleware import AsgiMiddleware
from pytheus.registry import CollectorRegistry
from tests.middleware.measured import ACTIVE, DURATION, Measured, active, ask, exchanges, routes, values


async def tea(request: Request) -> Response:
    return PlainTextResponse("green", headers={"x-cache": "hit"})


def app() -> Starlette:
    return Starlette(
        routes=[Route("/tea", tea), Route("/items/{item}", tea), Mount("/sub", routes=[Route("/tea", tea)])]
    )


ONE = {Measured("GET", "200", "/tea"): 1}


def test_a_middleware_within_another_does_not_measure_again(registry: CollectorRegistry) -> None:
    """1.3: 16: the outermost one measures."""
    inner = FastAPI()
    inner.add_middleware(AsgiMiddleware, registry=registry)
    inner.mount("/sub", AsgiMiddleware(app(), registry=registry))
    ask(AsgiMiddleware(inner, registry=registry), "/sub/tea")

    assert exchanges(registry) == {Measured("GET", "200", "/sub/tea"): 1}
    assert active(registry) == 0


def test_middlewares_with_other_names_or_registries_measure_on_their_own(registry: CollectorRegistry) -> None:
    """1.3: 16: so that old and new names can be used at once."""
    other = CollectorRegistry()
    inner = AsgiMiddleware(app(), names="starlette-exporter", registry=registry)
    ask(AsgiMiddleware(AsgiMiddleware(inner, registry=registry), registry=other), "/tea")

    assert exchanges(registry) == ONE
    assert exchanges(other) == ONE
    assert list(values(registry, "starlette_requests_total").values()) == [1]


def test_an_application_that_is_made_twice_shares_the_metrics(registry: CollectorRegistry) -> None:
    """1.1: 33, 36. 1.3: 16."""
    for _ in range(2):
        ask(AsgiMiddleware(app(), registry=registry), "/tea")

    assert exchanges(registry) == {Measured("GET", "200", "/tea"): 2}


def test_it_can_be_added_at_any_time_and_walks_no_routes_before(registry: CollectorRegistry) -> None:
    """1.1: 32. 1.3: 14."""
    before = threading.active_count()
    served = app()
    ask(served, "/tea")
    measured = AsgiMiddleware(served, registry=registry)
    served.router.routes.append(Route("/late", tea))
    ask(measured, "/late")

    assert threading.active_count() == before
    assert exchanges(registry) == {Measured("GET", "200", "/late"): 1}


def test_a_conflict_of_names_is_told_at_construction(registry: CollectorRegistry) -> None:
    """1.3: 17."""
    Histogram(ACTIVE, "Of the application.", registry=registry)

    with pytest.raises(ConflictError, match=r"takes other names with names=\.\.\., or with prefix=") as raised:
        AsgiMiddleware(app(), registry=registry)

    assert raised.value.name == ACTIVE
    ask(AsgiMiddleware(app(), registry=registry, prefix="web"), "/tea")
    assert exchanges(registry, f"web_{DURATION}") == ONE


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"nams": "otel"}, TypeError, "AsgiMiddleware got an unexpected option 'nams'; did you mean 'names'"),
        ({"xyz": 1}, TypeError, "'xyz'; options: registry, names"),
        ({"names": "otl"}, ValueError, "takes names of 'otel', .* but got 'otl'"),
        ({"unmatched": "ignore"}, ValueError, "takes unmatched of 'count', 'drop' but got 'ignore'"),
        ({"streams": True}, ValueError, "takes streams of 'drop', 'separate', 'count' but got True"),
        ({"exclude": ["("]}, re.error, "unterminated"),
    ],
)
def test_wrong_options(registry: CollectorRegistry, options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        AsgiMiddleware(app(), registry=registry, **options)


def test_metrics_served_by_pytheus_are_not_measured(registry: CollectorRegistry) -> None:
    """1.3: 18: neither counted nor in progress, at any path."""
    served = app()
    served.mount("/internal/metrics", make_asgi_app(registry))
    _, response = ask(AsgiMiddleware(served, registry=registry), "/tea", "/internal/metrics")

    assert "http_server_active_requests{" in response.text
    assert active(registry) == 0
    assert re.findall(r"^http_server_active_requests.* (\S+)$", response.text, re.MULTILINE) == ["0.0"]
    assert exchanges(registry) == ONE


@pytest.mark.parametrize(
    "options",
    [
        {"exclude": ["^/healthz", "/items/5$"]},
        {"exclude": [re.compile("^/HEALTHZ", re.IGNORECASE), r"/items/\{item\}"]},
        {"exclude_if": lambda scope: scope["path"] != "/tea"},
    ],
)
def test_excluded_requests(registry: CollectorRegistry, options: Any) -> None:
    """1.3: 18: by path, by template, and by a function of the scope."""
    in_progress: list[float] = []

    async def look(request: Request) -> Response:
        in_progress.append(active(registry))
        return PlainTextResponse("ok")

    served = app()
    served.router.routes.append(Route("/healthz", look))
    ask(AsgiMiddleware(served, registry=registry, **options), "/tea", "/healthz", "/items/5")

    assert exchanges(registry) == ONE
    assert (in_progress, active(registry)) == ([0], 0)


def test_excluded_methods(registry: CollectorRegistry) -> None:
    """1.3: 8, 18."""
    measured = AsgiMiddleware(app(), registry=registry, exclude_methods=["options", "HEAD"])
    ask(measured, "/tea")
    ask(measured, "/tea", method="HEAD")
    ask(measured, "/tea", method="OPTIONS")

    assert exchanges(registry) == ONE


def test_excluded_methods_that_have_no_label(registry: CollectorRegistry) -> None:
    """1.3: 8, 18: a method that is counted as _OTHER is excluded by its own name."""
    measured = AsgiMiddleware(PlainTextResponse("tea"), registry=registry, exclude_methods=["propfind"])
    for method in "PROPFIND", "EVIL":
        ask(measured, "/tea", method=method)

    assert exchanges(registry) == {Measured("_OTHER", "200", ""): 1}


def test_an_excluded_request_is_not_measured_further_inside(registry: CollectorRegistry) -> None:
    """1.3: 16, 18."""
    inner = AsgiMiddleware(app(), registry=registry)
    ask(AsgiMiddleware(inner, registry=registry, exclude=["/tea"]), "/tea")

    assert exchanges(registry) == {}


def test_unmatched_requests_can_be_dropped(registry: CollectorRegistry) -> None:
    """1.1: 14, 16. 1.3: 6."""
    ask(AsgiMiddleware(app(), registry=registry, unmatched="drop"), "/tea", "/nothing", "/wp-login.php")

    assert exchanges(registry) == ONE
    assert active(registry) == 0


def test_a_status_can_be_its_class(registry: CollectorRegistry) -> None:
    """1.3: 9."""
    ask(AsgiMiddleware(app(), registry=registry, group_status=True), "/tea", "/nothing")

    assert exchanges(registry) == {Measured("GET", "2xx", "/tea"): 1, Measured("GET", "4xx", ""): 1}


def test_custom_labels(registry: CollectorRegistry) -> None:
    """1.1: 38. 1.3: 16, 19: values and functions of the scope, the status and the headers of the response."""

    def tenant(scope: Scope, status: int, headers: Mapping[str, str]) -> str:
        return f"{scope['path']} {status} {headers.get('x-cache')}"

    options: Any = {"labels": {"tenant": tenant, "region": "eu"}, "app_name": "shop", "first_byte": True}
    ask(AsgiMiddleware(app(), registry=registry, **options), "/tea")

    for family in DURATION, "http_server_time_to_first_byte_seconds":
        ((*_, app_name, made, region),) = values(registry, f"{family}_count")
        assert (app_name, made, region) == (("app", "shop"), ("tenant", "/tea 200 hit"), ("region", "eu"))


def test_a_custom_label_of_the_same_name_has_no_effect(registry: CollectorRegistry) -> None:
    """1.3: 19."""
    with pytest.warns(PytheusWarning, match="sets the label 'http_route' itself") as warned:
        measured = AsgiMiddleware(app(), registry=registry, labels={"http_route": "mine"})
    ask(measured, "/tea")

    assert warned[0].filename == __file__
    assert exchanges(registry) == ONE


def test_async_functions_of_labels_are_refused(registry: CollectorRegistry) -> None:
    """1.1: 31. 1.3: 19."""

    async def tenant(*arguments: object) -> str:
        return ""

    class Callable_:
        async def __call__(self, *arguments: object) -> str:
            return ""

    for function in tenant, Callable_():
        with pytest.raises(TypeError, match=r"labels\['tenant'\] of AsgiMiddleware must be a plain function"):
            AsgiMiddleware(app(), registry=registry, labels={"tenant": function})  # type: ignore[dict-item]  # refused


def fail(*arguments: object) -> Any:
    raise RuntimeError("of an option")


@pytest.mark.parametrize(
    ("options", "place", "route"),
    [
        ({"labels": {"tenant": fail}}, "labels['tenant']", "/tea"),
        ({"route": fail}, "route", ""),
        ({"route": lambda scope: 5}, "route", ""),
        ({"exclude_if": fail}, "exclude_if", "/tea"),
        ({"exemplars": fail}, "exemplars", "/tea"),
        ({"exemplars": lambda: {"trace_id": "x" * 500}}, "exemplars", "/tea"),
        ({"exemplars": lambda: 5}, "exemplars", "/tea"),
        ({"is_stream": fail}, "is_stream", "/tea"),
    ],
)
def test_a_failure_of_an_option_changes_no_response(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, options: Any, place: str, route: str
) -> None:
    """1.3: 19, 26: logged once, and counted, as the request is."""

    async def parts() -> AsyncIterator[str]:
        yield "gre"
        yield "en"

    async def stream(request: Request) -> Response:
        return StreamingResponse(parts())

    served = Starlette(routes=[Route("/tea", stream)])
    responses = ask(AsgiMiddleware(served, registry=registry, **options), "/tea", "/tea")

    assert [response.text for response in responses] == ["green", "green"]
    assert exchanges(registry) == {Measured("GET", "200", route): 2}
    assert active(registry) == 0
    assert values(registry, "pytheus_middleware_failures_total") == {(("place", place),): 2}
    logged = [record for record in caplog.records if record.name == "pytheus.middleware"]
    assert len(logged) == 1
    assert place in logged[0].getMessage()
    assert logged[0].exc_info is not None


def test_a_failure_even_of_the_registry_changes_no_response(caplog: pytest.LogCaptureFixture) -> None:
    """1.3: 26."""

    class Full:
        prefix = None
        metrics = 0

        def register(self, collector: object, /) -> None:
            self.metrics += 1
            if self.metrics > 2:
                raise MemoryError

        def unregister(self, collector: object, /) -> None: ...

        def collect(self) -> list[Any]:
            return []

    responses = ask(AsgiMiddleware(app(), registry=Full(), route=fail), "/tea", "/tea")

    assert [response.status_code for response in responses] == [200, 200]
    assert caplog.records[-1].levelno >= logging.INFO


def test_an_odd_message_of_an_application_is_the_servers_matter(registry: CollectorRegistry) -> None:
    """1.3: 26."""
    sent: list[Message] = []

    async def odd(scope: Scope, receive: Any, send: Any) -> None:
        await send({})
        await send({"type": "http.response.start", "status": "two hundred"})

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(AsgiMiddleware(odd, registry=registry)({"type": "http", "method": "GET", "path": "/"}, fail, send))

    assert len(sent) == 2
    assert values(registry, "pytheus_middleware_failures_total") == {(("place", "send"),): 2}


def test_exemplars_of_the_current_span(registry: CollectorRegistry) -> None:
    """1.1: 40. 1.3: 20."""
    span = NonRecordingSpan(SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
    own = CollectorRegistry()
    inner = AsgiMiddleware(app(), registry=own, exemplars=lambda: {"order": "7"})
    measured = AsgiMiddleware(inner, registry=registry, exemplars=True)
    with use_span(span):
        ask(measured, "/tea")

    assert f'trace_id="{0xAB:032x}"'.encode() in expose(registry, "application/openmetrics-text").body
    assert b'# {order="7"}' in expose(own, "application/openmetrics-text").body


def test_buckets_and_native_histograms(registry: CollectorRegistry) -> None:
    """1.3: 21."""
    own = CollectorRegistry()
    ask(AsgiMiddleware(AsgiMiddleware(app(), registry=own, native=True), registry=registry, buckets=[0.5, 60]), "/tea")

    bounds = [dict(labels)["le"] for labels in values(registry, f"{DURATION}_bucket")]
    assert bounds == ["0.5", "60.0", "+Inf"]
    (histogram,) = (metric for metric in own.collect() if isinstance(metric, Histogram))
    assert [row.native is not None for row in histogram.rows()] == [True]
    assert len(values(own, f"{DURATION}_bucket")) == 15


def test_metrics_that_are_not_wanted(registry: CollectorRegistry) -> None:
    ask(AsgiMiddleware(app(), registry=registry, in_progress=False), "/tea")

    assert not [metric for metric in registry.collect() if isinstance(metric, Gauge)]
    assert exchanges(registry) == ONE


def test_a_forked_child_has_no_requests_in_progress(registry: CollectorRegistry) -> None:
    """1.3: 22: only the parent's thread serves them."""
    numbers: list[int] = []

    async def forks(request: Request) -> Response:
        assert active(registry) == 1
        pid = os.fork()
        if pid == 0:
            os._exit(int(active(registry)) + 10)
        numbers.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return PlainTextResponse("forked")

    ask(AsgiMiddleware(Starlette(routes=[Route("/fork", forks)]), registry=registry), "/fork")

    assert (numbers, active(registry)) == ([10], 0)
    assert routes(registry) == {"/fork"}


@pytest.mark.parametrize(
    "options", [{}, {"exclude": ["/tea"]}, {"labels": {"tenant": lambda *of: "1"}}, {"exclude_methods": ["GET"]}]
)
def test_a_request_leaves_no_cycle_behind(registry: CollectorRegistry, options: Any) -> None:
    """1.3: 25: the scope is freed at once, not by the garbage collector."""

    class WeakScope(dict[str, object]):
        """A scope that can be observed."""

    async def served(scope: Scope, receive: Any, send: Any) -> None:
        await PlainTextResponse("tea")(scope, receive, send)

    measured = AsgiMiddleware(served, registry=registry, **options)

    async def main() -> weakref.ref[WeakScope]:
        scope = WeakScope(type="http", method="GET", path="/tea", headers=[])

        async def send(message: Message) -> None:
            assert scope

        await measured(scope, fail, send)
        return weakref.ref(scope)

    gc.disable()
    try:
        reference = asyncio.run(main())
        assert reference() is None
    finally:
        gc.enable()


def test_starlette_takes_it_in_its_list(registry: CollectorRegistry) -> None:
    """1.3: 1."""
    served = Starlette(routes=[Route("/tea", tea)], middleware=[Middleware(AsgiMiddleware, registry=registry)])
    ask(served, "/tea")

    assert exchanges(registry) == ONE
