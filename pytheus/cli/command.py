"""A command of ``pytheus run``, and the service of its metrics by another process: the parts that both have.

Rules:

- The command must share its registry with the process that serves, so one URL is used for both and passed to the
  command in ``PYTHEUS_REGISTRY``. A registry that processes cannot share is refused, because its metrics would not be
  served.
- Plugins that the configuration file names are passed on in ``PYTHEUS_PLUGINS``: a process may start in another
  directory, or may have to know of them before it imports pytheus.
- The plugin declares that processes share its registry, and provides a place for it if the URL has none:
  `pytheus.plugins.hooks.pytheus_shared_path`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, NoReturn

from pytheus.cli.sending_options import SendingOptions
from pytheus.cli.serving_options import ServingOptions
from pytheus.cli.writing_options import WritingOptions
from pytheus.plugins.config import plugins_variable
from pytheus.plugins.plan import plan
from pytheus.plugins.resolve import configure, shared_address
from pytheus.registry import REGISTRY, Closable
from pytheus.unserved import RUN_VARIABLE, announce_serving

__all__ = ["Command", "Serving", "execute", "serving"]

# Python ignores them in its own process only.
_IGNORED_BY_PYTHON: Final = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
# They name the process that they are meant for: sd_listen_fds(3), sd_watchdog_enabled(3), systemd.exec(5).
_NAMING_THE_PROCESS: Final = ("LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID")


class Serving(NamedTuple):
    """The choice of a registry, how its metrics are served, or None, sent at the end, and written meanwhile."""

    registry: str | None
    server: ServingOptions | None
    sending: SendingOptions = SendingOptions()
    writing: WritingOptions = WritingOptions()


class Command(NamedTuple):
    """The `path` of a command and its `arguments`, its own name first."""

    path: str
    arguments: Sequence[str]


@contextmanager
def serving(options: Serving) -> Iterator[dict[str, str]]:
    """Serve the metrics of a registry that processes share, if `options` say so.

    Gives the variables by which the command chooses it. Raises `PytheusError` and OSError if that is not possible.
    """
    with shared_address(plan(options.registry)) as url:
        configure(url)
        try:
            server = None if options.server is None else options.server.start()
            try:
                if server is not None and options.server is not None and not options.server.quiet:
                    print(f"pytheus: serving metrics at {server.url}", file=sys.stderr, flush=True)
                with _writing(options.writing):
                    yield {"PYTHEUS_REGISTRY": url, RUN_VARIABLE: announce_serving()} | plugins_variable()
            finally:
                if server is not None:
                    server.close()
        finally:
            resolved = REGISTRY.registry
            if isinstance(resolved, Closable):
                resolved.close()


@contextmanager
def _writing(options: WritingOptions) -> Iterator[None]:
    if not options.has_receiver:
        yield
        return
    from pytheus.cli.writers import Writers

    with Writers(options).running():
        yield


def execute(command: Command, variables: Mapping[str, str], meant_for: int) -> NoReturn:
    """Let this process become `command`, with `variables` in its environment.

    Variables that name the process `meant_for` name this one instead. Raises OSError if the command cannot be executed.
    """
    environ = os.environ | dict(variables)
    for name in _NAMING_THE_PROCESS:
        if environ.get(name) == str(meant_for):
            environ[name] = str(os.getpid())
    for ignored in _IGNORED_BY_PYTHON:
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execve(command.path, list(command.arguments), environ)
    except OSError as error:
        raise OSError(error.errno, f"cannot execute {command.path!r}: {error.strerror}") from error
