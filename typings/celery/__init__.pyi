from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from celery.app.task import Task

class Celery:
    conf: SimpleNamespace
    @property
    def tasks(self) -> Mapping[str, Task]: ...
    def __init__(self, main: str | None = ..., *, broker: str | None = ..., set_as_current: bool = ...) -> None: ...
    def task(self, function: Callable[..., Any] | None = ..., /, **options: object) -> Any: ...
