"""The options of the registry, in its URL or in the configuration file."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MultiprocessOptions"]

_SMALLEST_STEP = 1 << 12
_LARGEST_STEP = 1 << 26
_SMALLEST_FILE = 1 << 16
_LARGEST_FILE = 1 << 40
_LONGEST_RETENTION = 10**9


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
            if not _SMALLEST_STEP <= getattr(self, step) <= _LARGEST_STEP:
                raise ValueError(f"{step} must be at least {_SMALLEST_STEP} and at most {_LARGEST_STEP}")
        if not _SMALLEST_FILE <= self.max_size_bytes <= _LARGEST_FILE:
            raise ValueError(f"max_size_bytes must be at least {_SMALLEST_FILE} and at most {_LARGEST_FILE}")
        if self.retention_seconds is not None and not 0 < self.retention_seconds <= _LONGEST_RETENTION:
            raise ValueError(f"retention_seconds must be greater than 0 and at most {_LONGEST_RETENTION}")
