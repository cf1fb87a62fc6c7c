"""Reads the settings: ``pytheus.contrib.django`` as an installed app measures databases and caches."""

from __future__ import annotations

from django.apps import AppConfig

from pytheus.contrib.django.cache import measure_caches
from pytheus.contrib.django.database import measure_databases

__all__: list[str] = []  # Django finds the class by its base


class _MetricsConfig(AppConfig):
    """Measures databases with the options in ``PYTHEUS_DATABASES``, and caches with those in ``PYTHEUS_CACHES``.

    Each is a mapping of arguments of `measure_databases` or `measure_caches`; None leaves them unmeasured.
    """

    name = "pytheus.contrib.django"
    label = "pytheus"
    verbose_name = "Metrics"

    def ready(self) -> None:
        """Begin to measure; Django calls it once, at its start."""
        from django.conf import settings

        for name, measure in (("PYTHEUS_DATABASES", measure_databases), ("PYTHEUS_CACHES", measure_caches)):
            options = getattr(settings, name, {})
            if options is not None:
                measure(**options)
