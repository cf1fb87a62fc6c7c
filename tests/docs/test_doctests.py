"""Every example in a docstring of the package gives what it says, in a registry of its own."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import warnings
from collections.abc import Iterator

import pytest

import pytheus
from pytheus import REGISTRY
from pytheus.exceptions import PytheusWarning
from pytheus.registry import CollectorRegistry


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [module.name for module in pkgutil.walk_packages(pytheus.__path__, "pytheus.")]
    # Commands run when they are imported, and mypy's plugin needs mypy; neither has examples.
    skipped = re.compile(r".*\.__main__|pytheus\.mypy_plugin(\..*)?")
    for name in ["pytheus", *(name for name in names if skipped.fullmatch(name) is None)]:
        module = importlib.import_module(name)
        yield from (found for found in finder.find(module, name) if found.examples)


@pytest.fixture
def own_registry() -> Iterator[None]:
    """A new registry behind `REGISTRY`, and afterwards the one that was there, with all that it held."""
    former = REGISTRY.registry
    # What the former one holds is left behind on purpose, and what the example makes, too.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PytheusWarning)
        REGISTRY.set_registry(CollectorRegistry(), migrate=False)
        yield
        REGISTRY.set_registry(former, migrate=False)


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("example", [pytest.param(example, id=example.name) for example in examples()])
def test_the_example_gives_what_it_says(example: doctest.DocTest) -> None:
    report: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert not report, "".join(report)
