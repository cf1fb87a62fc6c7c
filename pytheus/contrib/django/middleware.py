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

from pytheus.contrib.django.exchange import DjangoExchange, note_exception, route_of, scope_of, view_of
from pytheus.exposition import expose
from pytheus.exposition.exchange_mark import expect_adapters, leave_unmeasured
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
    ``META``. The route is that of the URL pattern, or the view's name with ``names="django-prometheus"``. A request is
    measured until this returns the response, or to the last byte if it is streaming. An exception of a view that Django
    turns into status 500 is the `error_type`.
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
            options, view_of if has_views else route_of, "MetricsMiddleware", is_automatic=self.is_automatic
        )
        expect_adapters()
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
        try:
            response = cast("HttpResponseBase", self._get_response(request))
        except BaseException as error:
            exchange.end_by(error)
            raise
        return exchange.measured(response)

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        exchange = DjangoExchange(self._recorder, request)
        try:
            response = await cast("Awaitable[HttpResponseBase]", self._get_response(request))
        except BaseException as error:
            exchange.end_by(error)
            raise
        return exchange.measured(response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Note the exception of a view; Django asks for the response elsewhere."""
        if not isinstance(exception, _RESPONSES):
            note_exception(request, exception)


def metrics_view(request: HttpRequest, registry: Registry = REGISTRY, *, page: bool = True) -> HttpResponse:
    """Serve the metrics of `registry`, in the format that the client prefers; a scrape is not measured.

    With `page`, a browser gets a page that shows the metrics. The URL's arguments set both:
    ``path("metrics", metrics_view, {"page": False})``.
    """
    leave_unmeasured(request.META, scope_of(request))
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
