"""Instruments Django: a project gets the middleware of `pytheus.contrib.django` as the first of its own.

Rules:

- The settings name the middleware only while Django reads them, so that the program sees its own.
- A project that names it already keeps its choice of the place.
- Django is imported by the program. Until then, nothing here imports it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Final

from pytheus.instrumentation.report import created

if TYPE_CHECKING:
    from pytheus.contrib.django import GetResponse, MetricsMiddleware
    from pytheus.middleware.options import Names

__all__ = ["automatic_middleware", "instrument_django"]

_OWN: Final = "pytheus.instrumentation.django.automatic_middleware"
_OF_PROJECTS: Final = "pytheus.contrib.django.MetricsMiddleware"

_names: Names = "otel"


def instrument_django(module: ModuleType, names: Names) -> None:
    """Measure the requests to projects, whose handlers ``django.core.handlers.base`` defines."""
    global _names
    _names = names
    handler = module.BaseHandler
    load: Callable[..., object] = handler.load_middleware

    @functools.wraps(load)
    def load_middleware(self: object, *args: object, **options: object) -> object:
        from django.conf import settings

        configured = settings.MIDDLEWARE
        if _OF_PROJECTS in configured:
            return load(self, *args, **options)
        try:
            settings.MIDDLEWARE = [_OWN, *configured]
            return load(self, *args, **options)
        finally:
            settings.MIDDLEWARE = configured

    handler.load_middleware = load_middleware


def automatic_middleware(get_response: GetResponse) -> MetricsMiddleware:
    """Return the middleware around `get_response`; raises Django's `MiddlewareNotUsed` if it cannot be created."""

    def create() -> MetricsMiddleware:
        from pytheus.contrib.django import MetricsMiddleware

        class AutomaticMiddleware(MetricsMiddleware):
            is_automatic = True
            default_names = _names

        return AutomaticMiddleware(get_response)

    middleware = created("django", _names, create)
    if middleware is None:
        from django.core.exceptions import MiddlewareNotUsed

        raise MiddlewareNotUsed("pytheus has said why")
    return middleware


# What Django asks of a middleware before it makes one.
automatic_middleware.sync_capable = True  # type: ignore[attr-defined]  # as Django's decorators set it
automatic_middleware.async_capable = True  # type: ignore[attr-defined]  # as Django's decorators set it
