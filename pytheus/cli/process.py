"""A command that ``pytheus run`` starts as a process of its own, and whose metrics it serves from beside it.

Rules:

- The command must share its registry with this process, so it is chosen for both: what resolves here is handed on in
  ``PYTHEUS_REGISTRY``. A registry of the command's own memory is refused, for nothing of it would be seen.
- A registry of several processes on this machine that is named without its directory gets a private, temporary one.
- The command is what whoever started us deals with: it gets every signal that we get, and we end as it ends. Signals
  are waited for, not handled, so that none is lost between two instructions.
- What the terminal sends goes to the whole foreground process group, the command included, and is not sent twice.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from pytheus.exceptions import PytheusError
from pytheus.exposition.server import start_http_server
from pytheus.plugins import configure
from pytheus.plugins.address import parse_address
from pytheus.plugins.builtin import BUILTIN_REGISTRIES
from pytheus.plugins.choice import choose
from pytheus.plugins.configuration import load_configuration
from pytheus.registry import REGISTRY, Closable

__all__ = ["Serving", "find_command", "run_command"]

_HANDED_ON: Final = tuple(
    getattr(signal, name)
    for name in [
        "SIGTERM",
        "SIGINT",
        "SIGHUP",
        "SIGQUIT",
        "SIGUSR1",
        "SIGUSR2",
        "SIGWINCH",
        "SIGTTIN",
        "SIGTTOU",
        "SIGALRM",
        "SIGCONT",
    ]
    if hasattr(signal, name)
)
_IGNORED_BY_PYTHON: Final = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
_FROM_KERNEL: Final = 0x80  # SI_KERNEL, sigaction(2): the terminal's, for those that are handed on
_KILLED: Final = 128
"""What shells add to a signal's number for the exit status of what it ended."""


class Serving(NamedTuple):
    """Where the metrics are served, and whether that is said."""

    port: int
    addr: str
    quiet: bool


def find_command(name: str) -> str | None:
    """The path of the program that a shell would run under `name`, or None."""
    import shutil  # loaded late: a Python program does without it

    return shutil.which(name)


def run_command(path: str, arguments: Sequence[str], registry: str | None, serving: Serving) -> int:
    """Run the program at `path` with `arguments` (its own name first), and give the exit status that it ended with.

    Raises `PytheusError` and OSError for what is refused before it runs.
    """
    url, clear_up = _shared_registry(registry)
    try:
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
    finally:
        clear_up()


def _shared_registry(argument: str | None) -> tuple[str, Callable[[], None]]:
    """The registry's URL for both processes, and what is to be done when they have ended."""
    configuration = load_configuration()
    text, source = choose(argument, configuration)
    address = parse_address(text, source)
    if address.name in BUILTIN_REGISTRIES:
        raise PytheusError(
            f"registry {address.name!r} ({source}) is in the command's own memory, where nobody sees it; choose one"
            " that processes share, such as --registry multiprocess"
        )
    has_place = address.path is not None or "path" in configuration.registries.get(address.name, {})
    if address.name != "multiprocess" or has_place:
        return text, lambda: None
    import shutil  # loaded late, as the following: only here is a directory made
    import tempfile

    directory = tempfile.mkdtemp(prefix="pytheus-")
    name, _, rest = text.partition("://")
    query = rest.partition("?")[2]
    url = f"{name}://{quote(directory)}" + (f"?{query}" if query else "")
    return url, lambda: shutil.rmtree(directory, ignore_errors=True)


def _run(path: str, arguments: Sequence[str], environ: dict[str, str]) -> int:
    watched = {*_HANDED_ON, signal.SIGCHLD}
    former = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, ended children cannot be waited for
    try:
        # Not by subprocess, for the command would inherit the mask. Descriptors of ours close with exec.
        child = os.posix_spawn(path, list(arguments), environ, setsigmask=former, setsigdef=_IGNORED_BY_PYTHON)
        while True:
            number, is_from_terminal = _next_signal(watched)
            if number == signal.SIGCHLD:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    code = os.waitstatus_to_exitcode(status)
                    return code if code >= 0 else _KILLED - code
            elif not is_from_terminal:
                os.kill(child, number)  # it was not waited for yet, so the number is still its own
    finally:
        _forget_pending(watched)
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _next_signal(watched: set[signal.Signals]) -> tuple[int, bool]:
    """The signal that comes next, and whether the terminal sent it."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(watched)
        return info.si_signo, info.si_code == _FROM_KERNEL
    return signal.sigwait(watched), False  # macOS does not tell


def _forget_pending(watched: set[signal.Signals]) -> None:
    """What still comes for a command that has ended must not end us before we have cleared up."""
    for number in signal.sigpending() & watched:
        signal.sigwait({number})
