"""The pytest plugin: fixtures for an application's tests, loaded by ``pytest_plugins = ["pytheus.testing.fixtures"]``.

It imports nothing that a test does not use. It is not an entry point of the group ``pytest11``, which was tried and
measured (CPython 3.11, pytest 9.2, an otherwise empty run, best of nine):

- Every run of pytest beside it imported pytheus, before coverage tools start: 295 ms instead of 204 ms. As a module
  outside of the package it cost nothing there, but in a run that imports pytheus 254 ms instead of 213 ms, and 347 ms
  where ``__pycache__`` cannot be written, because pytest rewrites the assertions of all modules of such a distribution.
- A run that imported pytheus before, such as ``pytheus run -m pytest``, warns of that import
  (`PytestAssertRewriteWarning`), and does not start if warnings are errors.
- Tests that name this module in ``pytest_plugins`` do not start, because it is already registered under another name.

A separate distribution would avoid all of these, should the one line ever be too much.
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
    """A new registry that `pytheus.REGISTRY` uses during the test.

    Metrics that the test makes go there and nowhere else. Those that were made before, such as a module's at its
    import, stay where they are and do not show in it; they keep counting, so compare their values before and after
    (`pytheus.testing.assert_increments`). Example: docs/how-to/test-an-application.md.

    A label value that is neither a str nor an int raises during the test, as with ``PYTHEUS_STRICT=1``.
    """
    from pytheus.registry import REGISTRY, CollectorRegistry
    from pytheus.settings import set_strict

    registry = CollectorRegistry()
    previous = set_strict(True)
    try:
        with REGISTRY.use(registry):
            yield registry
    finally:
        set_strict(previous)
