"""The pytest plugin's fixture: a registry of its own for each test."""

from __future__ import annotations

import subprocess
import sys

from pytheus import REGISTRY, Counter, Gauge, generate_metrics
from pytheus.registry import CollectorRegistry

# By name, so that the tests need no entry point; where it is installed, this one goes first.
from pytheus.testing.fixtures import pytheus_registry as pytheus_registry


def test_metrics_go_to_it_and_nowhere_else(pytheus_registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.")
    assert list(pytheus_registry.collect()) == [hits]
    assert REGISTRY.registry is pytheus_registry
    assert generate_metrics().endswith("\nhits_total 0.0\n")


def test_another_test_may_use_the_name_for_something_else(pytheus_registry: CollectorRegistry) -> None:
    assert len(pytheus_registry) == 0
    Gauge("hits_total", "Not hits.")


def test_it_is_gone_after_the_test() -> None:
    assert "hits_total" not in REGISTRY


def test_the_plugin_imports_no_more_than_pytheus_itself() -> None:
    program = (
        "import pytest, sys, pytheus\n"
        "before = set(sys.modules)\n"
        "import pytheus.testing.fixtures\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "['pytheus.testing', 'pytheus.testing.fixtures']\n", done.stderr
