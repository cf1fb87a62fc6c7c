"""A command that ``pytheus run`` starts as a process of its own, and whose metrics it serves from beside it.

Rules:

- The command must share its registry with this process, so one URL is used for both and passed to the command in
  ``PYTHEUS_REGISTRY``. A registry that processes cannot share is refused, because its metrics would not be served.
- The plugin declares that processes share its registry, and provides a place for it if the URL has none:
  `pytheus.plugins.hooks.pytheus_shared_path`.
- Our caller controls the command through us: it gets every signal that we get, and we end as it ends. Signals are
  waited for, not handled, so that none is lost between two instructions.
- A signal from the terminal goes to the whole foreground process group, which includes the command, and is not sent
  again.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.exposition.server import start_http_server
from pytheus.plugins.plan import plan
from pytheus.plugins.resolve import configure, shared_address
from pytheus.registry import REGISTRY, Closable

__all__ = ["Serving", "run_command"]

_FORWARDED: Final = tuple(
    getattr(signal, f"SIG{name}")
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "TTIN", "TTOU", "ALRM", "CONT"]
    if hasattr(signal, f"SIG{name}")
)
_IGNORED_BY_PYTHON: Final = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
_FROM_KERNEL: Final = 0x80  # SI_KERNEL, sigaction(2): of the forwarded signals, those of the terminal
_KILLED: Final = 128
"""Shells add it to a signal's number for the exit status of a program that the signal ended."""


class Serving(NamedTuple):
    """The address that serves the metrics, and whether it is not printed."""

    port: int
    addr: str
    quiet: bool


def run_command(path: str, arguments: Sequence[str], registry: str | None, serving: Serving) -> int:
    """Run the program at `path` with `arguments` (its own name first); returns the exit status that it ended with.

    Raises `PytheusError` and OSError for errors before it starts.
    """
    with shared_address(plan(registry)) as url:
        configure(url)
        try:
            server = start_http_server(serving.port, serving.addr, REGISTRY)
            try:
                if not serving.quiet:
                    print(f"pytheus: serving metrics at {server.url}", file=sys.stderr, flush=True)
                return _run(path, arguments, os.environ | {"PYTHEUS_REGISTRY": url})
            finally:
                server.close()
        finally:
            resolved = REGISTRY.registry
            if isinstance(resolved, Closable):
                resolved.close()


def _run(path: str, arguments: Sequence[str], environ: dict[str, str]) -> int:
    watched = {*_FORWARDED, signal.SIGCHLD}
    former = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is ignored, ended children cannot be waited for
    try:
        # Not by subprocess, because the command would inherit the mask. Our descriptors close with exec.
        child = os.posix_spawn(path, list(arguments), environ, setsigmask=former, setsigdef=_IGNORED_BY_PYTHON)
        while True:
            number, is_from_terminal = _next_signal(watched)
            if number == signal.SIGCHLD:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    code = os.waitstatus_to_exitcode(status)
                    return code if code >= 0 else _KILLED - code
            elif not is_from_terminal:
                os.kill(child, number)  # it was not waited for yet, so the process id is still its own
    finally:
        # Late signals are for a command that has ended, and must not end us before the cleanup.
        for late in signal.sigpending() & watched:
            signal.sigwait({late})
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _next_signal(watched: set[signal.Signals]) -> tuple[int, bool]:
    """The next signal, and whether the terminal sent it."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(watched)
        return info.si_signo, info.si_code == _FROM_KERNEL
    return signal.sigwait(watched), False  # macOS does not say
