"""Settings of the whole process: strict labels, UTF-8 names, and start times in OpenMetrics.

Each has a value that the program sets, or else one of the environment or the configuration file, or else a default. The
configured value is read once, when it is first needed: by a label value of another type than str and int, by a name
that is not a legacy name, or by a scrape in the format OpenMetrics. A configuration that cannot be read is a warning
and not an error there, because the caller measures a program that has begun its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar

from pytheus.exceptions import PytheusWarning

__all__ = [
    "NameRules",
    "has_created_lines",
    "has_utf8_names",
    "is_strict",
    "set_created_lines",
    "set_names",
    "set_settings_source",
    "set_strict",
]

T = TypeVar("T")

NameRules = Literal["legacy", "utf8"]
"""The names that metrics and labels may have: ``[a-zA-Z_:][a-zA-Z0-9_:]*``, or any text, which needs Prometheus 3."""


class _Setting(Generic[T]):
    __slots__ = ("configured", "default", "effect", "key", "value")

    def __init__(self, key: str, default: T, effect: str) -> None:
        self.key: Final = key
        self.default: Final = default
        self.effect: Final = effect
        self.value: T | None = None
        self.configured: T | None = None

    def get(self) -> T:
        if self.value is not None:
            return self.value
        if self.configured is None:
            self.configured = self.default
            try:
                for source in _source:
                    self.configured = source(self.key)  # type: ignore[assignment]  # the source has checked it
            except Exception as error:
                import warnings

                warnings.warn(
                    f"{self.effect}, because its setting cannot be read: {error}", PytheusWarning, stacklevel=3
                )
        return self.default if self.configured is None else self.configured

    def set(self, value: T | None) -> T | None:
        former = self.value
        self.value = value
        return former


# At most one: the function of a higher layer that reads the environment and the configuration file.
_source: Final[list[Callable[[str], object]]] = []

_STRICT: Final = _Setting("strict", False, "strict mode is off")
_NAMES: Final = _Setting[NameRules]("names", "legacy", "only legacy names are allowed")
_CREATED_LINES: Final = _Setting("created_lines", False, "OpenMetrics has no lines of start times")


def set_settings_source(source: Callable[[str], object]) -> None:
    """Ask `source` once for the configured value of each setting, by its key in the configuration file."""
    _source[:] = [source]
    for setting in _STRICT, _NAMES, _CREATED_LINES:
        setting.configured = None


def set_strict(strict: bool | None) -> bool | None:
    """Decide whether label values of other types than str and int raise, and return the previous decision.

    None leaves it to the configuration. For tests of an application: `pytheus.testing.fixtures` sets it.

        >>> previous = set_strict(True)
        >>> is_strict(), set_strict(previous)
        (True, True)
    """
    return _STRICT.set(strict)


def is_strict() -> bool:
    """Return whether label values of other types raise."""
    return _STRICT.get()


def set_names(names: NameRules | None) -> NameRules | None:
    """Decide which names metrics and families may have that say nothing about it, and return the previous decision.

    None leaves it to the configuration. Names that exist are not checked again.

        >>> previous = set_names("utf8")
        >>> has_utf8_names(), set_names(previous)
        (True, 'utf8')
    """
    return _NAMES.set(names)


def has_utf8_names() -> bool:
    """Return whether names may be any text."""
    return _NAMES.get() == "utf8"


def set_created_lines(created_lines: bool | None) -> bool | None:
    """Decide whether OpenMetrics has a line ``_created`` for each start time, and return the previous decision.

    None leaves it to the configuration. Such a line is a series of its own in Prometheus, unless it runs with the
    feature ``created-timestamp-zero-ingestion``. The protobuf format has start times in any case.

        >>> previous = set_created_lines(True)
        >>> has_created_lines(), set_created_lines(previous)
        (True, True)
    """
    return _CREATED_LINES.set(created_lines)


def has_created_lines() -> bool:
    """Return whether OpenMetrics has lines of start times."""
    return _CREATED_LINES.get()
