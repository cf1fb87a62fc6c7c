"""A registry of its own for each document and each example."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from pytheus import REGISTRY
from pytheus.exceptions import PytheusWarning
from pytheus.registry import CollectorRegistry, Registry


@contextlib.contextmanager
def _own_registry() -> Iterator[None]:
    # By set_registry and not by use(), because an example that calls set_registry() itself sees no effect within use().
    former = REGISTRY.registry
    _replace(CollectorRegistry())
    try:
        yield
    finally:
        _replace(former)


def _replace(registry: Registry) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PytheusWarning)  # the collectors that stay behind are left on purpose
        REGISTRY.set_registry(registry, migrate=False)


@pytest.fixture(scope="session")
def own_registry() -> Callable[[], AbstractContextManager[None]]:
    """Call it for a context in which `REGISTRY` is a new registry; the former one is back afterwards."""
    return _own_registry
