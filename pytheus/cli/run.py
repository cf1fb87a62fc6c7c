"""``pytheus run``: run a program as python would, and serve its metrics meanwhile.

Rules:

- Everything that can be refused is refused before the program starts, in one line and with exit code 2: the program is
  looked up, the registry resolved and the port bound, in this order.
- Options end where the program begins; all later arguments are the program's.
- After ``--`` comes a command, if there is one of that name, and another process serves its metrics (sidecar.py).
- The server runs until the process ends, so that threads which outlive the main program are still scraped.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  # for a host's name; imported now for the reason below, as are inspect and zlib
import inspect  # noqa: F401  # for checking the registry
import os
import sys
import zlib  # noqa: F401  # for the first scrape that takes gzip
from collections.abc import Callable, Sequence
from typing import Final, Literal

# The server's modules are imported before `sys.path` becomes the program's, where a file may have any name. A plugin's
# modules are imported with the plugin.
from pytheus.cli.forked_children import watch_forked_children
from pytheus.cli.python_runner import Program, ProgramNotFoundError, find_module, find_script
from pytheus.cli.sending_options import SENDING_FLAGS, sending_options
from pytheus.cli.serving_options import FLAGS, SWITCHES, ServingOptions, has_address, serving_options
from pytheus.cli.writing_options import WRITING_FLAGS, writing_options
from pytheus.collectors import register_runtime_collectors
from pytheus.exceptions import OptionError, PytheusError
from pytheus.plugins import configure
from pytheus.plugins.config import plugins_variable
from pytheus.registry import REGISTRY
from pytheus.registry.traversal import unexposed_note
from pytheus.unserved import RUN_VARIABLE, announce_serving

__all__ = ["run"]

_USAGE: Final = (
    "usage: pytheus run [--registry NAME|URL] [--port 9464] [--addr 127.0.0.1] [--web-config FILE]"
    " [--instrument auto|NAMES] [--no-page] [--quiet] [--job NAME (--push-gateway URL | --textfile FILE)]"
    " [--remote-write URL] [--otlp URL]"
    " (SCRIPT | -m MODULE | -- COMMAND) [ARGS...]"
)

_HELP: Final = f"""\
{_USAGE}

Run a program as python would, with its arguments, exit code, signals and tracebacks, and serve its metrics at /metrics.
With --push-gateway or --textfile, send them when it ends, with --remote-write or --otlp, write them while it runs; they
are also served if --port, --addr or --path is given.

  SCRIPT             a file, or a directory or zip file with a __main__.py
  -m MODULE          a module or package, as for `python -m`
  --registry NAME    the registry's plugin, by name or URL; wins over PYTHEUS_REGISTRY and the configuration file
  --port PORT        the port to serve at, 9464 by default; 0 takes any that is free
  --addr ADDRESS     the address to serve at, 127.0.0.1 by default; 0.0.0.0 opens the port to other machines
  --path PATH        the path to serve at, /metrics by default
  --web-config FILE  TLS, client certificates, passwords and tokens, as in Prometheus's exporters
  --max-scrapes N    how many scrapes run at once, 40 by default; others are refused with status 503
  --timeout-seconds S  the longest wait for a scrape, 25 by default
  --instrument auto  measure the requests to applications of Starlette, FastAPI, Litestar, Flask and Django, and the
                     tasks of Celery, without a change to them; or some of these, as in --instrument fastapi,flask
  --no-page          browsers get the metrics as text, and not the page that shows them
  --quiet            do not print the metrics' address and the measured frameworks to stderr
  --job NAME         the name under which the metrics are sent when the program ends, with its duration and outcome
  --push-gateway URL the Pushgateway to send them to
  --grouping LABELS  further labels of the group there, as in instance=db1,zone=a
  --textfile FILE    a file for node_exporter to write them to, such as /var/lib/node_exporter/nightly.prom
  --push-timeout-seconds S  how long the end may take longer, 10 by default
  --push-token-file, --push-ca-file, --push-cert-file, --push-key-file FILE
                     a bearer token, the authorities to trust, and a certificate with its key for the Pushgateway
  --remote-write URL a Prometheus, or another receiver of remote write, to write them to every 15 seconds
  --remote-write-labels LABELS  labels of each series there, as in job=shop,instance=web1; the host's name by default
  --remote-write-token-file, --remote-write-ca-file FILE
                     a bearer token, and the authorities to trust
  --otlp URL         a receiver of OTLP over HTTP to write them to every 60 seconds; `env` takes the address in
                     OTEL_EXPORTER_OTLP_ENDPOINT. OpenTelemetry's other variables hold, too
  --write-interval-seconds S  another interval for both
  -- COMMAND         any program, such as gunicorn, as a process of its own; it shares the chosen registry, which must
                     be one that processes can share. Without a command of that name, it is a SCRIPT in any case

Each option can also be set by a variable, as PYTHEUS_RUN_PORT for --port, and in the configuration file, as `port` in
[tool.pytheus.run]; a flag wins over a variable, and that over the file. For --registry they are PYTHEUS_REGISTRY, and
`registry` in [tool.pytheus]; the variable of --instrument is PYTHEUS_INSTRUMENT.
"""

_REFUSED: Final = 2
_FLAGS: Final = FLAGS | SENDING_FLAGS | WRITING_FLAGS


class _UsageError(Exception):
    pass


class _Options:
    """The parsed command line; `find` looks for the program."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.registry: str | None = None
        self.flags: dict[str, str] = {}
        """The options of the server and of the receivers, by name."""
        self.help = False
        self.command: tuple[str, list[str]] | None = None
        """A command's path, and its arguments with its name."""
        self.kind: Literal["SCRIPT", "MODULE"] = "SCRIPT"
        self.words: Sequence[str] = ()
        """The program's name and its arguments."""
        self.find: Callable[[], Program]
        rest = list(arguments)
        while rest:
            option = rest.pop(0)
            if option == "--":
                self._set_command(rest)
                return
            if option.startswith("-m") and not option.startswith("--"):
                module = [option[2:], *rest] if option != "-m" else rest
                self._set_program(find_module, "MODULE", module)
                return
            if "://" in option and not option.startswith("-"):
                # It is not shown, because it may contain a password.
                raise _UsageError(f"a program was expected but got a URL; write --registry before it; {_USAGE}")
            if not option.startswith("-"):
                self._set_program(find_script, "SCRIPT", [option, *rest])
                return
            if option in ("-h", "--help"):
                self.help = True
                return
            self._set(option, rest)
        raise _UsageError(f"no program was given, neither SCRIPT nor -m MODULE; {_USAGE}")

    def _set_command(self, named: list[str]) -> None:
        import shutil

        if named and "://" in named[0]:
            raise _UsageError(f"a command was expected after -- but got a URL; write --registry before --; {_USAGE}")

        path = shutil.which(named[0]) if named and named[0] else None
        if path is not None:
            if os.name == "nt":
                raise _UsageError("a command needs the processes of POSIX; run a SCRIPT, or `-m MODULE`")
            self.command = (path, named)
        elif named and named[0] and not os.path.exists(named[0]):
            raise _UsageError(f"found neither a command {named[0]!r} on PATH nor a script of that name")
        else:
            self._set_program(find_script, "SCRIPT", named)

    def _set_program(
        self, find: Callable[[str, Sequence[str]], Program], kind: Literal["SCRIPT", "MODULE"], named: Sequence[str]
    ) -> None:
        if not named or not named[0]:
            raise _UsageError(f"no program was given, {kind} is missing; {_USAGE}")
        self.kind, self.words = kind, named
        self.find = lambda: find(named[0], named[1:])

    def _set(self, option: str, rest: list[str]) -> None:
        name, equals, value = option.partition("=")
        if name in SWITCHES and not equals:
            self.flags[_FLAGS[name]] = "true"
            return
        if name not in ("--registry", *_FLAGS) or name in SWITCHES:
            # Without its value, which may be a URL with a password.
            raise _UsageError(f"unknown option {name.partition(':')[0]!r} before the program; {_USAGE}")
        if not equals:
            if not rest:
                raise _UsageError(f"{name} takes a value; {_USAGE}")
            value = rest.pop(0)
        if not value:
            raise _UsageError(f"{name} takes a value but got an empty one; leave it out for the default")
        if name == "--registry":
            self.registry = value
        else:
            self.flags[_FLAGS[name]] = value


def run(arguments: Sequence[str]) -> int:
    """Run the program that `arguments` name; returns 0 when it ends normally, and 2 if it was not started.

    Exceptions of the program are passed on to the interpreter.
    """
    os.environ.pop(RUN_VARIABLE, None)  # another one serves nothing of this process
    try:
        options = _Options(arguments)
    except _UsageError as error:
        return _refuse(str(error))
    if options.help:
        print(_HELP, end="")
        return 0
    try:
        served = serving_options(options.flags)
        sending = sending_options(options.flags)
        writing = writing_options(options.flags)
        serves = not (sending.has_receiver or writing.has_receiver) or has_address(options.flags)
        ending = None
        if sending.has_receiver:
            from pytheus.cli.end_of_run import EndOfRun, job_run

            ending = EndOfRun(job_run(sending))
        writers = None
        if writing.has_receiver:
            from pytheus.cli.writers import Writers

            writers = Writers(writing)
        _instrument(served)
        if options.command is not None:
            from pytheus.cli.command import Command, Serving
            from pytheus.cli.interpreter import warning_of
            from pytheus.cli.sidecar import run_command

            serving = Serving(options.registry, served if serves else None, sending, writing)
            if (warning := warning_of(options.command[1])) is not None:
                print(f"pytheus run: warning: {warning}", file=sys.stderr, flush=True)
            return run_command(Command(*options.command), serving)
        program = options.find()
        configure(options.registry)
        server = None
        if serves:
            server = served.start()
        if serves or writers is not None:
            register_runtime_collectors(REGISTRY)
        os.environ[RUN_VARIABLE] = announce_serving()
        os.environ.update(plugins_variable())
        if hasattr(os, "register_at_fork"):
            watch_forked_children()
    except ProgramNotFoundError as error:
        from pytheus.cli.meant import Named, instead_of_missing

        return _refuse(f"{error}{instead_of_missing(Named(options.kind, options.words, options.registry))}")
    except OptionError as error:
        from pytheus.cli.meant import Named, instead_of_path

        words = options.words
        return _refuse(f"{error}{instead_of_path(Named(options.kind, words, options.registry), error.key)}")
    except (_UsageError, PytheusError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(error.strerror or str(error))
    if options.registry is not None:
        # So that processes which the program starts make the same choice.
        os.environ["PYTHEUS_REGISTRY"] = options.registry
    if server is not None and not served.quiet:
        print(f"pytheus: serving metrics at {server.url}", file=sys.stderr, flush=True)
    if (serves or writers is not None) and not served.quiet and (note := unexposed_note(REGISTRY)):
        print(f"pytheus run: warning: {note}", file=sys.stderr, flush=True)
    if ending is not None:
        ending.begin()
    if writers is not None:
        writers.begin()  # and ends before, because the last begun ends first
    if ending is None:
        program.run()
        return 0
    try:
        program.run()
    except BaseException as error:
        ending.note(error)
        raise
    return 0


def _instrument(served: ServingOptions) -> None:
    """Let this process, and those that the program starts, measure the applications of frameworks."""
    if served.instrument is not None:
        from pytheus_startup import VARIABLE, begin

        os.environ[VARIABLE] = served.instrument
        if served.quiet:
            os.environ["PYTHEUS_RUN_QUIET"] = "1"
        begin()


def _refuse(reason: str) -> int:
    print(f"pytheus run: {' '.join(reason.split())}", file=sys.stderr)
    return _REFUSED
