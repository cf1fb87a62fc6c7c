"""Calls stores when this process forks and when it ends.

Rules:

- A process of one program ends by the interpreter's exit functions. A child of `multiprocessing` by fork or forkserver
  skips them and runs finalizers, and a worker of Celery skips both and sends a signal. Each way ends in `_at_exit`,
  which does its work once.
- `multiprocessing` and Celery are never imported here: a process that one of them has started has imported it already.
- `os._exit`, `execv`, and a signal that ends the process at once run nothing. The counts since the last publication are
  lost then, at most those of one interval.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from pytheus.shards import run_after_fork_in_child, watch_c_forks

__all__ = ["ProcessAware", "unwatch", "watch"]

# After the finalizers of the program, which may count.
_LAST: Final = -1_000_000


class ProcessAware(Protocol):
    """A store that acts when its process forks, and when it ends."""

    def close(self) -> None:
        """Do the work that is due at the end of the process; idempotent."""
        ...

    def before_fork(self) -> None:
        """Rest, so that a child inherits nothing half-done."""
        ...

    def after_fork_in_parent(self) -> None:
        """Continue."""
        ...

    def start_in_child(self) -> None:
        """Begin in the child of a fork."""
        ...


_stores: Final[weakref.WeakSet[ProcessAware]] = weakref.WeakSet()
_hooked = False


def watch(store: ProcessAware) -> None:
    """Call `store` at each fork and at the end of the process, as long as it exists."""
    global _hooked
    _stores.add(store)
    if not _hooked:
        _hooked = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lambda: _each(lambda store: store.before_fork()),
                after_in_parent=lambda: _each(lambda store: store.after_fork_in_parent()),
            )
        run_after_fork_in_child(_after_fork_in_child)
        watch_c_forks()
    # Each time, because the module may have been imported since.
    _hook_into_children()


def unwatch(store: ProcessAware) -> None:
    """Do not call `store` any more."""
    _stores.discard(store)


def _each(act: Callable[[ProcessAware], None]) -> None:
    for store in list(_stores):
        act(store)


def _at_exit() -> None:
    _each(lambda store: store.close())


def _after_fork_in_child() -> None:
    _each(lambda store: store.start_in_child())
    _hook_into_children()


def _hook_into_children() -> None:
    """Register for the end of a child that does not run the interpreter's exit functions."""
    processes = sys.modules.get("multiprocessing.util")  # which billiard shares
    if processes is not None:
        _add_finalizer(_stores)
        # A child forgets the finalizers that were registered before its own work begins.
        processes.register_after_fork(_stores, _add_finalizer)
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(_at_end_of_celery_worker, weak=False, dispatch_uid=__name__)


def _add_finalizer(stores: object) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, _at_end_of_child, exitpriority=_LAST)


def _at_end_of_child() -> None:
    """Do as `_at_exit`, unless the interpreter's exit functions will."""
    from multiprocessing import current_process, get_start_method

    process = type(current_process())
    if process.__name__ == "_MainProcess" or get_start_method(allow_none=True) == "spawn":
        return
    main = threading.main_thread()
    threads = [each for each in threading.enumerate() if not (each.daemon or each is main)]
    # A child of multiprocessing lives until these threads have ended, which may count until then. One of billiard does
    # not wait for them.
    if not threads or process.__module__.startswith("billiard"):
        _at_exit()
        return

    def wait() -> None:
        for thread in threads:
            thread.join()
        _at_exit()

    threading.Thread(target=wait, name="pytheus-redis-exit", daemon=False).start()


def _at_end_of_celery_worker(**_: object) -> None:
    _at_exit()
