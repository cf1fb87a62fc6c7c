"""The conformance kit without a test runner."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple
from unittest import SkipTest

if TYPE_CHECKING:
    from pytheus.testing.declarations import Declarations

__all__ = ["Outcome", "run_conformance"]


class Outcome(NamedTuple):
    """What came of one check.

    `promise` is the first line of its description. `message` says why it failed or was skipped, or is "";
    `error` is the error that it failed with, or None.
    """

    check: str
    status: Literal["passed", "failed", "skipped"]
    promise: str
    message: str
    error: BaseException | None

    @property
    def trace(self) -> str:
        """The traceback of what failed, or ""."""
        return "" if self.error is None else "".join(traceback.format_exception(self.error))


def run_conformance(conformance: type[Declarations]) -> Iterator[Outcome]:
    """The outcome of each check of a subclass of `RegistryConformance`, as they are run; needs no pytest.

        >>> from pytheus.registry import NullRegistry
        >>> from pytheus.testing import RegistryConformance
        >>> class NoneConformance(RegistryConformance):
        ...     keeps_collectors = False
        ...     refuses_unknown = False
        ...     def make_registry(self):
        ...         return NullRegistry()
        >>> outcomes = list(run_conformance(NoneConformance))
        >>> {outcome.status for outcome in outcomes} == {"passed", "skipped"}
        True

    Fixtures of pytest are not available to the class. Each check gets an object of its own, whose `teardown_method` is
    called after it.
    """
    for name in (name for name in dir(conformance) if name.startswith("test_")):
        yield _outcome(conformance(), name)


def _outcome(checks: Declarations, name: str) -> Outcome:
    method = getattr(checks, name)
    promise = (method.__doc__ or name).strip().splitlines()[0]
    try:
        method()
    except SkipTest as skipped:
        return Outcome(name, "skipped", promise, str(skipped), None)
    except Exception as error:
        return Outcome(name, "failed", promise, str(error), error)
    finally:
        checks.teardown_method()
    return Outcome(name, "passed", promise, "", None)
