"""What a program sees and does under ``pytheus run``, side by side with the same program under plain ``python``."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

_PATIENCE_SECONDS = 120

# What an installer writes for the entry point `pytheus`.
_CONSOLE_SCRIPT = (
    "import sys\nfrom pytheus.cli.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
)


class Ended(NamedTuple):
    """All that is seen of a program from the outside."""

    stdout: str
    stderr: str
    status: int


class Programs:
    """A directory of programs, and the two ways to run them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._console_script = directory.parent / "bin" / "pytheus"
        self._console_script.parent.mkdir()
        self._console_script.write_text(_CONSOLE_SCRIPT)

    def write(self, path: str, source: str | bytes) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())

    def under_python(self, *program: str, options: Sequence[str] = (), stdin: str = "") -> Ended:
        return self._end([sys.executable, *options, *program], stdin)

    def under_pytheus(self, *program: str, options: Sequence[str] = (), stdin: str = "", script: bool = False) -> Ended:
        entry = [str(self._console_script)] if script else ["-m", "pytheus"]
        return self._end([sys.executable, *options, *entry, "run", "--quiet", "--port", "0", *program], stdin)

    def _end(self, command: Sequence[str], stdin: str) -> Ended:
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        ended = subprocess.run(
            command,
            cwd=self.directory,
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
        )
        return Ended(ended.stdout, re.sub("0x[0-9a-f]+", "0x...", ended.stderr), ended.returncode)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    directory = tmp_path / "programs"
    directory.mkdir()
    return Programs(directory)


_SEES_ITSELF = """
    import sys
    print(sys.argv, sys.orig_argv[1:])
    print(sys.path)
    print({name: value for name, value in globals().items() if name not in ("__loader__", "__spec__")})
    print(type(__loader__).__name__, getattr(__loader__, "name", None), getattr(__loader__, "path", None))
    print(__spec__ and (__spec__.name, __spec__.origin, __spec__.parent, __spec__.cached))
    print(sys.modules["__main__"].__dict__ is globals(), sys.flags.safe_path)
"""

_FAILS = """
    import sys

    def inner(value):
        return 1 / value

    def outer():
        try:
            inner(0)
        except ZeroDivisionError as error:
            raise LookupError("outer") from error

    try:
        outer()
    except LookupError:
        raise ValueError("while handling")
"""

_TABLE = {
    "sees itself": _SEES_ITSELF,
    "ends normally": "print('done')",
    "exit code": "import sys; sys.exit(3)",
    "exit code beyond a byte": "import sys; sys.exit(259)",
    "exit with None": "import sys; sys.exit(None)",
    "exit with True": "import sys; sys.exit(True)",
    "exit with a text": "import sys; sys.exit('why: \\u00e9')",
    "exit with an object": "raise SystemExit((1, 2))",
    "chained exceptions": _FAILS,
    "exception group": """
        def fail(): raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])
        fail()
    """,
    "exception with notes": """
        error = KeyError("k")
        error.add_note("a note")
        raise error
    """,
    "exception from a library": "import json; json.loads('{')",
    "exception raised again": """
        kept = None
        try: 1 / 0
        except ZeroDivisionError as error: kept = error
        def again(): raise kept
        again()
    """,
    "own exception": """
        class Mine(Exception):
            def __str__(self): return "mine"
        raise Mine
    """,
    "syntax error": "print('never')\ndef f(:\n    pass\n",
    "indentation error": "if True:\nprint('never')\n",
    "syntax error at run time": "compile('a b', 'elsewhere.py', 'exec')",
    "unterminated string": "x = '''never ends",
    "own excepthook": """
        import sys, traceback
        def hook(kind, value, tb):
            print("hook", kind.__name__, value, tb is value.__traceback__, sys.excepthook is hook)
            print([frame.name for frame in traceback.extract_tb(tb)])
            print(sys.last_traceback is tb)
        sys.excepthook = hook
        def fail(): raise ValueError("seen by the hook")
        fail()
    """,
    "excepthook that fails": """
        import sys
        def hook(*_): raise RuntimeError("hook")
        sys.excepthook = hook
        raise ValueError("original")
    """,
    "excepthook that exits": """
        import sys
        sys.excepthook = lambda *_: sys.exit(9)
        raise ValueError("original")
    """,
    "excepthook that is nothing": """
        import sys
        sys.excepthook = None
        raise ValueError("original")
    """,
    "keyboard interrupt": "raise KeyboardInterrupt",
    "SIGINT": "import signal; signal.raise_signal(signal.SIGINT)",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "SIGKILL": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "SIGINT ignored": "import os, signal; signal.signal(2, signal.SIG_IGN); os.kill(os.getpid(), 2); print('on')",
    "SIGTERM handled": """
        import os, signal, sys
        def handler(number, frame):
            print("handled", frame.f_code.co_name)
            sys.exit(5)
        signal.signal(signal.SIGTERM, handler)
        os.kill(os.getpid(), signal.SIGTERM)
    """,
    "signals as they were": """
        import signal
        print({number: signal.getsignal(number) for number in sorted(signal.valid_signals())
               if signal.getsignal(number) not in (signal.SIG_DFL,)}.keys(), signal.pthread_sigmask(0, ()))
    """,
    "signal waited for": """
        import os, signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
        print(signal.sigwait({signal.SIGUSR1}))
    """,
    "abort": "import os; os.abort()",
    "exit handlers and threads": """
        import atexit, threading, time
        atexit.register(print, "handler")
        ended = threading.Event()
        def work():
            threading.main_thread().join()
            print("thread")
        threading.Thread(target=work).start()
        print("main")
    """,
    "exit handler that fails": """
        import atexit
        def fail(): raise ValueError("at exit")
        atexit.register(fail)
    """,
    "exit handlers after an exception": """
        import atexit, sys
        atexit.register(lambda: print("handler", sys.last_value, sys.excepthook is sys.__excepthook__))
        raise ValueError("seen first")
    """,
    "thread that fails": """
        import threading
        def fail(): raise ValueError("in a thread")
        thread = threading.Thread(target=fail, name="worker")
        thread.start()
        thread.join()
        print("on")
    """,
    "finalizer at the end": """
        class Last:
            def __del__(self): print("finalized", __name__)
        last = Last()
    """,
    "os._exit": "import atexit, os; atexit.register(print, 'never'); os._exit(7)",
    "os.execv": "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'print(6 * 7)'])",
    "stdin": "import sys; print(repr(sys.stdin.read()))",
    "pickle": """
        import dataclasses, pickle
        @dataclasses.dataclass
        class Order:
            number: int
        print(pickle.loads(pickle.dumps(Order(7))), Order.__module__)
    """,
    "no future of ours": "def f(x: print('evaluated')): ...",
    "doctest": """
        '''
        >>> twice(21)
        42
        '''
        import doctest
        def twice(x): return 2 * x
        print(doctest.testmod())
    """,
    "warning in __main__": """
        import warnings
        def old(): warnings.warn("old", DeprecationWarning, stacklevel=2)
        old()
    """,
    "source of a function": """
        import inspect
        def f():
            return "here"
        print(inspect.getsource(f))
    """,
    "asyncio": """
        import asyncio
        async def fail(): raise ValueError("in a coroutine")
        asyncio.run(fail())
    """,
    "multiprocessing by spawn": """
        import multiprocessing
        class Order:
            def __init__(self, number): self.number = number
        def work(order): return __name__, order.number * 6
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(work, [Order(7)]))
    """,
    "multiprocessing by fork": """
        import multiprocessing
        def work(number): return __name__, number * 6
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(work, [7, 8]))
    """,
    "multiprocessing by forkserver": """
        import multiprocessing
        def work(number): return __name__, number * 6
        if __name__ == "__main__":
            with multiprocessing.get_context("forkserver").Pool(1) as pool:
                print(pool.map(work, [7]))
    """,
    "fork that exits": """
        import os, sys
        pid = os.fork()
        if pid == 0:
            sys.exit(4)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """,
    "a file named like the standard library's": "import email; print(email.mine)",
}

# From 3.13 until gh-137109 the interpreter looks for threads after the server is back in the parent, and warns.
_WARNS_OF_FORKS = {"fork that exits"} if sys.version_info >= (3, 13) else set()


@pytest.mark.parametrize("own", ["token", "dis", "ast", "inspect", "zlib", "stringprep"])
def test_a_file_named_as_a_module_that_pytheus_needs_is_the_programs(programs: Programs, own: str) -> None:
    programs.write("program.py", "print('ok')\n")
    programs.write(f"{own}.py", "raise ImportError('of the program')\n")
    assert programs.under_pytheus("program.py", script=True) == programs.under_python("program.py")


@pytest.mark.parametrize(
    ("name", "way"),
    [(name, way) for name in _TABLE for way in ("script", "module", "console script")],
)
def test_it_ends_as_under_python(programs: Programs, name: str, way: str) -> None:
    programs.write("program.py", _TABLE[name])
    programs.write("email.py", "mine = True\n")
    program = ("program.py",) if way != "module" else ("-m", "program")
    options = ("-W", "ignore:This process:DeprecationWarning") if name in _WARNS_OF_FORKS else ()

    expected = programs.under_python(*program, "a", "--port", "-m", "", options=options, stdin="line\n")

    assert (
        programs.under_pytheus(
            *program, "a", "--port", "-m", "", options=options, stdin="line\n", script=way == "console script"
        )
        == expected
    )


@pytest.mark.parametrize("program", ["./program.py", "../programs/program.py", "link.py", "linked/program.py"])
def test_a_script_may_be_named_in_any_way(programs: Programs, program: str) -> None:
    programs.write("program.py", _SEES_ITSELF)
    (programs.directory / "link.py").symlink_to("program.py")
    (programs.directory / "linked").symlink_to(programs.directory, target_is_directory=True)

    assert programs.under_pytheus(program) == programs.under_python(program)


def test_a_script_may_be_named_absolutely(programs: Programs) -> None:
    programs.write("program.py", _SEES_ITSELF)
    program = str(programs.directory / "program.py")

    assert programs.under_pytheus(program) == programs.under_python(program)


@pytest.mark.parametrize("program", ["app", "./app", "app/", "app.zip"])
@pytest.mark.parametrize("source", [_SEES_ITSELF, _FAILS])
def test_directories_and_zip_files_are_programs(programs: Programs, program: str, source: str) -> None:
    programs.write("app/__main__.py", source)
    with zipfile.ZipFile(programs.directory / "app.zip", "w") as archive:
        archive.write(programs.directory / "app" / "__main__.py", "__main__.py")

    assert programs.under_pytheus(program, "a") == programs.under_python(program, "a")


@pytest.mark.parametrize("module", ["shop", "shop.web", "shop.web.app"])
def test_packages_and_what_is_in_them_are_programs(programs: Programs, module: str) -> None:
    programs.write("shop/__init__.py", "print('imported', __name__)")
    programs.write("shop/__main__.py", "from .web import app\n" + textwrap.dedent(_SEES_ITSELF))
    programs.write("shop/web/__init__.py", "print('imported', __name__)")
    programs.write("shop/web/__main__.py", _SEES_ITSELF)
    programs.write(
        "shop/web/app.py", "from . import __name__ as parent; print(parent)\n" + textwrap.dedent(_SEES_ITSELF)
    )

    assert programs.under_pytheus("-m", module, "a") == programs.under_python("-m", module, "a")


def test_a_module_of_a_package_that_extends_its_path_is_found(programs: Programs) -> None:
    programs.write("shop/__init__.py", "__path__.append(__path__[0] + '/../more')")
    programs.write("more/app.py", _SEES_ITSELF)

    assert programs.under_pytheus("-m", "shop.app") == programs.under_python("-m", "shop.app")


def test_a_package_that_fails_to_import_is_reported_by_python(programs: Programs) -> None:
    programs.write("shop/__init__.py", "raise ImportError('no shop today')")
    programs.write("shop/__main__.py", "")

    assert programs.under_pytheus("-m", "shop") == programs.under_python("-m", "shop")


def test_a_module_without_code_is_reported_by_python(programs: Programs) -> None:
    assert programs.under_pytheus("-m", "sys") == programs.under_python("-m", "sys")


def test_a_compiled_script_is_a_program(programs: Programs) -> None:
    import py_compile  # loaded late: only this test compiles

    programs.write("program.py", "import sys; print(sys.argv, __file__, type(__loader__).__name__)")
    py_compile.compile(str(programs.directory / "program.py"), cfile=str(programs.directory / "compiled.pyc"))

    assert programs.under_pytheus("compiled.pyc") == programs.under_python("compiled.pyc")


@pytest.mark.parametrize(
    "source",
    [
        b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n",
        b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))\n",
        b"print('a')\r\nprint('b')\r\n",
        b"",
    ],
    ids=["declared encoding", "byte order mark", "carriage returns", "empty"],
)
def test_a_script_is_decoded_as_python_decodes_it(programs: Programs, source: bytes) -> None:
    programs.write("program.py", source)

    assert programs.under_pytheus("program.py") == programs.under_python("program.py")


@pytest.mark.parametrize(
    "options",
    [["-P"], ["-O"], ["-X", "dev"], ["-W", "error"], ["-X", "faulthandler", "-u"]],
    ids=" ".join,
)
@pytest.mark.parametrize("program", [["program.py"], ["-m", "program"], ["app"]], ids=" ".join)
def test_the_interpreters_options_hold(programs: Programs, options: list[str], program: list[str]) -> None:
    programs.write("program.py", _SEES_ITSELF)
    programs.write("app/__main__.py", _SEES_ITSELF)
    if options == ["-P"] and program[0] == "-m":
        pytest.skip("the module is not found with that")

    expected = programs.under_python(*program, options=options)

    assert programs.under_pytheus(*program, options=options) == expected


def test_a_program_can_start_itself_again(programs: Programs) -> None:
    programs.write(
        "program.py",
        """
        import os, sys
        print(sys.argv)
        if "again" not in sys.argv:
            os.execv(sys.executable, [*sys.orig_argv, "again"])
        """,
    )

    assert programs.under_pytheus("program.py") == programs.under_python("program.py")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_from_outside_ends_it_the_same_way(programs: Programs, number: signal.Signals) -> None:
    programs.write("program.py", "import time; print('ready', flush=True)\nwhile True: time.sleep(0.05)\n")
    statuses = []
    for entry in ([], ["-m", "pytheus", "run", "--quiet", "--port", "0"]):
        with subprocess.Popen(
            [sys.executable, *entry, "program.py"],
            cwd=programs.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert select.select([process.stdout], [], [], _PATIENCE_SECONDS)[0]
                assert process.stdout.readline() == "ready\n"
                process.send_signal(number)
                statuses.append(process.wait(_PATIENCE_SECONDS))
            finally:
                process.kill()

    assert statuses == [-number, -number]
