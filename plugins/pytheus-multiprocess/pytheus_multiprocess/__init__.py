"""A pytheus registry of all processes of one machine, which share a directory.

Every process writes its numbers to a file of its own that is mapped into its memory, and a scrape of any of them adds
them up. See docs/how-to/multiprocess.md. Modules, each of which imports only those before it:

- `options`: the options of the URL and of the configuration file
- `system`: the system calls, one by one
- `origin`: how the operating system knows this process, and the clock of the machine
- `directory`: creates and checks the shared directory
- `file_format`: the format of a shard's file
- `retirement`: series that leave a living process's shard
- `shard_file`: the file of this process, for writing
- `shard_reader`: the file of any process, for reading
- `shard`: this process's series, and those that do not fit into its file
- `storage`: the storage of one metric in that shard
- `archive_file`: the archive's file, and folding
- `processes`: CPU time, memory and file descriptors of each process
- `forks`: the locks of stores during a fork
- `store`: `MultiprocessStore`, which brings them together
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pytheus.exceptions import PytheusError
from pytheus.plugins import RegistryOptions, hookimpl

if TYPE_CHECKING:
    from pytheus.shards import ShardedRegistry
    from pytheus_multiprocess.options import MultiprocessOptions

__all__ = ["multiprocess_registry", "pytheus_make_registry", "pytheus_shared_path"]

__version__ = "1.0.0"

pytheus_plugin_api = 1


@hookimpl
def pytheus_make_registry(options: RegistryOptions) -> ShardedRegistry:
    """The registry of ``multiprocess:///run/shop``."""
    from pytheus_multiprocess.options import MultiprocessOptions

    parsed = options.parse(MultiprocessOptions)
    options.refuse_unread()  # before a directory is created
    return _make_registry(parsed, parsed.prefix)


@hookimpl
def pytheus_shared_path(options: RegistryOptions) -> AbstractContextManager[str | None]:
    """The directory of the URL; without one, a private, temporary directory, which is removed at the end."""
    if "path" in options.given:
        return nullcontext()
    from tempfile import TemporaryDirectory

    return TemporaryDirectory(prefix="pytheus-", ignore_cleanup_errors=True)


def multiprocess_registry(
    directory: str | os.PathLike[str],
    *,
    prefix: str | None = None,
    max_size_bytes: int = 1 << 28,
    retention_seconds: float | None = None,
    process_metrics: bool = True,
) -> ShardedRegistry:
    """A registry of all processes that share `directory`.

        >>> import tempfile
        >>> from pytheus import Counter, generate_metrics
        >>> directory = tempfile.TemporaryDirectory()
        >>> registry = multiprocess_registry(directory.name, process_metrics=False)
        >>> Counter("orders_total", "Orders placed.", registry=registry).inc()
        >>> print(generate_metrics(registry).split("# HELP pytheus")[0], end="")
        # HELP orders_total Orders placed.
        # TYPE orders_total counter
        orders_total 1.0
        >>> registry.close()
        >>> directory.cleanup()

    The directory is created if only its last part is missing. A file is at most `max_size_bytes` large. With
    `retention_seconds`, series that only dead processes had are removed when nothing has been added to them for this
    time. `process_metrics` says whether a scrape exposes CPU time, memory and file descriptors of each process. Raises
    `pytheus_multiprocess.directory.DirectoryError` for a directory that is not private to this user.
    """
    from pytheus_multiprocess.options import MultiprocessOptions

    options = MultiprocessOptions(
        os.fspath(directory),
        max_size_bytes=max_size_bytes,
        retention_seconds=retention_seconds,
        process_metrics=process_metrics,
    )
    return _make_registry(options, prefix)


def _make_registry(options: MultiprocessOptions, prefix: str | None) -> ShardedRegistry:
    from importlib.util import find_spec

    if find_spec("fcntl") is None:
        raise PytheusError(
            "the registry 'multiprocess' needs the file locks of POSIX (fcntl), which this system does not have; use"
            " the registry 'redis' for several processes, or 'default' for one"
        )
    from pytheus.shards import ShardedRegistry
    from pytheus_multiprocess.store import MultiprocessStore

    return ShardedRegistry(MultiprocessStore(options), prefix=prefix)
