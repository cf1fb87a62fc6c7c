"""From an entry point to a plugin that can be asked: import it, and check what it says it implements.

Rules:

- Nothing but that entry point's object is imported, and its hooks are called through a pluggy manager that knows this
  one plugin and no other, so that a broken neighbour can neither fail nor answer for it.
- Everything that can be checked is checked here, before anything is asked of it: the plugin API, names and parameters
  of hooks, forgotten marks.
- Whatever the plugin's code raises, an ImportError of its own included, is reported as this plugin's failure, with the
  original chained. A SystemExit is one, too: a plugin does not end the program without a word. KeyboardInterrupt and
  the like are not its own and pass through.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn

import pluggy

from pytheus.exceptions import IncompatiblePluginError, OptionError, PluginLoadError
from pytheus.exposition.formats import ExpositionFormat
from pytheus.plugins import hooks
from pytheus.plugins.closest import closest
from pytheus.plugins.options import RegistryOptions
from pytheus.registry.capabilities import Closable
from pytheus.registry.contract import check_registry

if TYPE_CHECKING:
    from pytheus.plugins.catalog import Claim
    from pytheus.registry.contract import Registry

__all__ = ["MAKE", "WRAP", "HOOKS", "Plugin", "implemented_hooks"]

HOOKS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(inspect.signature(getattr(hooks, name)).parameters) for name in sorted(hooks.__all__) if name[0] == "p"
}
"""Every hook that there is, with the names of its parameters."""

MAKE: Final = hooks.pytheus_make_registry.__name__
WRAP: Final = hooks.pytheus_wrap_registry.__name__
_FORMATS: Final = hooks.pytheus_exposition_formats.__name__


def implemented_hooks(plugin: object) -> tuple[str, ...]:
    """The hooks of this pytheus that `plugin`, the imported object of an entry point, implements, sorted by name.

        >>> import types
        >>> from pytheus.plugins import hookimpl
        >>> @hookimpl
        ... def pytheus_collect_error(collector, error): ...
        >>> implemented_hooks(types.SimpleNamespace(pytheus_collect_error=pytheus_collect_error))
        ('pytheus_collect_error',)

    Reads the marks and checks nothing; executes no property. A plugin that is itself a registry implements none.
    """
    return tuple(sorted({name for name, _ in _marked(plugin)} & HOOKS.keys()))


def _marked(plugin: object) -> list[tuple[str, bool]]:
    """The hooks that `plugin` says it implements, whether they exist or not, and whether they need not."""
    marks = {name: _mark(inspect.getattr_static(plugin, name, None)) for name in dir(plugin)}
    return [
        (str(mark.get("specname") or name), bool(mark.get("optionalhook")))
        for name, mark in marks.items()
        if mark is not None
    ]


def _mark(candidate: object) -> dict[str, object] | None:
    if isinstance(candidate, (staticmethod, classmethod)):
        candidate = candidate.__func__
    mark = getattr(candidate, "pytheus_impl", None) if inspect.isroutine(candidate) else None
    return mark if isinstance(mark, dict) else None


class Plugin:
    """The plugin behind `claim`, imported and checked; `subject` is what messages call it and who asked for it.

    Raises `PluginLoadError` or `IncompatiblePluginError`. Its methods may be called from any thread.
    """

    __slots__ = ("_manager", "_object", "claim", "implements", "subject")

    def __init__(self, claim: Claim, subject: str) -> None:
        self.claim: Final = claim
        self.subject: Final = subject
        try:
            self._object: Final[object] = claim.entry_point.load()
        except (Exception, SystemExit) as error:
            raise self._failure("could not be imported", error) from error
        self._check_api_version()
        marked = _marked(self._object)
        self._check_names(marked)
        self.implements: Final = tuple(sorted({name for name, _ in marked} & HOOKS.keys()))
        """The names of the hooks that it implements."""
        self._manager: Final = self._registered() if self.implements else None

    # Checks ---------------------------------------------------------------------------------------------------------

    def _check_api_version(self) -> None:
        try:
            version: object = getattr(self._object, "pytheus_plugin_api", 1)
        except Exception as error:
            raise PluginLoadError(
                f"{self.subject} could not be loaded: {self.claim} raised {type(error).__name__} when asked for its"
                " pytheus_plugin_api",
                name=self.claim.name,
            ) from error
        spoken = ", ".join(map(str, sorted(hooks.PLUGIN_API_VERSIONS)))
        if type(version) is not int or version not in hooks.PLUGIN_API_VERSIONS:
            remedy = "install a version of it that does, or of pytheus" if type(version) is int else "it must be an int"
            raise IncompatiblePluginError(
                f"{self.subject} cannot be used: {self.claim} has pytheus_plugin_api = {version!r:.40}, and this"
                f" pytheus speaks plugin API {spoken}; {remedy}",
                name=self.claim.name,
            )

    def _check_names(self, marked: list[tuple[str, bool]]) -> None:
        for name, optional in marked:
            if name not in HOOKS and not optional:
                meant = closest(name, HOOKS)
                remedy = f"there are: {', '.join(HOOKS)}." if meant is None else f"did you mean {meant!r}?"
                self._refuse(
                    f"implements the hook {name!r}, which this pytheus does not have; {remedy} If another version has"
                    " it, mark it with @hookimpl(optionalhook=True)"
                )
        names = {name for name, _ in marked}
        for name in HOOKS:
            if name not in names and inspect.isroutine(inspect.getattr_static(self._object, name, None)):
                self._refuse(
                    f"has {name}, which is not marked as an implementation of the hook; put @hookimpl (from"
                    " pytheus.plugins) above the function"
                )

    def _registered(self) -> pluggy.PluginManager:
        manager = pluggy.PluginManager("pytheus")
        manager.add_hookspecs(hooks)
        try:
            manager.register(self._object, name=self.claim.name)
            for name in self.implements:
                caller: pluggy.HookCaller = getattr(manager.hook, name)
                for implementation in caller.get_hookimpls():
                    self._check_parameters(name, implementation.function)
        except pluggy.PluginValidationError as error:
            self._check_all_parameters()
            self._refuse(f"does not implement a hook as it is specified: {' '.join(str(error).split())}", error)
        except (Exception, SystemExit) as error:
            if isinstance(error, PluginLoadError):
                raise
            raise self._failure("could not be loaded", error) from error
        return manager

    def _check_all_parameters(self) -> None:
        """Raise for the first parameter that is wrong, in this module's words rather than pluggy's."""
        for attribute in dir(self._object):
            mark = _mark(inspect.getattr_static(self._object, attribute, None))
            if mark is not None:
                name = str(mark.get("specname") or attribute)
                if name in HOOKS:
                    self._check_parameters(name, getattr(self._object, attribute))

    def _check_parameters(self, hook: str, function: object) -> None:
        if not callable(function):
            return
        there_are = HOOKS[hook]
        asked = f"def {hook}({', '.join(there_are)})"
        # pluggy hands in by name what has no default, and silently leaves out the rest.
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name in ("self", "cls"):
                self._refuse(
                    f"is a class, whose method {hook} needs an instance; name an instance, or make it a staticmethod"
                )
            by_name = parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty
            if not by_name:
                self._refuse(
                    f"implements {hook} with the parameter '{parameter}', which would never be handed in; write {asked}"
                )
            if parameter.name not in there_are:
                meant = closest(parameter.name, there_are)
                hint = ";" if meant is None else f"; did you mean {meant!r}?"
                takes = ", ".join(map(repr, there_are)) or "none"
                self._refuse(
                    f"implements {hook} with the parameter {parameter.name!r}, and this hook has the parameters:"
                    f" {takes}{hint} write {asked}, or leave out what is not needed"
                )

    def _refuse(self, problem: str, error: Exception | None = None) -> NoReturn:
        raise PluginLoadError(
            f"{self.subject} could not be loaded: {self.claim} {problem}", name=self.claim.name
        ) from error

    def _failure(self, what: str, error: BaseException, options: object = None) -> PluginLoadError:
        try:
            text = str(error)
        except Exception:
            text = ""  # the original is chained all the same
        words = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if isinstance(options, RegistryOptions):
            words = options.scrub(words)
        shown = words if len(words) <= 500 else words[:497] + "..."
        return PluginLoadError(f"{self.subject} {what}: {self.claim} raised {shown}", name=self.claim.name)

    # Asking ---------------------------------------------------------------------------------------------------------

    def make_registry(self, options: RegistryOptions) -> tuple[Registry, bool]:
        """The registry that it makes of `options`, checked, and whether it was made for this call alone.

        Raises `PluginLoadError`, `OptionError` or `NotARegistryError`.
        """
        source = f"{self.subject}, {self.claim},"
        if MAKE not in self.implements:
            self._refuse_other_factory()
            registry = check_registry(self._object, source)
            options.refuse_untaken()
            return registry, False
        registry = check_registry(self._asked("could not be made", MAKE, options=options), source)
        try:
            options.refuse_untaken()
        except OptionError:
            if isinstance(registry, Closable):
                registry.close()  # it was made for this call, and nobody will get it
            raise
        return registry, True

    def _refuse_other_factory(self) -> None:
        """Raise for what was meant as a factory and is not one; an object that may be a registry passes."""
        claim = self.claim
        if _mark(self._object) is not None:
            advice = f"it names a function; name the module, '{claim.name} = {claim.value.partition(':')[0].strip()}'"
        elif self.implements and inspect.getattr_static(self._object, "register", None) is None:
            advice = f"it implements {', '.join(self.implements)}, and to make a registry it needs {MAKE}(options)"
        elif isinstance(self._object, types.ModuleType):
            advice = (
                f"the module has no function {MAKE}(options) marked with @hookimpl (from pytheus.plugins);"
                " add it, or let the entry point name an object: MODULE:ATTRIBUTE"
            )
        else:
            return
        self._refuse(f"leads to no registry: {advice}")

    def wrap_registry(self, registry: Registry, options: RegistryOptions) -> Registry:
        """What it puts in `registry`'s place, checked; most often `registry` itself. Raises as `make_registry` does."""
        if WRAP in self.implements:
            given = self._asked("could not wrap the registry", WRAP, registry=registry, options=options)
            if given is not None:
                registry = check_registry(given, f"{self.subject}, {self.claim}, asked for {WRAP},")
        options.refuse_untaken()
        return registry

    def exposition_formats(self) -> tuple[ExpositionFormat, ...]:
        """The formats that it brings, checked. Raises `PluginLoadError`."""
        formats: list[ExpositionFormat] = []
        if _FORMATS in self.implements:
            given = self._asked("could not tell its formats", _FORMATS)
            # One list for each function that implements the hook.
            for offered in given if isinstance(given, list) else ():
                try:
                    candidates = list(offered)
                except Exception as error:
                    raise self._failure("could not tell its formats", error) from error
                formats += [self._checked_format(candidate) for candidate in candidates]
        return tuple(formats)

    def _checked_format(self, candidate: object) -> ExpositionFormat:
        from pytheus.exposition.negotiation import parse_media_type  # loaded late: few plugins bring a format

        try:
            if isinstance(candidate, ExpositionFormat) and not isinstance(candidate, type):
                media_type: object = candidate.media_type
                if isinstance(media_type, str) and parse_media_type(media_type) and callable(candidate.render):
                    return candidate
        except Exception as error:
            raise self._failure("could not tell its formats", error) from error
        raise PluginLoadError(
            f"{self.subject} could not tell its formats: {self.claim} gave {candidate!r:.80}, which is no"
            " ExpositionFormat: an object (not a class) with a media_type such as 'text/x-mine; version=1' and a method"
            " render(registry) that gives the parts",
            name=self.claim.name,
        )

    def _asked(self, failed: str, hook: str, /, **arguments: object) -> object:
        try:
            return self.call(hook, **arguments)
        except OptionError:
            raise
        except (Exception, SystemExit) as error:
            raise self._failure(failed, error, arguments.get("options")) from error

    def call(self, hook: str, /, **arguments: object) -> object:
        """What the implementation of `hook`, one of `implements`, gives, or raises."""
        if self._manager is None:
            return None
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        answer: object = caller(**arguments)
        return answer

    def __repr__(self) -> str:
        return f"<Plugin {self.claim}>"
