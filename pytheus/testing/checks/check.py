"""The parts of checks: their mark, their base class, and how they fail.

Rules:

- A check is a method whose name begins with ``test_``, marked with `check`. It tests one promise, starts with a new
  registry, and relies only on the checks that it names as `after`.
- It fails by `AssertionError` with the promise in the contract's words, then the actual behaviour.
- A check whose `needs` a class does not declare is not part of that class: pytest does not collect it.
- Collectors are the kit's own, or metrics made with ``registry=None``: nothing reaches `pytheus.REGISTRY`.
- A check raises `unittest.SkipTest` if its result would be misleading: a check that it relies on fails, or the registry
  object does not offer an optional capability. pytest reports it as skipped.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar, Final, TypeVar
from unittest import SkipTest

__all__ = ["Conformance", "check", "promised"]

Checks = TypeVar("Checks", bound="Conformance")


class Conformance:
    """The base of classes of checks."""

    patience_seconds: ClassVar[float] = 30.0
    """How long to wait for an operation that might hang."""

    @classmethod
    def meets(cls, need: str) -> bool:
        """Return whether the class declares the ability that a check with this need tests."""
        raise NotImplementedError

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        # A test method that is None in a subclass is not a test, neither for pytest nor for `run_conformance`.
        for name in _CHECKS:
            defined = next((vars(base)[name] for base in cls.__mro__[1:] if vars(base).get(name) is not None), None)
            if defined is not None and name not in vars(cls):
                setattr(cls, name, defined if cls._applies(name) else None)

    @classmethod
    def _applies(cls, name: str) -> bool:
        after, needs = _CHECKS[name]
        return all(map(cls.meets, needs)) and all(map(cls._applies, after))

    def teardown_method(self) -> None:
        """Release all that the check made."""

    def unless_it_hangs(self, function: Callable[[], None], promise: str) -> None:
        """Call `function` in a thread, and fail with `promise` if it does not return."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                function()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(self.patience_seconds)
        if thread.is_alive():
            raise AssertionError(
                f"{promise}: it did not return within {self.patience_seconds:g} s; is a lock held meanwhile?"
            )
        if failures:
            raise failures[0]


@contextmanager
def promised(promise: str) -> Iterator[None]:
    """Turn an error of the block into one that states the promise."""
    __tracebackhide__ = True
    try:
        yield
    except (AssertionError, SkipTest):
        raise
    except Exception as error:
        raise AssertionError(f"{promise}: raised {type(error).__name__}: {error}") from error


_CHECKS: Final[dict[str, tuple[Sequence[str], Sequence[str]]]] = {}
"""The checks that each check relies on, and the declarations that it needs, by its name."""

# For each class: the reason why a check cannot be relied on, or None if it passed.
_verdicts: Final[weakref.WeakKeyDictionary[type, dict[str, str | None]]] = weakref.WeakKeyDictionary()


def check(*after: str, needs: Sequence[str] = ()) -> Callable[[Callable[[Checks], None]], Callable[[Checks], None]]:
    """Mark a check, with the checks that it relies on, which run first, and the declarations that it needs."""

    def mark(method: Callable[[Checks], None]) -> Callable[[Checks], None]:
        name = method.__name__

        @functools.wraps(method)
        def checked(self: Checks) -> None:
            __tracebackhide__ = True
            verdicts = _verdicts.setdefault(type(self), {})
            for needed in after:
                if needed not in verdicts:
                    with suppress(Exception):  # reported under its own name
                        getattr(self, needed)()
                reason = verdicts.get(needed)
                if reason is not None:
                    verdicts[name] = reason
                    raise SkipTest(reason)
            try:
                method(self)
            except SkipTest as skipped:
                verdicts[name] = str(skipped)
                raise
            except BaseException:
                verdicts[name] = f"not run: it relies on {name}, which fails"
                raise
            verdicts[name] = None

        _CHECKS[name] = (after, needs)
        return checked

    return mark
