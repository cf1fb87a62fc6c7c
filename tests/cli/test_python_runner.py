"""What a program sees and does under ``pytheus run``, side by side with the same program under plain ``python``."""

from __future__ import annotations

import sys

import pytest

from tests.cli.programs import FAILS, SEES_ITSELF, Programs

_POOL = """
    import multiprocessing
    class Order:
        def __init__(self, number): self.number = number
    def work(order): return __name__, order.number * 6
    if __name__ == "__main__":
        with multiprocessing.get_context("{method}").Pool(2) as pool:
            print(pool.map(work, [Order(7), Order(8)]))
"""

_TABLE = {
    "sees itself": SEES_ITSELF,
    "ends normally": "print('done')",
    "exit code": "import sys; sys.exit(3)",
    "exit code beyond a byte": "import sys; sys.exit(259)",
    "exit with None": "import sys; sys.exit(None)",
    "exit with True": "import sys; sys.exit(True)",
    "exit with a text": "import sys; sys.exit('why: \\u00e9')",
    "exit with an object": "raise SystemExit((1, 2))",
    "chained exceptions": FAILS,
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
    **{f"multiprocessing by {method}": _POOL.format(method=method) for method in ("spawn", "fork", "forkserver")},
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
    programs.expect_the_same("program.py", script=True)


@pytest.mark.parametrize("way", ["script", "module", "console script"])
@pytest.mark.parametrize("name", _TABLE)
def test_it_ends_as_under_python(programs: Programs, name: str, way: str) -> None:
    programs.write("program.py", _TABLE[name])
    programs.write("email.py", "mine = True\n")
    program = ("program.py",) if way != "module" else ("-m", "program")
    options = ("-W", "ignore:This process:DeprecationWarning") if name in _WARNS_OF_FORKS else ()
    arguments = (*program, "a", "--port", "-m", "")
    programs.expect_the_same(*arguments, options=options, stdin="line\n", script=way == "console script")
