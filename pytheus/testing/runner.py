"""Running the conformance kit without a test runner."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple
from unittest import SkipTest

if TYPE_CHECKING:
    from pytheus.testing.checks.check import Conformance

__all__ = ["Outcome", "check_names", "run_conformance"]


class Outcome(NamedTuple):
    """The result of one check.

    `promise` is the first line of its description. `message` is the reason of a failure or a skip, or "". `error` is
    the error of a failed check, or None.
    """

    check: str
    status: Literal["passed", "failed", "skipped"]
    promise: str
    message: str
    error: BaseException | None

    @property
    def trace(self) -> str:
        """The traceback of the failure, or ""."""
        return "" if self.error is None else "".join(traceback.format_exception(self.error))


def run_conformance(conformance: type[Conformance]) -> Iterator[Outcome]:
    """Run each check of a subclass of `RegistryConformance` and yield its outcome; needs no pytest.

        >>> from pytheus.registry import NullRegistry
        >>> from pytheus.testing import RegistryConformance
        >>> class NullConformance(RegistryConformance):
        ...     keeps_collectors = False
        ...     refuses_unknown = False
        ...     def make_registry(self):
        ...         return NullRegistry()
        >>> outcomes = list(run_conformance(NullConformance))
        >>> [outcome.check for outcome in outcomes if outcome.status == "failed"]
        []

    pytest fixtures are not available to the class. Each check runs on a new object, whose `teardown_method` is called
    afterwards. Checks that need a declaration which the class does not make are left out.
    """
    for name in check_names(conformance):
        yield _outcome(conformance(), name)


def check_names(conformance: type[Conformance]) -> tuple[str, ...]:
    """The checks of `conformance`, in the order in which `run_conformance` runs them."""
    return tuple(name for name in dir(conformance) if name.startswith("test_") and getattr(conformance, name))


def _outcome(checks: Conformance, name: str) -> Outcome:
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
