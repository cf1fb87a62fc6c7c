"""The pytest plugin's fixture: a registry of its own for each test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytheus import REGISTRY, Counter, Gauge, generate_metrics
from pytheus.registry import CollectorRegistry

# By name: pytest allows pytest_plugins only in a conftest.py at the root.
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


def test_it_is_loaded_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["pytheus.testing.fixtures"]\n', "utf-8")
    (tmp_path / "test_it.py").write_text(
        "def test_it(pytheus_registry):\n    assert len(pytheus_registry) == 0\n", "utf-8"
    )
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_pytest_starts_under_pytheus_run_with_warnings_as_errors(tmp_path: Path) -> None:
    # It would not, were the distribution a plugin of pytest's.
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n", "utf-8")
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)]
    command = [sys.executable, "-P", "-m", "pytheus", "run", "--quiet", "--port", "0", *pytest]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
