"""Sending metrics that no Prometheus scrapes: of batch jobs, functions, and machines behind a firewall.

Modules:

- `gateway`: the Pushgateway
- `jobs`: jobs that end, with their outcome
- `termination`: SIGTERM while a job runs
- `textfile`: files for node_exporter, and standard output
- `remote_write`, `otlp`: remote write and OTLP, at intervals beside a program
- `writer`: the thread of both
- `delivery`: the queue of a writer, and when it sends
- `outcomes`: the outcome of a request
- `leadership`: which one of several processes writes
- `remote_messages`: the messages of remote write
- `otlp_messages`: the message of OTLP
- `snapshot`: the numbers of a registry at one moment
- `readings`: the series of one collector
- `templates`: messages in which only numbers change
- `snappy`: the compression of remote write
- `rendering`: the metrics of a registry as bytes, within a limit of time
- `access`: credentials and TLS for a receiver
- `address`: the URL of a receiver, and how it is shown
- `client`: the HTTP client that sends
- `deadline`: sockets and names within a limit of time
"""

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names

if TYPE_CHECKING:
    from pytheus.push.access import Access
    from pytheus.push.gateway import delete, push
    from pytheus.push.jobs import job
    from pytheus.push.otlp import OtlpExporter
    from pytheus.push.remote_write import RemoteWriter
    from pytheus.push.textfile import write_stdout, write_textfile
    from pytheus.push.writer import WriterStatus

__all__ = [
    "Access",
    "OtlpExporter",
    "RemoteWriter",
    "WriterStatus",
    "delete",
    "job",
    "push",
    "write_stdout",
    "write_textfile",
]

if not TYPE_CHECKING:  # because a checker would assume that the package has every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "pytheus.push.access": ["Access"],
            "pytheus.push.gateway": ["delete", "push"],
            "pytheus.push.jobs": ["job"],
            "pytheus.push.otlp": ["OtlpExporter"],
            "pytheus.push.remote_write": ["RemoteWriter"],
            "pytheus.push.textfile": ["write_stdout", "write_textfile"],
            "pytheus.push.writer": ["WriterStatus"],
        },
    )
