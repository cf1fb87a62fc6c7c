"""Measures the applications of frameworks without a change to them: `pytheus run --instrument`.

Modules:

- `selection`: which frameworks a setting names
- `instruments`: the table of frameworks, and how one is instrumented
- `applications`: the classes of Starlette, FastAPI, Litestar and Flask
- `django`: the middleware that a Django project gets
- `celery`: the tasks of Celery
- `report`: the lines on stderr
"""

from pytheus.instrumentation.instruments import instrument

__all__ = ["instrument"]
