"""What can be said of the registry in its URL, or in the configuration file."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MultiprocessOptions"]

_SMALLEST_STEP = 1 << 12
_SMALLEST_FILE = 1 << 16


@dataclass(frozen=True)
class MultiprocessOptions:
    """The options of ``multiprocess:///DIRECTORY?...``. Sizes are in bytes; ValueError for what makes no sense."""

    path: str
    """The directory that the processes share."""
    prefix: str | None = None
    """What stands before the name of every family."""
    index_step_bytes: int = 1 << 14
    """By how much at least a file grows for names and labels. It grows by as much as it has, from there on."""
    numbers_step_bytes: int = 1 << 14
    """By how much at least a file grows for numbers."""
    max_size_bytes: int = 1 << 28
    """How large one process's file may become; series for which there is no room are seen by that process alone."""
    retention_seconds: float | None = None
    """When series are dropped that only dead processes had; None for never."""
    process_metrics: bool = True
    """Whether a scrape tells CPU time, memory and file descriptors of each process."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path must name a directory")
        for step in ("index_step_bytes", "numbers_step_bytes"):
            if getattr(self, step) < _SMALLEST_STEP:
                raise ValueError(f"{step} must be at least {_SMALLEST_STEP}")
        if self.max_size_bytes < _SMALLEST_FILE:
            raise ValueError(f"max_size_bytes must be at least {_SMALLEST_FILE}")
        if self.retention_seconds is not None and not self.retention_seconds > 0:
            raise ValueError("retention_seconds must be greater than 0")
