"""The end of a program that ``pytheus run`` runs: its metrics are sent once, with its outcome.

Rules:

- They are sent when the interpreter ends, after the program's threads and exit handlers, and so also after an
  exception. SIGTERM is as for `pytheus.push.job`. Nothing is sent if the program ends by another signal, or by
  `os._exit`.
- Another thread sends, which was started with the program, because none can be started while the interpreter ends. The
  interpreter waits for it for the limit of time, whatever a collector, a name server or the receiver does.
- Processes that the program forks send nothing.
- The modules are imported before the program, where a file may have any name.
"""

from __future__ import annotations

import atexit
import base64  # noqa: F401  # for credentials
import os
import ssl  # noqa: F401  # for https
import sys
import threading
from typing import Final

from pytheus.background_threads import start_without_signals
from pytheus.cli.sending_options import SendingOptions
from pytheus.exposition import protobuf  # noqa: F401  # for native histograms
from pytheus.push.access import Access
from pytheus.push.jobs import Beginning, JobRun, is_success
from pytheus.push.termination import Termination
from pytheus.registry import REGISTRY

__all__ = ["EndOfRun", "job_run"]

_GRACE_SECONDS: Final = 0.5
"""In which the thread tells why it was late."""


def job_run(options: SendingOptions) -> JobRun:
    """Return the job that sends the metrics of `REGISTRY` as `options` say; raises `InvalidReceiverError`."""
    return JobRun(
        options.job or "",
        REGISTRY,
        push=options.push_gateway,
        textfile=options.textfile,
        grouping=options.grouping,
        access=Access(
            bearer_token_file=options.push_token_file,
            ca_file=options.push_ca_file,
            cert_file=options.push_cert_file,
            key_file=options.push_key_file,
        ),
        timeout_seconds=options.push_timeout_seconds,
    )


class EndOfRun:
    """Sends the metrics of `run` when the interpreter ends, from `begin` on. Call it in the main thread."""

    def __init__(self, run: JobRun) -> None:
        self._run: Final = run
        self._ends: Final = threading.Event()
        self._is_sent: Final = threading.Event()
        self._termination: Final = Termination()
        self._is_success = True

    def begin(self) -> None:
        """Begin the run, which the program follows."""
        self._began: Beginning = self._run.start()
        start_without_signals(threading.Thread(target=self._work, name="pytheus-push", daemon=True))
        atexit.register(self._end)
        self._termination.install()

    def note(self, error: BaseException) -> None:
        """Remember that the program raised `error`."""
        self._is_success = is_success(error)

    def _work(self) -> None:
        self._ends.wait()
        self._run.finish(self._began, success=self._is_success)
        self._is_sent.set()

    def _end(self) -> None:
        if os.getpid() != self._began.pid:
            return
        self._termination.defer()
        self._ends.set()
        limit = self._run.longest_seconds
        try:
            if not self._is_sent.wait(limit + _GRACE_SECONDS):
                print(f"pytheus run: the metrics were not sent within {limit:g} seconds", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            pass  # the user does not want to wait
        try:
            self._termination.end()
        except SystemExit:
            pass  # the interpreter ends already
