"""The writers of a program that ``pytheus run`` runs: they begin before it, and end with the interpreter.

Rules:

- They end after the program's threads and exit handlers, and so also after an exception. SIGTERM is as for
  `pytheus.push.job`. Nothing more is written if the program ends by another signal, or by `os._exit`.
- Processes that the program forks write nothing. With a command, the process that serves its metrics writes them.
- The modules are imported before the program, where a file may have any name.
"""

from __future__ import annotations

import atexit
import base64  # noqa: F401  # for credentials
import contextlib
import os
import ssl  # noqa: F401  # for https
from collections.abc import Iterator
from typing import Final, TypeAlias

from pytheus.cli.writing_options import WritingOptions, otlp_variables
from pytheus.push.access import Access
from pytheus.push.otlp import OtlpExporter
from pytheus.push.remote_write import RemoteWriter
from pytheus.push.termination import Termination
from pytheus.registry import REGISTRY

__all__ = ["Writers", "writers_of"]

_Writer: TypeAlias = RemoteWriter | OtlpExporter


def writers_of(options: WritingOptions) -> list[_Writer]:
    """Return the writers of the metrics of `REGISTRY`, not started.

    Raises `InvalidReceiverError` and `ConfigurationError`.
    """
    writers: list[_Writer] = []
    if options.remote_write is not None:
        access = Access(bearer_token_file=options.remote_write_token_file, ca_file=options.remote_write_ca_file)
        writers.append(
            RemoteWriter(
                options.remote_write,
                REGISTRY,
                interval_seconds=options.write_interval_seconds or 15.0,
                labels=options.remote_write_labels,
                access=access,
            )
        )
    if options.otlp is not None:
        given = otlp_variables(options.otlp)
        assert given.url is not None  # because it is that of the option, or in a variable
        access = Access(
            headers=given.headers, ca_file=given.ca_file, cert_file=given.cert_file, key_file=given.key_file
        )
        writers.append(
            OtlpExporter(
                given.url,
                REGISTRY,
                resource=given.resource,
                interval_seconds=options.write_interval_seconds or given.interval_seconds or 60.0,
                timeout_seconds=given.timeout_seconds or 10.0,
                gzip=given.gzip is not False,
                access=access,
            )
        )
    return writers


class Writers:
    """The writers of a program, from `begin` on. Call it in the main thread."""

    def __init__(self, options: WritingOptions) -> None:
        self._writers: Final = writers_of(options)
        self._termination: Final = Termination()
        self._process = 0

    def begin(self) -> None:
        """Start writing until the interpreter ends."""
        self._process = os.getpid()
        for writer in self._writers:
            writer.start()
        atexit.register(self._end)
        self._termination.install()

    def _end(self) -> None:
        if os.getpid() != self._process:
            return
        self._termination.defer()
        try:
            for writer in self._writers:
                writer.close()
        except KeyboardInterrupt:
            pass  # the user does not want to wait
        try:
            self._termination.end()
        except SystemExit:
            pass  # the interpreter ends already

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Write during a block."""
        for writer in self._writers:
            writer.start()
        try:
            yield
        finally:
            for writer in self._writers:
                writer.close()
