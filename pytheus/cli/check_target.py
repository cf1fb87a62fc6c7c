"""The target of ``pytheus check``: a registry by its plugin's name, or an object, class or factory in a module.

Rules:

- A plugin creates its registry from the name or URL alone: layers and options in the settings are not checked. An
  object is imported by name, as ``python -m`` finds it, the working directory included; or from a file, as
  ``FILE.py:OBJECT``.
- The kit needs a new registry for each check. If there is only one object, it is emptied instead.
- Intended deviations of a registry are not guessed: its author's conformance class declares them. Only an option
  `prefix` is tried, because that name has the same meaning everywhere.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from unittest import SkipTest

import click

from pytheus.exceptions import NotARegistryError, NotRegisteredError, OptionError, RegistryAddressError
from pytheus.plugins.options import RegistryOptions
from pytheus.plugins.plan import plan
from pytheus.plugins.resolve import make_builtin_registry
from pytheus.registry.contract import Registry, check_registry
from pytheus.testing.conformance import RegistryConformance

__all__ = ["Target", "Typed", "module_at", "object_at", "target_of"]

_OBJECT: Final = re.compile(r"(?P<module>[^\W\d][\w.]*|.+\.py):(?P<attribute>[^\W\d][\w.]*)")


class Target(NamedTuple):
    """A registry to check: its `title` and the conformance class.

    `typed` is the expression of the registry for mypy, with the module to import and the folder where mypy finds it. It
    is None if the kit's own check of the plugin checks the types.
    """

    title: str
    conformance: type[RegistryConformance]
    typed: Typed | None


class Typed(NamedTuple):
    """The claim that `expression`, with `module` imported from `folder`, is a registry."""

    module: str
    expression: str
    folder: str


def target_of(text: str, declared: str | None) -> Target:
    """The target that `text` names; `declared` names the conformance class of its author, if there is one.

    Raises `SelectionError` for a plugin and `click.BadParameter` for an object that is not available.
    """
    conformance = None if declared is None else _conformance_at(declared)
    if "://" not in text and (named := _OBJECT.fullmatch(text)) is not None:
        return _target_at(text, named["module"], named["attribute"], conformance)
    return _plugin(text, conformance)


# Plugins ---------------------------------------------------------------------------------------------------------


def _plugin(text: str, declared: type[RegistryConformance] | None) -> Target:
    planned = plan(text)
    if planned.problem is not None:
        raise planned.problem
    claim = planned.claim

    def make(text: str) -> Registry:
        options = RegistryOptions(text)
        if claim is None:
            return make_builtin_registry(options)
        # Not by `resolve_registry`, which would add configured layers and plugins.
        from pytheus.plugins.loader import Plugin

        return Plugin(claim, f"registry plugin {claim.name!r}").make_registry(options)[0]

    conformance = _of_plugin(text, make) if declared is None else declared
    if claim is None:
        name = planned.address.name
        if name == "none" and declared is None:
            conformance = type("Checked", (conformance,), {"keeps_collectors": False, "refuses_unknown": False})
        return Target(f"{name}: a registry of pytheus itself", conformance, None)
    named = {
        "plugin_name": conformance.plugin_name or claim.name,
        "plugin_address": conformance.plugin_address or text,
    }
    return Target(f"{claim.name}: {claim}", type(conformance.__name__, (conformance,), named), None)


def _of_plugin(text: str, make_of: Callable[[str], Registry]) -> type[RegistryConformance]:
    """Checks of the registry that `make_of` creates from `text`, with prefixes if it has an option of that name."""
    made: list[object] = []
    make = _emptied(lambda: make_of(text), made)

    class Checked(RegistryConformance):
        def make_registry(self) -> Registry:
            return make()

        def make_prefixed_registry(self, prefix: str | None) -> Registry:
            if prefix is None:
                count = len(made)
                registry = make()
                if len(made) == count:
                    raise SkipTest("its plugin gives one registry, whose prefix cannot be chosen")
                return registry
            mark = "&" if "?" in text else "?" if "://" in text else "://?"
            try:
                return make_of(f"{text}{mark}prefix={prefix}")
            except (OptionError, RegistryAddressError) as error:
                raise SkipTest(f"it cannot be created with a prefix: {error}") from error

    return Checked


# Objects ---------------------------------------------------------------------------------------------------------


def _target_at(text: str, module: str, attribute: str, declared: type[RegistryConformance] | None) -> Target:
    candidate = object_at(text)
    is_one = _is_registry(candidate)
    kind = "a registry" if is_one else "a class" if isinstance(candidate, type) else "a factory"
    if not is_one and not callable(candidate):
        # It was meant to be a registry: the first check says which members are missing.
        is_one, kind = True, type(candidate).__qualname__
    expression = attribute if is_one else f"{attribute}()"
    folder = str(Path(module).absolute().parent) if module.endswith(".py") else os.getcwd()
    typed = Typed(Path(module).stem if module.endswith(".py") else module, expression, folder)
    if declared is not None:
        return Target(f"{text}: {kind}, by a conformance class of its own", declared, typed)

    def make() -> Registry:
        # The first check finds out whether it is a registry.
        made: Registry = candidate if is_one else candidate()  # type: ignore[assignment, operator]  # as said above
        return made

    make_empty = _emptied(make, [])
    checked = type("Checked", (RegistryConformance,), {"make_registry": lambda self: make_empty()})
    return Target(f"{text}: {kind}", checked, typed)


def _is_registry(candidate: object) -> bool:
    try:
        check_registry(candidate)
    except NotARegistryError:
        return False
    return True


def object_at(text: str) -> object:
    """The object of ``MODULE:OBJECT`` or ``FILE.py:OBJECT``; raises `click.BadParameter` if it does not exist."""
    named = _OBJECT.fullmatch(text)
    if named is None:
        raise click.BadParameter(f"{text!r} is neither MODULE:OBJECT nor FILE.py:OBJECT")
    found = module_at(named["module"])
    for name in named["attribute"].split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise click.BadParameter(f"{text!r} does not exist: {named['module']!r} has no {name!r}") from None
    return found


def module_at(name: str) -> object:
    """The module of that name, or of a file ``FILE.py``; raises `click.BadParameter` if it cannot be imported."""
    import importlib

    is_file = name.endswith(".py")
    folder = str(Path(name).absolute().parent) if is_file else os.getcwd()
    if is_file and not Path(name).is_file():
        raise click.BadParameter(f"there is no file {name!r}")
    # As python does for a script and for -m; also for child processes, which the kit starts.
    if folder not in sys.path and not (sys.flags.safe_path and not is_file):
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(Path(name).stem if is_file else name)
    except Exception as error:
        raise click.BadParameter(f"{name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _conformance_at(text: str) -> type[RegistryConformance]:
    found = object_at(text)
    if not (isinstance(found, type) and issubclass(found, RegistryConformance)):
        raise click.BadParameter(f"{text!r} is not a subclass of pytheus.testing.RegistryConformance")
    return found


def _emptied(make: Callable[[], Registry], made: list[object]) -> Callable[[], Registry]:
    """`make`, which empties the registry if it returns the same one again; `made` gets each one once."""

    def make_empty() -> Registry:
        registry = make()
        if any(registry is one for one in made) and _is_registry(registry):
            for collector in list(registry.collect()):
                try:
                    registry.unregister(collector)
                except NotRegisteredError:
                    pass  # its `collect` returns other objects; a check reports that
        else:
            made.append(registry)
        return registry

    return make_empty
