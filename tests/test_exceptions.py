"""Every error class of the packages survives pickle, copy and deepcopy."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator

import pytest

from pytheus import exceptions
from pytheus.exceptions import PytheusError
from tests.test_error_copies import WAYS, assert_same

PACKAGES = ["pytheus", "pytheus_multiprocess", "pytheus_redis"]


def _module_names() -> Iterator[str]:
    for package in PACKAGES:
        try:
            found = importlib.import_module(package)
        except ModuleNotFoundError:
            continue  # a plugin that is not installed here
        yield package
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            # Neither a program nor a hook of PyInstaller, nor what only mypy imports, which may be missing.
            if "__" not in module.name and not module.name.startswith("pytheus.mypy_plugin"):
                yield module.name


def _error_classes() -> list[type[BaseException]]:
    classes: dict[type[BaseException], None] = {}
    for name in _module_names():
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == name:
                classes[value] = None
    return list(classes)


def _subclasses(of: type[BaseException]) -> Iterator[type[BaseException]]:
    for each in of.__subclasses__():
        yield each
        yield from _subclasses(each)


def _instance(of: type[BaseException]) -> BaseException:
    """An error of the class `of`, with an argument for each parameter of its constructor."""
    values: dict[str, object] = {
        "name": "shop",
        "status": 404,
        "reason": "full",
        "available": ("a", "b"),
        "maybe_applied": True,
    }
    positional: list[object] = []
    named: dict[str, object] = {}
    if not inspect.isfunction(of.__init__):
        return of("a text")
    for parameter in list(inspect.signature(of).parameters.values()):
        value = values.get(parameter.name, f"a {parameter.name}")
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = value
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional.append(value)
    return of(*(positional or ["a text"]), **named)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("of", _error_classes(), ids=lambda of: of.__qualname__)
def test_each_class_survives(of: type[BaseException], way: Callable[[BaseException], BaseException]) -> None:
    error = _instance(of)
    assert_same(way(error), error)


def test_no_class_was_left_out() -> None:
    found = set(_error_classes())
    ours = tuple(f"{package}." for package in PACKAGES)
    missing = {each for each in _subclasses(PytheusError) if each.__module__.startswith(ours)} - found
    assert not missing
    assert {getattr(exceptions, name) for name in exceptions.__all__} <= found
