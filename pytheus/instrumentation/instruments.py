"""The table of frameworks, and how one of them is instrumented.

A new framework needs one entry here and its name in `selection.FRAMEWORKS`, and the module that defines its classes in
``pytheus_startup.MODULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Final

from pytheus.instrumentation.applications import (
    instrument_fastapi,
    instrument_flask,
    instrument_litestar,
    instrument_starlette,
)
from pytheus.instrumentation.celery import instrument_celery
from pytheus.instrumentation.django import instrument_django
from pytheus.instrumentation.report import say_not_measured
from pytheus.instrumentation.selection import FRAMEWORKS, selected
from pytheus.middleware.options import Names

__all__ = ["INSTRUMENTS", "instrument"]

INSTRUMENTS: Final[Mapping[str, Callable[[ModuleType, Names], None]]] = {
    "starlette": instrument_starlette,
    "fastapi": instrument_fastapi,
    "litestar": instrument_litestar,
    "flask": instrument_flask,
    "django": instrument_django,
    "celery": instrument_celery,
}
"""Each changes the classes of a framework's module, so that applications are measured with these names."""


def instrument(framework: str, module: ModuleType) -> None:
    """Instrument `framework`, whose `module` was executed, if the environment names it."""
    names = selected()
    if framework in names:
        try:
            INSTRUMENTS[framework](module, names[framework])
        except Exception as error:
            say_not_measured(framework, error)
    elif framework not in FRAMEWORKS:
        say_not_measured(framework, "it is not supported; put a middleware of pytheus around the application")
