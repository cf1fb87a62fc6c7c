"""The pytest plugin: fixtures for an application's tests, loaded by ``pytest_plugins = ["pytheus.testing.fixtures"]``.

It imports nothing that a test does not ask for. It is no entry point of the group ``pytest11``, which was tried and
measured (CPython 3.11, pytest 9.2, an otherwise empty run, best of nine):

- Every run of pytest beside it imported pytheus, before coverage tools start: 295 ms instead of 204 ms. As a module
  outside of the package it cost nothing there, but in a run that imports pytheus 254 ms instead of 213 ms, and 347 ms
  where ``__pycache__`` cannot be written, for pytest rewrites the assertions of all modules of such a distribution.
- A run in which pytheus is imported already, as by ``pytheus run -m pytest``, warns of just that
  (`PytestAssertRewriteWarning`), and with warnings as errors does not start.
- Tests that name this module in ``pytest_plugins`` do not start, for it is registered already under another name.

A distribution of its own would have none of these, if the one line should ever be too much.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytheus.registry import CollectorRegistry

__all__ = ["pytheus_registry"]


@pytest.fixture
def pytheus_registry() -> Iterator[CollectorRegistry]:
    """A new registry that stands behind `pytheus.REGISTRY` for the time of the test.

    Metrics that the test makes go there and nowhere else. Those that were made before, such as a module's at its
    import, stay where they are and do not show in it; they count on, so compare what they counted before and after
    (`pytheus.testing.assert_increments`). Example: docs/how-to/test-a-registry.md.
    """
    from pytheus.registry import REGISTRY, CollectorRegistry  # loaded late: most tests have no use for it

    registry = CollectorRegistry()
    with REGISTRY.use(registry):
        yield registry
