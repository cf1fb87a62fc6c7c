"""Collectors for the process, its garbage collector and its Python.

No collector is registered at import; `register_runtime_collectors` or a registry's own `register` does it. They keep no
numbers: each scrape reads the current ones, so a forked child reports its own.

Each gives way (`pytheus.registry.HasPrecedence`): a metric of the program that has one of these names is shown instead,
and so are the families of a registry that describes each of its processes.

Modules:

- `process`: CPU time, memory, start time and file descriptors
- `gc`: the garbage collector
- `platform`: the version of Python
- `runtime`: registers all of them
"""

from pytheus.collectors.gc import GCCollector
from pytheus.collectors.platform import PlatformCollector
from pytheus.collectors.process import ProcessCollector
from pytheus.collectors.runtime import register_runtime_collectors

__all__ = ["GCCollector", "PlatformCollector", "ProcessCollector", "register_runtime_collectors"]
