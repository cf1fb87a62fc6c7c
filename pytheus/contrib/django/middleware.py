"""Middleware that measures the views of a Django project, and a view that serves the metrics.

https://docs.djangoproject.com/en/stable/topics/http/middleware/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from pytheus.exposition import expose
from pytheus.exposition.exchange_mark import leave_unmeasured
from pytheus.middleware.exchange import METHODS, OTHER, PROTOCOLS, SCHEMES, Exchange, class_name, content_length
from pytheus.middleware.options import MiddlewareOptions, Names
from pytheus.middleware.recorder import Recorder
from pytheus.registry import REGISTRY, Registry

__all__ = ["MetricsMiddleware", "metrics_view"]

GetResponse = Callable[[HttpRequest], "HttpResponseBase | Awaitable[HttpResponseBase]"]

_RESPONSES: Final = (Http404, PermissionDenied, SuspiciousOperation, BadRequest)
"""Exceptions by which a view responds."""


class MetricsMiddleware:
    """Measures the requests to a Django project, synchronous and asynchronous, by the route of their view.

    The first one in ``MIDDLEWARE``, so that it measures the others, too. The options are those of
    `pytheus.middleware.MiddlewareOptions`, in the setting ``PYTHEUS_MIDDLEWARE``, where a function gets the request's
    ``META``. The route is that of the URL pattern, or the view's name with ``names="django-prometheus"``. The exchange
    ends when Django closes the response, after the last byte. An exception of a view that Django turns into status 500
    is the `error_type`.
    """

    sync_capable: bool = True
    async_capable: bool = True
    is_automatic: ClassVar[bool] = False
    """Whether pytheus put it around a project by itself: it then gives way to those of the program."""

    default_names: ClassVar[Names] = "otel"

    def __init__(self, get_response: GetResponse) -> None:
        from django.conf import (
            settings,
        )  # not a name of this module, because tools that inspect one would read settings

        options = cast("MiddlewareOptions[dict[str, object]]", getattr(settings, "PYTHEUS_MIDDLEWARE", {}))
        if "names" not in options:
            options = cast("MiddlewareOptions[dict[str, object]]", {**options, "names": self.default_names})
        has_views = options.get("names") == "django-prometheus"
        self._get_response: Final = get_response
        self._recorder: Final = Recorder(
            options, _view_of if has_views else _route_of, "MetricsMiddleware", is_automatic=self.is_automatic
        )
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self._is_async = True
        else:
            self._is_async = False

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Return the response to `request`, whose end is measured."""
        if self._is_async:
            return self._respond_async(request)
        exchange = DjangoExchange(self._recorder, request)
        is_measured = self._recorder.begin(exchange)
        try:
            response = cast("HttpResponseBase", self._get_response(request))
        except BaseException as error:
            if is_measured:
                exchange.end_early(error)
            raise
        return exchange.measured(response) if is_measured else response

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        exchange = DjangoExchange(self._recorder, request)
        is_measured = self._recorder.begin(exchange)
        try:
            response = await cast("Awaitable[HttpResponseBase]", self._get_response(request))
        except BaseException as error:
            if is_measured:
                exchange.end_early(error)
            raise
        return exchange.measured(response) if is_measured else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Note the exception of a view; Django asks for the response elsewhere."""
        exchange = getattr(request, _EXCHANGE, None)
        if exchange is not None and not isinstance(exception, _RESPONSES):
            exchange.raised = exchange.error_type = class_name(exception)


_EXCHANGE: Final = "pytheus_exchange"


class DjangoExchange(Exchange["dict[str, object]"]):
    """A request to a Django project."""

    response: HttpResponseBase | None = None

    def __init__(self, recorder: Recorder[dict[str, object]], request: HttpRequest) -> None:
        super().__init__(recorder, request.META)
        self.request: HttpRequest | None = request

    def read_request(self) -> None:
        """Read the request before its view does."""
        request = self.request
        assert request is not None
        setattr(request, _EXCHANGE, self)
        self.method: str = METHODS.get(request.method, OTHER)
        self.scheme: str = SCHEMES.get(request.scheme, OTHER)
        protocol = request.META.get("SERVER_PROTOCOL") or getattr(request, "scope", {}).get("http_version", "1.1")
        self.protocol: str = PROTOCOLS.get(str(protocol).removeprefix("HTTP/"), OTHER)
        self.path: str = request.path
        if self.recorder.measures_sizes:
            self.request_size: int = content_length(request.headers.get("Content-Length")) or 0

    def response_headers(self) -> dict[str, str]:
        """Return the headers of the response by their names in lower case."""
        return {} if self.response is None else {name.lower(): value for name, value in self.response.items()}

    def measured(self, response: HttpResponseBase) -> HttpResponseBase:
        """Return `response`, whose `close` ends the exchange."""
        try:
            self.response = response
            if response.status_code < 500:
                self.raised = self.error_type = ""  # another middleware handled it
            self.start(response.status_code)
            if response.streaming:
                self.is_stream: bool = self.recorder.is_stream(self)
            elif self.recorder.measures_sizes:
                self.response_size: int = len(cast("HttpResponse", response).content)
            close = response.close

            def measured_close() -> None:
                try:
                    close()
                finally:
                    self.end()
                    self.request = self.response = None  # would be cycles otherwise

            response.close = measured_close  # the handlers call it; there is no hook
        except Exception:
            self.recorder.failed("response")
            self.end()
        return response


def _match_of(exchange: Exchange[dict[str, object]]) -> object:
    return getattr(cast("DjangoExchange", exchange).request, "resolver_match", None)


def _route_of(exchange: Exchange[dict[str, object]]) -> str | None:
    route: object = getattr(_match_of(exchange), "route", None)
    return f"/{route}" if isinstance(route, str) else None


def _view_of(exchange: Exchange[dict[str, object]]) -> str | None:
    name: object = getattr(_match_of(exchange), "view_name", None)
    return name if isinstance(name, str) else None


def metrics_view(request: HttpRequest, registry: Registry = REGISTRY, *, page: bool = True) -> HttpResponse:
    """Serve the metrics of `registry`, in the format that the client prefers; a scrape is not measured.

    With `page`, a browser gets a page that shows the metrics. The URL's arguments set both:
    ``path("metrics", metrics_view, {"page": False})``.
    """
    leave_unmeasured(request.META)
    exposition = expose(
        registry,
        request.headers.get("Accept", ""),
        accept_encoding=request.headers.get("Accept-Encoding", ""),
        names=request.GET.getlist("name[]"),
        page=page,
    )
    response = HttpResponse(exposition.body, content_type=exposition.content_type)
    for name, value in exposition.headers.items():
        response.headers[name] = value
    return response
