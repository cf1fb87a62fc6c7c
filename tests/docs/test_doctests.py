"""Every example in a docstring of the package gives what it says, in a registry of its own."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

import pytheus


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [module.name for module in pkgutil.walk_packages(pytheus.__path__, "pytheus.")]
    # Commands run when they are imported, and mypy's plugin needs mypy; neither has examples.
    skipped = re.compile(r".*\.__main__|pytheus\.mypy_plugin(\..*)?")
    for name in ["pytheus", *(name for name in names if skipped.fullmatch(name) is None)]:
        module = importlib.import_module(name)
        yield from (found for found in finder.find(module, name) if found.examples)


@pytest.mark.parametrize("example", [pytest.param(example, id=example.name) for example in examples()])
def test_the_example_gives_what_it_says(
    example: doctest.DocTest, own_registry: Callable[[], AbstractContextManager[None]]
) -> None:
    report: list[str] = []
    with own_registry():
        doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert not report, "".join(report)
