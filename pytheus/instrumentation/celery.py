"""Instruments Celery: tasks are measured from the moment when their application first talks to a broker.

Rules:

- A client does so when it publishes its first task, and a worker before its pool forks. The program has then called
  `pytheus.contrib.celery.measure_tasks` itself, with its own options, if it does that at all. A task that is only
  applied in its own process (`task.apply()`) needs no broker, and is measured if another one was published before.
- The names of the metrics are those of Celery's tasks, whatever those of HTTP are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

from pytheus.instrumentation.report import created

if TYPE_CHECKING:
    from celery import Celery

    from pytheus.middleware.options import Names

__all__ = ["instrument_celery"]


def instrument_celery(module: ModuleType, names: Names) -> None:
    """Measure the tasks of the applications of ``celery.app.base``."""
    finalize: Callable[..., None] = module.Celery.finalize
    amqp = module.Celery.amqp  # a property that is computed once for an application
    amqp_of: Callable[[Celery], object] = amqp.func

    @functools.wraps(finalize)
    def finalize_measured(self: Celery, *args: object, **options: object) -> None:
        finalize(self, *args, **options)
        _measure(self)

    @functools.wraps(amqp_of)
    def amqp_measured(self: Celery) -> object:
        _measure(self)
        return amqp_of(self)

    module.Celery.finalize = finalize_measured
    amqp.func = amqp_measured


def _measure(app: Celery) -> None:
    from pytheus.contrib.celery import is_measured, measure_tasks

    if not is_measured(app):
        created("celery", "celery", lambda: measure_tasks(app))
