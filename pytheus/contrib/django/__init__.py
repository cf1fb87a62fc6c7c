"""Measures a Django project: its views, its databases and its caches, and serves the metrics.

In the settings::

    INSTALLED_APPS = ["pytheus.contrib.django", ...]  # databases and caches
    MIDDLEWARE = ["pytheus.contrib.django.MetricsMiddleware", ...]
    PYTHEUS_MIDDLEWARE = {"exclude": ["^/healthz$"]}

In the URLs::

    path("metrics", metrics_view)

Modules:

- `middleware`: the middleware and the view
- `exchange`: one request, as far as it is measured
- `database`: queries and connections of databases
- `cache`: operations of caches
- `apps`: the settings
"""

from pytheus.contrib.django.cache import measure_caches
from pytheus.contrib.django.database import measure_databases
from pytheus.contrib.django.middleware import GetResponse, MetricsMiddleware, metrics_view

__all__ = ["GetResponse", "MetricsMiddleware", "measure_caches", "measure_databases", "metrics_view"]
