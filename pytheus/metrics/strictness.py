"""Whether a label value of another type than str and int raises, instead of being converted.

Asked only where such a value was found, so that no other call takes longer. The value set by `set_strict` comes first;
without one, a function of a higher layer is asked once, which reads the environment and the configuration file.
"""

from __future__ import annotations

from collections.abc import Callable

from pytheus.exceptions import PytheusWarning

__all__ = ["is_strict", "set_strict", "set_strict_source"]

_strict: bool | None = None
_configured: bool | None = None
_source: Callable[[], bool] | None = None


def set_strict(strict: bool | None) -> bool | None:
    """Decide whether values of other types raise, and return the previous decision.

    None leaves it to the configuration. For tests of an application: `pytheus.testing.fixtures` sets it.

        >>> previous = set_strict(True)
        >>> is_strict(), set_strict(previous)
        (True, True)
    """
    global _strict
    previous = _strict
    _strict = strict
    return previous


def set_strict_source(source: Callable[[], bool]) -> None:
    """Ask `source` once for the configured value, when it is first needed."""
    global _source, _configured
    _source = source
    _configured = None


def is_strict() -> bool:
    """Return whether values of other types raise.

    A configuration that cannot be read is a warning and not an error here, because the caller measures a program that
    has begun its work.
    """
    global _configured
    if _strict is not None:
        return _strict
    if _configured is None:
        _configured = False
        try:
            if _source is not None:
                _configured = _source()
        except Exception as error:
            import warnings

            warnings.warn(
                f"strict mode is off, because its setting cannot be read: {error}", PytheusWarning, stacklevel=2
            )
    return _configured
