"""The examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import pytheus_redis

MODULES = [
    "pytheus_redis",
    *(f"pytheus_redis.{module.name}" for module in pkgutil.iter_modules(pytheus_redis.__path__)),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
