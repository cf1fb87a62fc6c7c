"""Middleware that measures HTTP applications: any ASGI or WSGI application, with the routes of their frameworks.

    >>> from pytheus.middleware import AsgiMiddleware
    >>> from pytheus.registry import CollectorRegistry
    >>> async def app(scope, receive, send): ...
    >>> app = AsgiMiddleware(app, registry=CollectorRegistry())

Modules:

- `asgi`, `wsgi`: the two middlewares
- `asgi_exchange`, `websocket`: one request to an ASGI application, and one WebSocket
- `options`: their options
- `exchange`: one request and its response
- `recorder`: which exchanges count in the metrics of a middleware
- `records`: these metrics, and how an exchange counts in each
- `profiles`: names, labels and buckets of the metrics
- `custom_labels`: labels that a program adds
- `asgi_routes`, `starlette_routes`, `wsgi_routes`: the template of a request's route
"""

from pytheus.middleware.asgi import AsgiMiddleware
from pytheus.middleware.options import LabelFunction, MiddlewareOptions, Names
from pytheus.middleware.wsgi import WsgiMiddleware

__all__ = ["AsgiMiddleware", "LabelFunction", "MiddlewareOptions", "Names", "WsgiMiddleware"]
