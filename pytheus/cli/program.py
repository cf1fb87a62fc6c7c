"""A user's program, found and then run as python itself would run it.

Rules:

- What the program can see of itself is what python would show: `sys.argv`, `sys.orig_argv`, `sys.path`, a `__main__`
  that nothing of ours is in. Pickle and multiprocessing look there.
- How it ends is left to the interpreter. Whatever it raises leaves through our frames, and python does what it does
  with it: exit codes, death by SIGINT, waiting for threads, exit handlers. Only our frames are taken off the traceback,
  in a `sys.excepthook` that stands before the program's own and is gone once it was called.
- What python runs by its own `runpy` (modules, directories and zip files), that runs here too, so that even the frames
  which python shows of it are the same.

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

__all__ = ["Program", "ProgramNotFoundError", "find_module", "find_script"]


class ProgramNotFoundError(Exception):
    """There is no such program."""


class Program(Protocol):
    """A program that was found and can be run, once."""

    def run(self) -> None:
        """Run it to its end in a new `__main__`; raises whatever it raises, with none of our frames to be shown."""
        ...


def find_script(script: str, arguments: Sequence[str]) -> Program:
    """The program in the file, directory or zip file `script`, with `arguments`.

    From here on `sys.argv` and `sys.path` are the program's. Raises `ProgramNotFoundError`; nothing of the program was
    executed then.
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
        pass  # the directory was removed; python leaves it out then
    if not _is_module(module):
        package = _is_module(module, as_program=False)
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
        import runpy  # loaded late: a script does without it, as under python

        _new_main()
        try:
            # Private, but it is what the interpreter itself calls, by this name, for `python -m`.
            runpy._run_module_as_main(self._module, self._alter_argv)  # type: ignore[attr-defined]  # see above
        except BaseException as error:
            _hide_own_frames(error)
            raise


# Our own `__main__`. The interpreter, which runs the console script from it, goes on using its dictionary after the
# program has raised, without holding it: where nothing else does either (a SyntaxError has no frames), it would crash.
_kept: Final[list[ModuleType]] = []


def _new_main() -> ModuleType:
    """A `__main__` as python makes it, in the place of ours."""
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
    """Have `error` shown, once it has left all our frames, as if there were none of them."""
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
    # Up to our own name they are the interpreter and its options, which a program uses to start itself again.
    own = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    own = own[:-2] if own[-2:-1] in (["-m"], ["-c"]) else own[:-1]
    if own:
        sys.orig_argv[:] = [*own, *named, *arguments]
    sys.argv[:] = [name, *arguments]


def _set_first_path(path: str, *, safe: bool = False) -> None:
    """Put `path` where python puts the program's directory; unless `safe`, ``python -P`` forbids that."""
    if not sys.flags.safe_path:
        sys.path[:1] = [path]  # it is ours until now
    elif safe:
        sys.path.insert(0, path)


def _absolute(path: str) -> str:
    """`path` made absolute as python does it for `__file__`: nothing else about it is changed."""
    try:
        return os.path.join(os.getcwd(), path)
    except FileNotFoundError:
        return path


class _Finder(Protocol):
    def find_spec(self, name: str, /) -> importlib.machinery.ModuleSpec | None: ...


def _finder(filename: str) -> _Finder | None:
    """What finds modules in a directory or zip file; None for any other file."""
    for hook in sys.path_hooks:
        try:
            finder: _Finder = hook(filename)
        except ImportError:
            continue
        return finder
    return None


def _is_module(module: str, *, as_program: bool = True) -> bool:
    """Whether there is the module, and, `as_program`, whether ``python -m`` would find something to run in it.

    Looks without importing anything; a package that changes where its modules are found is imported to be certain.
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
    import importlib.util  # loaded late: only needed where looking was not enough

    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:
        # The module itself, or what it stands in, is not there; anything else that is missing is for python to tell.
        return error.name is None or not f"{module}.".startswith(f"{error.name}.")
    except BaseException:
        return True  # it is there, and python will tell what is wrong with it
