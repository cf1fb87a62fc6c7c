"""A registry of its own for each test."""

from __future__ import annotations

import pytest

from pytheus.registry import CollectorRegistry


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry without prefix."""
    return CollectorRegistry()
