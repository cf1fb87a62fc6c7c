"""A command in this process, and a process beside it that serves its metrics.

Rules:

- The command gets all that it gets without us: its process id, parent, process group, terminal, descriptors and
  signals, as service managers and socket activation require. So this process becomes the command (exec), and a process
  of a session of its own serves until the command has ended (`Sidecar`).
- The exception is the first process of a container, which must wait for orphans: it serves, and the command is its
  child (`pytheus.cli.init_process`). The same is done where a process cannot be watched by a descriptor, and where
  metrics are sent with the command's outcome, which only its parent knows.
- The process that serves tells the other one that it does, or why it cannot.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from pytheus.cli.command import Command, Serving, execute, serving
from pytheus.exceptions import PytheusError

__all__ = ["Sidecar", "run_command"]

_STDERR: Final = 2


def run_command(command: Command, options: Serving) -> int:
    """Run `command`; returns its exit status, or does not return, because this process becomes the command.

    Raises `PytheusError` and OSError for errors before it starts.
    """
    if os.getpid() != 1 and hasattr(os, "pidfd_open") and not options.sending.has_receiver:
        try:
            itself = os.pidfd_open(os.getpid())
        except OSError:
            pass  # an old kernel, or a sandbox that does not allow it
        else:
            _become(command, options, itself)
    from pytheus.cli.init_process import run_as_child

    return run_as_child(command, options)


def _become(command: Command, options: Serving, itself: int) -> NoReturn:
    """Become `command`, with a sidecar; `itself` is a descriptor of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _leave(lambda: Sidecar(itself, writer).run(options))
    os.close(writer)
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass  # our caller ignores SIGCHLD, so that the kernel waits for children
    with os.fdopen(reader, "rb") as file:
        answer = file.read()  # until the sidecar serves, or has ended
    if not answer:
        raise PytheusError("the process that serves the metrics has ended before it served them")
    told: dict[str, str] = json.loads(answer)
    if "refusal" in told:
        raise PytheusError(told["refusal"])
    execute(command, told, os.getpid())


def _leave(run: Callable[[], None]) -> NoReturn:
    """In a child: call `run` in a process that belongs neither to the parent's session nor to its children."""
    try:
        os.setsid()
        if os.fork() == 0:
            run()
    finally:
        # Not by an exception: the frames below this one belong to the parent.
        os._exit(0)


class Sidecar:
    """The process that serves the metrics of a command, beside it and in a session of its own.

    `watched` is a descriptor of the command's process, and `writer` that of a pipe to it. All other inherited
    descriptors except stderr are closed, because the command may wait until all others have closed them. It ignores all
    signals: it ends when the command ends, and not with a terminal or a service that is being stopped, because a
    command that ends slowly is scraped meanwhile.
    """

    def __init__(self, watched: int, writer: int) -> None:
        # Standard streams that were closed may have left their numbers to the two.
        self._watched = fcntl.fcntl(watched, fcntl.F_DUPFD_CLOEXEC, _STDERR + 1)
        self._writer = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, _STDERR + 1)
        os.close(writer)

    def run(self, options: Serving) -> None:
        """Serve until the command has ended. Errors go to the pipe, or to stderr once the command runs."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._close_others()
        try:
            with serving(options) as variables:
                self._tell(variables)
                self._wait()
        except (PytheusError, OSError) as error:
            self._tell({"refusal": str(error) if isinstance(error, PytheusError) else error.strerror or str(error)})
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()

    def _close_others(self) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(null, standard)
        for name in os.listdir("/proc/self/fd"):
            descriptor = int(name)
            if descriptor > _STDERR and descriptor not in (self._watched, self._writer, null):
                try:
                    if os.get_inheritable(descriptor):
                        os.close(descriptor)
                except OSError:
                    pass  # that of the listing itself
        os.close(null)

    def _tell(self, message: Mapping[str, str]) -> None:
        try:
            os.write(self._writer, json.dumps(message).encode())
        except OSError:
            pass  # the command's process has ended, or was told before
        os.close(self._writer)

    def _wait(self) -> None:
        import select

        poll = select.poll()
        poll.register(self._watched, select.POLLIN)
        poll.poll()
