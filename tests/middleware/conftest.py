"""A registry for each test of the middleware."""

from __future__ import annotations

import pytest

from pytheus.registry import CollectorRegistry


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()
