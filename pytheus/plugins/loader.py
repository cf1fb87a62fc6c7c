"""Import the plugin of an entry point, check the hooks that it implements, and call them.

Rules:

- Only that entry point's object is imported, and its hooks are called through a pluggy manager that has this plugin
  alone, so that another, broken plugin can neither fail nor answer for it.
- Everything that can be checked is checked here, before a hook is called: the plugin API, names and parameters of
  hooks, forgotten marks.
- Every exception of the plugin's code, its own ImportError included, is reported as this plugin's failure, with the
  original chained. So is a SystemExit: a plugin cannot end the program silently. KeyboardInterrupt and the like do not
  come from the plugin and pass through.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import pluggy

from pytheus.exceptions import IncompatiblePluginError, OptionError, PluginLoadError
from pytheus.exposition.formats import AnyFormat, ExpositionFormat
from pytheus.plugins import hooks
from pytheus.plugins.address import suggestion
from pytheus.plugins.options import RegistryOptions
from pytheus.registry.capabilities import Closable
from pytheus.registry.contract import check_registry

if TYPE_CHECKING:
    from pytheus.plugins.catalog import Claim
    from pytheus.registry.contract import Registry

__all__ = ["HOOKS", "MAKE", "Plugin", "implemented_hooks"]

HOOKS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(inspect.signature(specification).parameters)
    for name, specification in sorted(hooks.SPECIFICATIONS.items())
}
"""The parameter names of every hook, by its name."""

MAKE: Final = hooks.pytheus_make_registry.__name__
_SHARE: Final = hooks.pytheus_shared_path.__name__
_WRAP: Final = hooks.pytheus_wrap_registry.__name__
_FORMATS: Final = hooks.pytheus_exposition_formats.__name__

_NOT_SHARED: Final = "could not be shared by several processes"
_MAX_ERROR_CHARACTERS: Final = 500


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
    return tuple(sorted({hook for _, hook, _ in _marks(plugin)} & HOOKS.keys()))


def _marks(plugin: object) -> Iterator[tuple[str, str, dict[str, object]]]:
    """The name of each marked attribute of `plugin`, the hook that it implements, and the mark."""
    for attribute in dir(plugin):
        mark = _mark(inspect.getattr_static(plugin, attribute, None))
        if mark is not None:
            yield attribute, str(mark.get("specname") or attribute), mark


def _mark(candidate: object) -> dict[str, object] | None:
    if isinstance(candidate, (staticmethod, classmethod)):
        candidate = candidate.__func__
    mark = getattr(candidate, "pytheus_impl", None) if inspect.isroutine(candidate) else None
    return mark if isinstance(mark, dict) else None


class Plugin:
    """The plugin of `claim`, imported and checked; in messages, `subject` is its name and the setting that names it.

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
        self._check_names()
        self.implements: Final = implemented_hooks(self._object)
        """The names of the hooks that it implements."""
        self._manager: Final = self._registered() if self.implements else None

    # Checks ---------------------------------------------------------------------------------------------------------

    def _check_api_version(self) -> None:
        try:
            version: object = getattr(self._object, "pytheus_plugin_api", 1)
        except Exception as error:
            self._refuse(f"raised {type(error).__name__} when its pytheus_plugin_api was read", error)
        supported = ", ".join(map(str, sorted(hooks.PLUGIN_API_VERSIONS)))
        if type(version) is not int or version not in hooks.PLUGIN_API_VERSIONS:
            is_int = type(version) is int
            remedy = "install another version of it, or of pytheus" if is_int else "it must be an int"
            raise IncompatiblePluginError(
                f"{self.subject} cannot be used: {self.claim} has pytheus_plugin_api = {version!r:.40}, and this"
                f" pytheus supports plugin API {supported}; {remedy}",
                name=self.claim.name,
            )

    def _check_names(self) -> None:
        names: set[str] = set()
        for _, name, mark in _marks(self._object):
            names.add(name)
            if name not in HOOKS and not mark.get("optionalhook"):
                remedy = suggestion(name, HOOKS).rstrip() or f"there are: {', '.join(HOOKS)}."
                self._refuse(
                    f"implements the hook {name!r}, which this pytheus does not have; {remedy} If another version has"
                    " it, mark it with @hookimpl(optionalhook=True)"
                )
        for name in HOOKS:
            if name not in names and inspect.isroutine(inspect.getattr_static(self._object, name, None)):
                self._refuse(
                    f"has {name}, which is not marked as an implementation of the hook; write @hookimpl (from"
                    " pytheus.plugins) above the function"
                )

    def _registered(self) -> pluggy.PluginManager:
        manager = pluggy.PluginManager("pytheus")
        manager.add_hookspecs(hooks)
        try:
            # Before pluggy does, whose messages name neither plugin nor remedy.
            for attribute, hook, _ in _marks(self._object):
                if hook in HOOKS:
                    self._check_parameters(hook, getattr(self._object, attribute))
            manager.register(self._object, name=self.claim.name)
        except pluggy.PluginValidationError as error:
            self._refuse(f"does not implement a hook as specified: {' '.join(str(error).split())}", error)
        except PluginLoadError:
            raise
        except (Exception, SystemExit) as error:
            raise self._failure("could not be loaded", error) from error
        return manager

    def _check_parameters(self, hook: str, function: object) -> None:
        if not callable(function):
            return
        there_are = HOOKS[hook]
        expected = f"def {hook}({', '.join(there_are)})"
        # pluggy passes parameters without a default by name, and silently leaves out all others.
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name in ("self", "cls"):
                self._refuse(
                    f"is a class, whose method {hook} needs an instance; name an instance, or make it a staticmethod"
                )
            by_name = parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty
            if not by_name:
                self._refuse(
                    f"implements {hook} with the parameter '{parameter}', which would never be passed; write {expected}"
                )
            if parameter.name not in there_are:
                takes = ", ".join(map(repr, there_are)) or "none"
                hint = suggestion(parameter.name, there_are)
                self._refuse(
                    f"implements {hook} with the parameter {parameter.name!r}, and this hook has the parameters:"
                    f" {takes}; {hint}write {expected}, or leave out parameters that are not needed"
                )

    def _refuse(self, problem: str, error: Exception | None = None, *, failed: str = "could not be loaded") -> NoReturn:
        raise PluginLoadError(f"{self.subject} {failed}: {self.claim} {problem}", name=self.claim.name) from error

    def _fail(self, failed: str, error: BaseException, options: object) -> NoReturn:
        """Raise for `error`, chained unless it shows a credential. Call it outside of the ``except`` block."""
        cause = options.cause(error) if isinstance(options, RegistryOptions) else error
        raise self._failure(failed, error, options) from cause

    def _failure(self, failed: str, error: BaseException, options: object = None) -> PluginLoadError:
        try:
            text = str(error)
        except Exception:
            text = ""  # the original is chained in any case
        words = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if isinstance(options, RegistryOptions):
            words = options.scrub(words)
        shown = words if len(words) <= _MAX_ERROR_CHARACTERS else f"{words[: _MAX_ERROR_CHARACTERS - 3]}..."
        return PluginLoadError(f"{self.subject} {failed}: {self.claim} raised {shown}", name=self.claim.name)

    # Calls ----------------------------------------------------------------------------------------------------------

    def make_registry(self, options: RegistryOptions) -> tuple[Registry, bool]:
        """The registry that it creates from `options`, checked, and whether it was created for this call alone.

        Raises `PluginLoadError`, `OptionError` or `NotARegistryError`.
        """
        source = f"{self.subject}, {self.claim},"
        if MAKE not in self.implements:
            self._refuse_other_factory()
            registry = check_registry(self._object, source)
            options.refuse_unread()
            return registry, False
        registry = check_registry(self._answer("could not be created", MAKE, options=options), source)
        try:
            options.refuse_unread()
        except OptionError:
            if isinstance(registry, Closable):
                registry.close()  # it was created for this call, which does not return it
            raise
        return registry, True

    def _refuse_other_factory(self) -> None:
        """Raise for an object that looks like an incomplete factory; one that may be a registry passes."""
        claim = self.claim
        if _mark(self._object) is not None:
            advice = f"it names a function; name the module, '{claim.name} = {claim.value.partition(':')[0].strip()}'"
        elif self.implements and inspect.getattr_static(self._object, "register", None) is None:
            advice = f"it implements {', '.join(self.implements)}, and to create a registry it needs {MAKE}(options)"
        elif isinstance(self._object, types.ModuleType):
            advice = (
                f"the module has no function {MAKE}(options) marked with @hookimpl (from pytheus.plugins);"
                " add it, or let the entry point name an object: MODULE:ATTRIBUTE"
            )
        else:
            return
        self._refuse(f"does not provide a registry: {advice}")

    @contextmanager
    def shared_path(self, options: RegistryOptions) -> Iterator[str | None]:
        """The context of its `pytheus_shared_path`. Raises `PluginLoadError`, also if it does not implement that."""
        if _SHARE not in self.implements:
            self._refuse(
                f"does not implement {_SHARE}; choose a registry that processes share",
                failed="cannot be shared by several processes",
            )
        answer = self._answer(_NOT_SHARED, _SHARE, options=options)
        if not isinstance(answer, AbstractContextManager):
            self._refuse(f"returned {answer!r:.80} from {_SHARE}, which is not a context manager")
        with ExitStack() as stack:
            failure: BaseException | None = None
            path: object = None
            try:
                path = stack.enter_context(answer)
            except (Exception, SystemExit) as error:
                failure = error
            if failure is not None:
                self._fail(_NOT_SHARED, failure, options)
            if path is not None and not isinstance(path, str):
                self._refuse(f"provides {path!r:.80} in {_SHARE}, which is neither a str nor None")
            yield path

    def wrap_registry(self, registry: Registry, options: RegistryOptions) -> Registry:
        """The registry that it puts in `registry`'s place, checked, or `registry`. Raises as `make_registry` does."""
        if _WRAP in self.implements:
            answer = self._answer("could not wrap the registry", _WRAP, registry=registry, options=options)
            if answer is not None:
                registry = check_registry(answer, f"{self.subject}, {self.claim}, in {_WRAP},")
        options.refuse_unread()
        return registry

    def exposition_formats(self) -> tuple[AnyFormat, ...]:
        """The exposition formats that it offers, checked. Raises `PluginLoadError`."""
        formats: list[AnyFormat] = []
        if _FORMATS in self.implements:
            answer = self._answer("could not provide its formats", _FORMATS)
            # One list for each function that implements the hook.
            for offered in answer if isinstance(answer, list) else ():
                try:
                    candidates = list(offered)
                except Exception as error:
                    raise self._failure("could not provide its formats", error) from error
                formats += [self._checked_format(candidate) for candidate in candidates]
        return tuple(formats)

    def _checked_format(self, candidate: object) -> AnyFormat:
        from pytheus.exposition.negotiation import parse_media_type

        try:
            if isinstance(candidate, ExpositionFormat) and not isinstance(candidate, type):
                media_type: object = candidate.media_type
                if isinstance(media_type, str) and parse_media_type(media_type) and callable(candidate.render):
                    return candidate
        except Exception as error:
            raise self._failure("could not provide its formats", error) from error
        self._refuse(
            f"returned {candidate!r:.80}, which is not an ExpositionFormat: an object (not a class) with a media_type"
            " such as 'text/x-mine; version=1' and a method render(registry) or render(registry, request) that returns"
            " the parts",
            failed="could not provide its formats",
        )

    def _answer(self, failed: str, hook: str, /, **arguments: object) -> object:
        try:
            return self.call(hook, **arguments)
        except OptionError:
            raise
        except (Exception, SystemExit) as error:
            failure = error
        self._fail(failed, failure, arguments.get("options"))

    def call(self, hook: str, /, **arguments: object) -> object:
        """The result of the implementation of `hook`, one of `implements`; raises its exceptions."""
        if self._manager is None:
            return None
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        answer: object = caller(**arguments)
        return answer

    def __repr__(self) -> str:
        return f"<Plugin {self.claim}>"
