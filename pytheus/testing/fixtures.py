"""The pytest plugin: fixtures for an application's tests.

Every run of pytest where pytheus is installed imports this module, so it imports nothing that a test does not ask for.
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
