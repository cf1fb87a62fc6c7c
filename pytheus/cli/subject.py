"""What ``pytheus check`` checks: a registry by its plugin's name, or an object, class or factory in a module.

Rules:

- A plugin makes its registry of the name or URL alone: what the settings put before a registry here, and the options
  that they give it, are no part of what is checked. An object is imported by name, from the working
  directory too, as ``python -m`` finds it; or from a file, as ``FILE.py:OBJECT``.
- The kit needs a new registry for each check. Where there is only one, an object, it is emptied instead.
- What a registry does differently on purpose is not guessed: its author's conformance class declares it. Only whether
  it takes a prefix is tried, for an option `prefix` means that everywhere.
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

from pytheus.cli.selection import select
from pytheus.exceptions import NotARegistryError, NotRegisteredError, OptionError, RegistryAddressError
from pytheus.plugins.address import parse_address
from pytheus.plugins.builtin import BUILTIN_REGISTRIES, make_builtin_registry
from pytheus.plugins.catalog import Claim, claims_of, only_claim
from pytheus.plugins.configuration import load_configuration
from pytheus.plugins.options import RegistryOptions
from pytheus.plugins.resolution import resolve_registry
from pytheus.registry.contract import Registry, check_registry
from pytheus.testing.conformance import RegistryConformance

__all__ = ["Subject", "object_at", "subject_of"]

_OBJECT: Final = re.compile(r"(?P<module>[^\W\d][\w.]*|.+\.py):(?P<attribute>[^\W\d][\w.]*)")


class Subject(NamedTuple):
    """`title` tells what is checked, and `conformance` how.

    `typed` is the expression of a registry's or its factory's type for mypy, with the module to import and the folder
    where mypy finds it, or None where the kit's own check of the plugin does that.
    """

    title: str
    conformance: type[RegistryConformance]
    typed: Typed | None


class Typed(NamedTuple):
    """That `expression`, with `module` imported from `folder`, is a registry."""

    module: str
    expression: str
    folder: str


def subject_of(text: str, declared: str | None) -> Subject:
    """What `text` names; `declared` names the conformance class of its author, if there is one.

    Raises `SelectionError` for a plugin that is not there, and `click.BadParameter` for an object that is not.
    """
    declarations = RegistryConformance if declared is None else _conformance_at(declared)
    if "://" not in text and (named := _OBJECT.fullmatch(text)) is not None:
        return _subject_at(text, named["module"], named["attribute"], declarations, declared=declared is not None)
    return _plugin(text, declarations, declared=declared is not None)


# Plugins ---------------------------------------------------------------------------------------------------------


def _plugin(text: str, declarations: type[RegistryConformance], *, declared: bool) -> Subject:
    address = parse_address(text)
    if address.name in BUILTIN_REGISTRIES:
        title = f"{address.name}: a registry of pytheus itself"
        if declared:
            return Subject(title, declarations, None)
        return Subject(title, _of_none(text) if address.name == "none" else _of_plugin(text, _made_here), None)
    if select(text, load_configuration()).problem:
        resolve_registry(text)  # raises, and tells best why
    claim = only_claim(claims_of(address.name, address.distribution), f"registry plugin {address.name!r}")
    conformance = declarations if declared else _of_plugin(text, lambda text: _made(claim, text))
    named = {
        "plugin_name": conformance.plugin_name or claim.name,
        "plugin_address": conformance.plugin_address or text,
    }
    return Subject(f"{claim.name}: {claim}", type(conformance.__name__, (conformance,), named), None)


def _made(claim: Claim, text: str) -> Registry:
    # Not by `resolve_registry`: the layers and plugins that are configured here are no part of this one.
    from pytheus.plugins.loading import Plugin  # loaded late: it imports pluggy, which an object does not need

    return Plugin(claim, f"registry plugin {claim.name!r}").make_registry(RegistryOptions(text))[0]


def _made_here(text: str) -> Registry:
    return make_builtin_registry(RegistryOptions(text))


def _of_plugin(text: str, make_of: Callable[[str], Registry]) -> type[RegistryConformance]:
    """As `make_of` makes it of an address: of `text`, and with prefixes where it takes an option of that name."""
    make = _emptied(lambda: make_of(text))

    class Checked(RegistryConformance):
        def make_registry(self) -> Registry:
            return make()

        def make_prefixed_registry(self, prefix: str | None) -> Registry:
            if prefix is None:
                return make()
            mark = "&" if "?" in text else "?" if "://" in text else "://?"
            try:
                return make_of(f"{text}{mark}prefix={prefix}")
            except (OptionError, RegistryAddressError) as error:
                raise SkipTest(f"it cannot be made with a prefix: {error}") from error

    return Checked


def _of_none(text: str) -> type[RegistryConformance]:
    class Checked(_of_plugin(text, _made_here)):  # type: ignore[misc]  # made at run time, for it depends on the text
        keeps_collectors = False
        refuses_unknown = False

    return Checked


# Objects ---------------------------------------------------------------------------------------------------------


def _subject_at(
    text: str, module: str, attribute: str, declarations: type[RegistryConformance], *, declared: bool
) -> Subject:
    candidate = object_at(text)
    is_one = _is_registry(candidate)
    kind = "a registry" if is_one else "a class" if isinstance(candidate, type) else "a factory"
    if not is_one and not callable(candidate):
        # It was meant to be one: the first check tells what is missing.
        is_one, kind = True, type(candidate).__qualname__
    expression = attribute if is_one else f"{attribute}()"
    folder = str(Path(module).absolute().parent) if module.endswith(".py") else os.getcwd()
    typed = Typed(Path(module).stem if module.endswith(".py") else module, expression, folder)
    if declared:
        return Subject(f"{text}: {kind}, by a conformance class of its own", declarations, typed)

    def make() -> Registry:
        # Whether it gives a registry is what the first check is about.
        made: Registry = candidate if is_one else candidate()  # type: ignore[assignment, operator]  # as said above
        return made

    return Subject(f"{text}: {kind}", _with_factory(declarations, _emptied(make)), typed)


def _is_registry(candidate: object) -> bool:
    try:
        check_registry(candidate)
    except NotARegistryError:
        return False
    return True


def object_at(text: str) -> object:
    """What ``MODULE:OBJECT`` or ``FILE.py:OBJECT`` names; raises `click.BadParameter` where there is nothing."""
    named = _OBJECT.fullmatch(text)
    if named is None:
        raise click.BadParameter(f"{text!r} is neither MODULE:OBJECT nor FILE.py:OBJECT")
    found = _module(named["module"])
    for name in named["attribute"].split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise click.BadParameter(f"{text!r} names nothing: {named['module']!r} has no {name!r}") from None
    return found


def _module(name: str) -> object:
    import importlib  # loaded late: a plugin is found without it

    is_file = name.endswith(".py")
    folder = str(Path(name).absolute().parent) if is_file else os.getcwd()
    if is_file and not Path(name).is_file():
        raise click.BadParameter(f"there is no file {name!r}")
    # As python does for a script and for -m; for child processes, which the kit starts, as well.
    if folder not in sys.path and not (sys.flags.safe_path and not is_file):
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(Path(name).stem if is_file else name)
    except Exception as error:
        raise click.BadParameter(f"{name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _conformance_at(text: str) -> type[RegistryConformance]:
    found = object_at(text)
    if not (isinstance(found, type) and issubclass(found, RegistryConformance)):
        raise click.BadParameter(f"{text!r} is no subclass of pytheus.testing.RegistryConformance")
    return found


# How registries are made -----------------------------------------------------------------------------------------


def _with_factory(declarations: type[RegistryConformance], make: Callable[[], Registry]) -> type[RegistryConformance]:
    return type("Checked", (declarations,), {"make_registry": lambda self: make()})


def _emptied(make: Callable[[], Registry]) -> Callable[[], Registry]:
    """`make`, with what it gives emptied where it gives the same registry again."""
    made: list[object] = []

    def make_empty() -> Registry:
        registry = make()
        if any(registry is one for one in made) and _is_registry(registry):
            for collector in list(registry.collect()):
                try:
                    registry.unregister(collector)
                except NotRegisteredError:
                    pass  # it gives objects of its own; a check will show that
        else:
            made.append(registry)
        return registry

    return make_empty
