"""Find a user's program and run it as python itself would run it.

Rules:

- The program sees of itself the same as under python: `sys.argv`, `sys.orig_argv`, `sys.path`, and a `__main__` without
  anything of ours. Pickle and multiprocessing look there.
- The interpreter handles its end. Its exceptions pass through our frames, and python treats them as usual: exit codes,
  death by SIGINT, waiting for threads, exit handlers. Only our frames are removed from the traceback, by a
  `sys.excepthook` before the program's own, which is removed once it was called.
- Modules, directories and zip files are run with `runpy`, as python itself does, so that even the frames which python
  shows of it are the same.

https://docs.python.org/3/using/cmdline.html#interface-options
"""

from __future__ import annotations

import importlib.machinery
import io
import os
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType, TracebackType
from typing import Final, Protocol

__all__ = ["Program", "ProgramNotFoundError", "find_module", "find_script", "is_module"]


class ProgramNotFoundError(Exception):
    """The program does not exist."""


class Program(Protocol):
    """A program that was found and can be run once."""

    def run(self) -> None:
        """Run it to its end in a new `__main__`; raises its exceptions, whose tracebacks show none of our frames."""
        ...


def find_script(script: str, arguments: Sequence[str]) -> Program:
    """The program in the file, directory or zip file `script`, with `arguments`.

    Afterwards `sys.argv` and `sys.path` are the program's. Raises `ProgramNotFoundError`, before anything of the
    program was executed.
    """
    filename = _absolute(script)
    _set_arguments([script], script, arguments)
    finder = _finder(filename)
    if finder is not None:
        if finder.find_spec("__main__") is None:
            raise ProgramNotFoundError(f"can't find '__main__' module in {filename!r}")
        _set_first_path(filename, safe=True)
        return _ModuleProgram("__main__", alter_argv=False)
    try:
        with io.open_code(filename) as file:
            content = file.read()
    except OSError as error:
        raise ProgramNotFoundError(f"can't open file {filename!r}: [Errno {error.errno}] {error.strerror}") from None
    _set_first_path(os.path.dirname(os.path.realpath(filename)))
    return _FileProgram(filename, content)


def find_module(module: str, arguments: Sequence[str]) -> Program:
    """The program that ``python -m module`` runs, with `arguments`; as `find_script` does."""
    _set_arguments(["-m", module], "-m", arguments)
    try:
        _set_first_path(os.getcwd())
    except FileNotFoundError:
        pass  # the directory was removed; python leaves it out as well
    if not is_module(module):
        package = is_module(module, as_program=False)
        raise ProgramNotFoundError(
            f"No module named {module}.__main__; {module!r} is a package and cannot be directly executed"
            if package
            else f"No module named {module}"
        )
    return _ModuleProgram(module, alter_argv=True)


class _FileProgram:
    def __init__(self, filename: str, content: bytes) -> None:
        self._filename: Final = filename
        self._content: Final = content

    def run(self) -> None:
        main = _new_main()
        compiled = self._filename.endswith(".pyc")
        loader_type = importlib.machinery.SourcelessFileLoader if compiled else importlib.machinery.SourceFileLoader
        loader = loader_type("__main__", self._filename)
        main.__loader__ = loader
        main.__file__ = self._filename
        if sys.version_info < (3, 15):
            vars(main)["__cached__"] = None
        try:
            exec(self._code(loader), vars(main))
        except BaseException as error:
            _hide_own_frames(error)
            raise

    def _code(
        self, loader: importlib.machinery.SourcelessFileLoader | importlib.machinery.SourceFileLoader
    ) -> CodeType:
        if isinstance(loader, importlib.machinery.SourcelessFileLoader):
            code = loader.get_code("__main__")
            assert code is not None  # get_code() raises ImportError where it has none
            return code
        return compile(self._content, self._filename, "exec", dont_inherit=True)


class _ModuleProgram:
    def __init__(self, module: str, *, alter_argv: bool) -> None:
        self._module: Final = module
        self._alter_argv: Final = alter_argv

    def run(self) -> None:
        import runpy  # not earlier, so that a script does not find it in `sys.modules`, as under python

        _new_main()
        try:
            # Private, but the interpreter itself calls it by this name for `python -m`.
            runpy._run_module_as_main(self._module, self._alter_argv)  # type: ignore[attr-defined]  # see above
        except BaseException as error:
            _hide_own_frames(error)
            raise


# Our own `__main__`. The interpreter, which runs the console script from it, uses its dictionary after the program has
# raised, without a reference to it. Without any other reference (a SyntaxError has no frames), it would crash.
_kept: Final[list[ModuleType]] = []


def _new_main() -> ModuleType:
    """A `__main__` as python creates it, which replaces ours."""
    main = ModuleType("__main__")
    names = vars(main)
    if "__annotations__" in vars(sys.modules["__main__"]):  # until Python 3.14
        names["__annotations__"] = {}
    names["__builtins__"] = sys.modules["builtins"]
    main.__loader__ = importlib.machinery.BuiltinImporter
    _kept.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    return main


def _hide_own_frames(error: BaseException) -> None:
    """Let the traceback of `error`, once it has left all our frames, show none of them."""
    if isinstance(error, SystemExit):
        return  # never shown
    shown = error.__traceback__
    while shown is not None and shown.tb_frame.f_code.co_filename == _OWN_FILE:
        shown = shown.tb_next
    hook = getattr(sys, "excepthook", sys.__excepthook__)

    def excepthook(kind: type[BaseException], value: BaseException, traceback: TracebackType | None) -> None:
        sys.excepthook = hook
        if value is error:
            value.__traceback__ = traceback = shown
            sys.last_traceback = shown
        try:
            hook(kind, value, traceback)
        except SystemExit:
            raise
        except BaseException as failure:
            # As the interpreter does it, which would show this function's frame.
            failure.__traceback__ = failure.__traceback__.tb_next if failure.__traceback__ is not None else None
            print("Error in sys.excepthook:", file=sys.stderr)
            sys.__excepthook__(type(failure), failure, failure.__traceback__)
            print("\nOriginal exception was:", file=sys.stderr)
            sys.__excepthook__(kind, value, traceback)

    sys.excepthook = excepthook


_OWN_FILE: Final = _hide_own_frames.__code__.co_filename


def _set_arguments(named: list[str], name: str, arguments: Sequence[str]) -> None:
    """Let `sys.argv` and `sys.orig_argv` be those of ``python NAMED ARGUMENTS``."""
    # The items before our own name are the interpreter and its options; a program uses them to start itself again.
    own = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    own = own[:-2] if own[-2:-1] in (["-m"], ["-c"]) else own[:-1]
    if own:
        sys.orig_argv[:] = [*own, *named, *arguments]
    sys.argv[:] = [name, *arguments]


def _set_first_path(path: str, *, safe: bool = False) -> None:
    """Put `path` where python puts the program's directory; unless `safe`, ``python -P`` forbids that."""
    if not sys.flags.safe_path:
        sys.path[:1] = [path]  # in place of ours
    elif safe:
        sys.path.insert(0, path)


def _absolute(path: str) -> str:
    """`path` made absolute as python does it for `__file__`, otherwise unchanged."""
    try:
        return os.path.join(os.getcwd(), path)
    except FileNotFoundError:
        return path


class _Finder(Protocol):
    def find_spec(self, name: str, /) -> importlib.machinery.ModuleSpec | None: ...


def _finder(filename: str) -> _Finder | None:
    """The finder of modules in a directory or zip file; None for any other file."""
    for hook in sys.path_hooks:
        try:
            finder: _Finder = hook(filename)
        except ImportError:
            continue
        return finder
    return None


def is_module(module: str, *, as_program: bool = True) -> bool:
    """Whether the module exists and, with `as_program`, whether ``python -m`` would find something to run in it.

    Imports nothing, except a package that may change where its modules are found.
    """
    parts = module.split(".")
    if not all(parts):
        return False
    path: Sequence[str] | None = None
    for depth in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:depth]), path)
        if spec is None or (spec.submodule_search_locations is None and depth < len(parts)):
            return (depth > 1 or spec is not None) and _is_module_once_imported(module)
        path = spec.submodule_search_locations
    if path is None or not as_program:
        return True
    return _spec(f"{module}.__main__", path) is not None or _is_module_once_imported(f"{module}.__main__")


def _spec(name: str, path: Sequence[str] | None) -> importlib.machinery.ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def _is_module_once_imported(module: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:
        # The module or a package that contains it does not exist; python reports any other missing module.
        return error.name is None or not f"{module}.".startswith(f"{error.name}.")
    except BaseException:
        return True  # it exists, and python will report its error
