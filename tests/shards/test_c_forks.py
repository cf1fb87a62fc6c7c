"""A child of a fork in C is noticed once, whether or not Python is told of the fork."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, sys
from pytheus.shards import run_after_fork_in_child, watch_c_forks

calls = []
run_after_fork_in_child(lambda: calls.append(os.getpid()))
assert watch_c_forks()
for fork in (os.fork, ctypes.PyDLL(None).fork):
    is_told = fork is not os.fork and "told" in sys.argv
    if is_told:
        ctypes.pythonapi.PyOS_BeforeFork()
    child = fork()
    if child:
        if is_told:
            ctypes.pythonapi.PyOS_AfterFork_Parent()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    else:
        if is_told:
            ctypes.pythonapi.PyOS_AfterFork_Child()
        os._exit(0 if calls == [os.getpid()] else 1)
assert calls == []
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="C libraries differ in how they export the handler")
@pytest.mark.parametrize("told", ["told", "untold"])
def test_the_functions_are_called_once_in_each_child(told: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, told], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
