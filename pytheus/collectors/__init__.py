"""Numbers about the process, its garbage collector and its Python, for registries that ask for them.

Nothing registers them at import; `register_runtime_collectors` does, or a registry's own `register`. They hold no
numbers: each scrape reads them afresh, so that a forked child tells its own.
"""

from pytheus.collectors.gc import GCCollector
from pytheus.collectors.platform import PlatformCollector
from pytheus.collectors.process import ProcessCollector
from pytheus.collectors.runtime import register_runtime_collectors

__all__ = ["GCCollector", "PlatformCollector", "ProcessCollector", "register_runtime_collectors"]
