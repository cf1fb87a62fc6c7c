"""A pytheus registry of many processes on many machines, which share Redis.

Chosen by name, it needs no code: ``PYTHEUS_REGISTRY=redis://db.example:6379/0?namespace=shop``. From code:

    >>> from pytheus import Counter
    >>> from pytheus_redis import RedisOptions, redis_registry
    >>> registry = redis_registry(RedisOptions(port=6390, namespace="shop"))
    >>> orders = Counter("orders_total", "Orders placed.", registry=registry)
    >>> orders.inc()
    >>> registry.close()

Modules, each of which imports only those before it:

- `keys`: the names of the keys in Redis
- `options`: the options of the URL and of the configuration file
- `errors`: `RedisStoreError`, and redis-py's errors as one
- `script_parts`: a script, and the Lua functions that several of them share
- `scripts`: the Lua scripts that run inside Redis
- `client`: runs scripts, through redis-py
- `shard_mirror`: this process's shard, and the changes to be sent
- `check`: the lengths and checksums of a shard
- `ended_shard`: the rows of this process's ended series, until Redis has them
- `previous_shards`: this process's earlier shards, and which of their numbers the archive contains
- `publisher`: writes this process's shard
- `reader`: reads all shards, and folds those of dead processes
- `archive_expiry`: drops series of the archive that are old
- `metrics`: the store's own metrics
- `gauge_functions`: calls the functions of gauges before a publication
- `heartbeat`: tells Redis that this process is alive
- `process_hooks`: forks, and every way in which a process can end
- `store`: `RedisStore`, which brings them together
"""

from __future__ import annotations

import dataclasses
import weakref
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pytheus.plugins import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytheus.plugins import RegistryOptions
    from pytheus.registry import HasRows, Registry
    from pytheus.shards import ShardedRegistry
    from pytheus_redis.errors import RedisStoreError
    from pytheus_redis.options import RedisOptions
    from pytheus_redis.store import RedisStore

__all__ = [
    "RedisOptions",
    "RedisStore",
    "RedisStoreError",
    "pytheus_make_registry",
    "pytheus_shared_path",
    "redis_registry",
]

_MODULES = {
    "RedisOptions": "pytheus_redis.options",
    "RedisStore": "pytheus_redis.store",
    "RedisStoreError": "pytheus_redis.errors",
}


if not TYPE_CHECKING:  # because type checkers would accept any name of the package

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            import importlib

            return getattr(importlib.import_module(_MODULES[name]), name)
        raise AttributeError(f"module 'pytheus_redis' has no attribute {name!r}")


@hookimpl
def pytheus_make_registry(options: RegistryOptions) -> Registry:
    """A registry of all processes that share a Redis. Does not connect yet."""
    from pytheus_redis.options import SCHEMES, RedisOptions

    if options.name not in SCHEMES:
        return redis_registry(options.parse(RedisOptions))
    # The scheme is checked together with the options, because it decides which of them are allowed.
    scheme = dataclasses.field(default=options.name, init=False)
    shape = dataclasses.make_dataclass(
        "RedisOptions", [("scheme", str, scheme)], bases=(RedisOptions,), frozen=True, kw_only=True
    )
    return redis_registry(options.parse(shape))


@hookimpl
def pytheus_shared_path() -> AbstractContextManager[str | None]:
    """None: processes that get the same URL share one registry."""
    return nullcontext()


def redis_registry(options: RedisOptions) -> ShardedRegistry:
    """A registry of all processes that share the Redis in `options`.

    It publishes from a thread of its own until it is closed, and connects when that thread first does. A server that is
    not available is not an error: metrics count, and are published when it is.
    """
    from pytheus.shards import ShardedRegistry
    from pytheus_redis.store import RedisStore

    store = RedisStore(options)
    registry = ShardedRegistry(store, prefix=options.prefix, hosts=True)
    # A weak reference, so that the store's thread ends when the registry is not used any more.
    reference = weakref.ref(registry)

    def source() -> Sequence[HasRows] | None:
        referred = reference()
        return None if referred is None else referred.shared_metrics()

    store.start(source)
    return registry
