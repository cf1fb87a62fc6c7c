"""A registry of each library with the seam between them, and the lines that they show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import prometheus_client
import pytest

from pytheus import generate_metrics
from pytheus.registry import CollectorRegistry, Registry
from pytheus_prometheus_client import install, uninstall


@pytest.fixture
def ours() -> Iterator[CollectorRegistry]:
    """A registry of pytheus in which the seam is installed."""
    registry = CollectorRegistry()
    install(registry)
    yield registry
    uninstall()


@pytest.fixture
def theirs() -> prometheus_client.CollectorRegistry:
    """A registry of prometheus_client."""
    return prometheus_client.CollectorRegistry()


@pytest.fixture
def lines() -> Callable[[str | bytes], list[str]]:
    """A function that returns the lines of a text, the labels in each in the order of their names."""
    return _lines


@pytest.fixture
def shown() -> Callable[[Registry, str], list[str]]:
    """A function that returns the lines that a registry of pytheus shows of the names with a beginning."""

    def shown(registry: Registry, name: str) -> list[str]:
        return [line for line in _lines(generate_metrics(registry)) if line.startswith(name)]

    return shown


def _lines(text: str | bytes) -> list[str]:
    text = text if isinstance(text, str) else text.decode()
    found = [line for line in text.splitlines() if not line.startswith("#") and "_created" not in line]
    return [
        re.sub(r"{(.*)}", lambda labels: "{" + ",".join(sorted(labels[1].split(","))) + "}", line) for line in found
    ]
