"""The options of the registry, in its URL or in the configuration file."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MultiprocessOptions"]

_SMALLEST_STEP = 1 << 12
_SMALLEST_FILE = 1 << 16


@dataclass(frozen=True)
class MultiprocessOptions:
    """The options of ``multiprocess:///DIRECTORY?...``. Raises ValueError."""

    path: str
    """The directory that the processes share."""
    prefix: str | None = None
    """The prefix of every family's name."""
    index_step_bytes: int = 1 << 14
    """The smallest growth of a file, for names and labels. Larger files double."""
    numbers_step_bytes: int = 1 << 14
    """The smallest growth of a file, for numbers."""
    max_size_bytes: int = 1 << 28
    """The largest file of one process; series that do not fit are exposed by that process alone."""
    retention_seconds: float | None = None
    """Series that only dead processes had are removed after this time; None to keep all."""
    process_metrics: bool = True
    """Whether a scrape exposes CPU time, memory and file descriptors of each process."""

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
