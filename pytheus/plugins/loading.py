"""From an entry point to a registry: import the one plugin that was named, and ask it.

Rules:

- Nothing but that entry point's object is imported, and the hook is called through a pluggy manager that knows this one
  plugin and no other, so that a broken neighbour can neither fail nor answer for it.
- Whatever the plugin's code raises, an ImportError of its own included, is reported as this plugin's failure, with the
  original chained. A SystemExit is one, too: a plugin does not end the program without a word. KeyboardInterrupt and
  the like are not its own and pass through.
"""

from __future__ import annotations

import inspect
import types
from typing import TYPE_CHECKING

import pluggy

from pytheus.exceptions import IncompatiblePluginError, OptionError, PluginError, PluginLoadError
from pytheus.plugins import hooks
from pytheus.registry.contract import check_registry
from pytheus.registry.protocols import Closable

if TYPE_CHECKING:
    from pytheus.plugins.catalog import Claim
    from pytheus.plugins.options import RegistryOptions
    from pytheus.registry.protocols import Registry

__all__ = ["make_registry"]

_HOOK = hooks.pytheus_make_registry.__name__


def make_registry(claim: Claim, options: RegistryOptions) -> Registry:
    """The registry that the plugin behind `claim` makes of `options`, checked.

    Raises `PluginLoadError`, `IncompatiblePluginError`, `OptionError` or `NotARegistryError`.
    """
    subject = f"registry plugin {claim.name!r} ({options.source})"
    try:
        plugin: object = claim.entry_point.load()
    except (Exception, SystemExit) as error:
        raise _failure(f"{subject} could not be imported", claim, error, options) from error
    _check_api_version(plugin, subject, claim)
    implemented = _implemented_hooks(plugin)
    if _HOOK not in implemented and inspect.getattr_static(plugin, _HOOK, None) is None:
        _refuse_other_factory(plugin, implemented, subject, claim)
        registry = check_registry(plugin, f"{subject}, {claim},")
        options.refuse_untaken()
        return registry
    registry = check_registry(_asked(plugin, subject, claim, options), f"{subject}, {claim},")
    try:
        options.refuse_untaken()
    except OptionError:
        if isinstance(registry, Closable):
            registry.close()  # it was made for this call, and nobody will get it
        raise
    return registry


def _check_api_version(plugin: object, subject: str, claim: Claim) -> None:
    try:
        version: object = getattr(plugin, "pytheus_plugin_api", 1)
    except Exception as error:
        raise PluginLoadError(
            f"{subject} could not be loaded: {claim} raised {type(error).__name__} when asked for its"
            " pytheus_plugin_api",
            name=claim.name,
        ) from error
    spoken = ", ".join(map(str, sorted(hooks.PLUGIN_API_VERSIONS)))
    if type(version) is not int or version not in hooks.PLUGIN_API_VERSIONS:
        remedy = "install a version of it that does, or of pytheus" if type(version) is int else "it must be an int"
        raise IncompatiblePluginError(
            f"{subject} cannot be used: {claim} has pytheus_plugin_api = {version!r:.40}, and this pytheus speaks"
            f" plugin API {spoken}; {remedy}",
            name=claim.name,
        )


def _implemented_hooks(plugin: object) -> list[str]:
    """The names of the hooks that `plugin` says it implements, whether they exist or not; executes no property."""
    marks = {name: _mark(inspect.getattr_static(plugin, name, None)) for name in dir(plugin)}
    return [str(mark.get("specname") or name) for name, mark in marks.items() if mark is not None]


def _mark(candidate: object) -> dict[str, object] | None:
    if isinstance(candidate, (staticmethod, classmethod)):
        candidate = candidate.__func__
    mark = getattr(candidate, "pytheus_impl", None) if inspect.isroutine(candidate) else None
    return mark if isinstance(mark, dict) else None


def _refuse_other_factory(plugin: object, implemented: list[str], subject: str, claim: Claim) -> None:
    """Raise for what was meant as a factory and is not one; an object that may be a registry passes."""
    if _mark(plugin) is not None:
        advice = f"it names a function; name the module, '{claim.name} = {claim.value.partition(':')[0].strip()}'"
    elif implemented:
        advice = f"it implements {', '.join(implemented)}; the hook is called {_HOOK}(options)"
    elif isinstance(plugin, types.ModuleType):
        advice = (
            f"the module has no function {_HOOK}(options) marked with @hookimpl (from pytheus.plugins);"
            " add it, or let the entry point name an object: MODULE:ATTRIBUTE"
        )
    else:
        return
    raise PluginLoadError(f"{subject} could not be loaded: {claim} leads to no registry: {advice}", name=claim.name)


def _asked(plugin: object, subject: str, claim: Claim, options: RegistryOptions) -> object:
    manager = pluggy.PluginManager("pytheus")
    manager.add_hookspecs(hooks)
    try:
        manager.register(plugin, name=claim.name)
    except pluggy.PluginValidationError as error:
        raise PluginLoadError(
            f"{subject} could not be loaded: {claim} does not implement the hook {_HOOK}(options) as it is specified:"
            f" {' '.join(str(error).split())}; name its parameter 'options', or leave it out",
            name=claim.name,
        ) from error
    except Exception as error:
        raise _failure(f"{subject} could not be loaded", claim, error, options) from error
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginLoadError(
            f"{subject} could not be loaded: {claim} implements a hook that this pytheus does not have: {error};"
            " correct its name, or mark it with @hookimpl(optionalhook=True) if another version has it",
            name=claim.name,
        ) from error
    implementations = manager.hook.pytheus_make_registry.get_hookimpls()
    if not implementations:
        raise PluginLoadError(
            f"{subject} could not be loaded: {claim} has {_HOOK}, which is not marked as an implementation of the hook;"
            " put @hookimpl (from pytheus.plugins) above the function",
            name=claim.name,
        )
    for implementation in implementations:
        _check_parameters(implementation, subject, claim)
    try:
        made: object = manager.hook.pytheus_make_registry(options=options)
    except OptionError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(f"{subject} could not be made", claim, error, options) from error
    return made


def _check_parameters(implementation: pluggy.HookImpl, subject: str, claim: Claim) -> None:
    # pluggy hands in by name what has no default, and silently leaves out the rest.
    for parameter in inspect.signature(implementation.function).parameters.values():
        if parameter.name in ("self", "cls"):
            raise PluginLoadError(
                f"{subject} could not be loaded: {claim} is a class, whose method {_HOOK} needs an instance; name an"
                " instance, or make it a staticmethod",
                name=claim.name,
            )
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or parameter.default is not parameter.empty:
            raise PluginLoadError(
                f"{subject} could not be loaded: {claim} implements {_HOOK} with the parameter '{parameter}', which"
                f" would never be handed in; write def {_HOOK}(options)",
                name=claim.name,
            )


def _failure(summary: str, claim: Claim, error: BaseException, options: RegistryOptions) -> PluginError:
    try:
        text = str(error)
    except Exception:
        text = ""  # the original is chained all the same
    words = options.scrub(f"{type(error).__name__}: {text}" if text else type(error).__name__)
    shown = words if len(words) <= 500 else words[:497] + "..."
    return PluginLoadError(f"{summary}: {claim} raised {shown}", name=claim.name)
