"""A file for node_exporter's textfile collector, and standard output.

Rules:

- The file is whole at any moment: its successor is written beside it under a name that node_exporter leaves alone, and
  takes its place in one step. A full disk or a crash leaves the old file.
- The data is on the disk before that, so that a power failure leaves no empty file.
- Samples have no times of their own, because node_exporter refuses a whole file for one of them.
- Any user may read it by default, because node_exporter seldom runs as the job's user.

https://github.com/prometheus/node_exporter#textfile-collector
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from typing import Final

from pytheus.exceptions import PushError
from pytheus.push.deadline import checked_seconds
from pytheus.push.rendering import rendered
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY

__all__ = ["replace_file", "write_stdout", "write_textfile"]

TIMEOUT_SECONDS: Final = 10.0


def write_textfile(
    path: str | os.PathLike[str],
    registry: Registry = REGISTRY,
    *,
    mode: int = 0o644,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Write the metrics of `registry` to the file `path`, in the text format 0.0.4.

        >>> import tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "nightly.prom")
        >>> write_textfile(path)

    node_exporter reads files whose names end with ``.prom``, and exposes when they were written. A file that exists is
    replaced in one step; a link is followed. `mode` are its permissions. Collectors have `timeout_seconds`; one that is
    late or raises is left out and counted, as in a scrape. The disk has no limit. Raises `PushError` if the file cannot
    be written, and the old one stays. May be called from any thread, and by several processes, of which the last wins.
    """
    seconds = checked_seconds(timeout_seconds, "the file")
    replace_file(path, rendered(registry, seconds, "text").body, mode)


def write_stdout(registry: Registry = REGISTRY, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Write the metrics of `registry` to standard output, in the text format 0.0.4.

        >>> from pytheus.registry import CollectorRegistry
        >>> write_stdout(CollectorRegistry())

    Collectors have `timeout_seconds`, as for `write_textfile`. Raises `PushError` if it cannot be written.
    """
    seconds = checked_seconds(timeout_seconds, "standard output")
    if sys.stdout is None:
        raise PushError("there is no standard output, as in a program without a console; name a file", reason="file")
    text = rendered(registry, seconds, "text", times=True).body.decode()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError) as error:  # ValueError: it is closed, or cannot encode the text
        raise PushError(f"standard output cannot be written: {error}", reason="file") from error


def replace_file(path: str | os.PathLike[str], body: bytes, mode: int) -> None:
    """Let the file `path` have the content `body` and the permissions `mode`; raises `PushError`."""
    target = os.fspath(path)
    written: str | None = None
    try:
        target = os.path.realpath(target)
        if os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
            raise PushError(f"the file {target} is not a regular file; name another one", reason="file")
        folder, name = os.path.split(target)
        descriptor, written = tempfile.mkstemp(".tmp", f".{name[:80]}.", folder)
        with open(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(written, target)
        written = None
    except (OSError, ValueError) as error:  # ValueError: a character that no path can have
        reason = getattr(error, "strerror", None) or str(error)
        shown = target if target.isprintable() else ascii(target)
        raise PushError(f"the file {shown} cannot be written: {reason}; the old one stays", reason="file") from error
    finally:
        if written is not None:
            try:
                os.unlink(written)
            except OSError:
                pass
