"""A command as a child of the process that serves its metrics, as the first process of a container needs it.

Rules:

- Our caller controls the command through us: it gets every signal that we get, and we end as it ends. Signals are
  waited for, not handled, so that none is lost between two instructions.
- A signal from the terminal goes to the whole foreground process group, which includes the command, and is not sent
  again.
- We wait for every child that has ended: the first process of a container is the parent of all orphans.
- The child is forked before anything else happens, while this process has one thread, and waits until the metrics are
  served.
"""

from __future__ import annotations

import json
import os
import signal
from typing import Final, NoReturn

from pytheus.cli.command import Command, Serving, execute, serving
from pytheus.exceptions import PytheusError

__all__ = ["run_as_child"]

# A fault in our own code raises the first ones, and no process can wait for the last two.
_NOT_FORWARDED: Final = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGKILL", "SIGSTOP")
_FROM_KERNEL: Final = 0x80  # SI_KERNEL, sigaction(2): of the forwarded signals, those of the terminal
_KILLED: Final = 128
"""Shells add it to a signal's number for the exit status of a program that the signal ended."""


def run_as_child(command: Command, options: Serving) -> int:
    """Run `command` as a child; returns the exit status that it ended with, as shells give it.

    Raises `PytheusError` and OSError for errors before it starts.
    """
    watched = signal.valid_signals() - {getattr(signal, name) for name in _NOT_FORWARDED if hasattr(signal, name)}
    former = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is ignored, ended children cannot be waited for
    try:
        start, starter = os.pipe()
        failure, failed = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            os.close(starter)
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
            _run(command, start, failed, parent)
        os.close(start)
        os.close(failed)
        try:
            sending = None
            if options.sending.has_receiver:
                from pytheus.cli.end_of_run import job_run

                run = job_run(options.sending)
                sending = run, run.start()
            with serving(options) as variables:
                with os.fdopen(starter, "wb") as pipe:
                    pipe.write(json.dumps(variables).encode())
                starter = -1
                with os.fdopen(failure, "rb") as report:
                    error = report.read()  # it ends when the command begins
                if error:
                    raise PytheusError(error.decode())
                code = _wait(child, watched)
                if sending is not None:
                    run, began = sending
                    run.finish(began, success=code == 0)
                return code
        finally:
            if starter >= 0:
                os.close(starter)  # the child ends then
    finally:
        # Late signals are for a command that has ended, and must not end us before the cleanup.
        for late in signal.sigpending() & watched:
            signal.sigwait({late})
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _run(command: Command, start: int, failed: int, parent: int) -> NoReturn:
    """In the child: become the command as soon as the metrics are served."""
    try:
        with os.fdopen(start, "rb") as pipe:
            told = pipe.read()
        if told:
            execute(command, json.loads(told), parent)
    except OSError as error:
        os.write(failed, str(error.strerror).encode())
    finally:
        # Not by an exception: the frames below this one belong to the parent.
        os._exit(_KILLED - 1)


def _wait(child: int, watched: set[signal.Signals]) -> int:
    while True:
        status = _reap(child)
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else _KILLED - code
        number, is_from_terminal = _next_signal(watched)
        if number != signal.SIGCHLD and not is_from_terminal:
            os.kill(child, number)  # it was not waited for yet, so the process id is still its own
        if number == signal.SIGTSTP and os.getpid() != 1:
            os.kill(os.getpid(), signal.SIGSTOP)


def _reap(child: int) -> int | None:
    """Wait for all children that have ended; returns the status of `child` if it is one of them."""
    status: int | None = None
    while True:
        try:
            ended, status_of_ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if ended == 0:
            return status
        if ended == child:
            status = status_of_ended


def _next_signal(watched: set[signal.Signals]) -> tuple[int, bool]:
    """The next signal, and whether the terminal sent it."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(watched)
        return info.si_signo, info.si_code == _FROM_KERNEL
    return signal.sigwait(watched), False  # macOS does not say
