"""A pytheus registry for many processes on many machines, which meet in Redis.

Chosen by name, it needs no code: ``PYTHEUS_REGISTRY=redis://db.example:6379/0?namespace=shop``. From code:

    >>> from pytheus import Counter
    >>> from pytheus_redis import RedisOptions, redis_registry
    >>> registry = redis_registry(RedisOptions(port=6390, namespace="shop"))
    >>> orders = Counter("orders_total", "Orders placed.", registry=registry)
    >>> orders.inc()
    >>> registry.close()
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
    from pytheus_redis.options import RedisOptions
    from pytheus_redis.store import RedisStore
    from pytheus_redis.trouble import Trouble

__all__ = ["RedisOptions", "RedisStore", "Trouble", "pytheus_make_registry", "pytheus_shared_path", "redis_registry"]

_HOMES = {
    "RedisOptions": "pytheus_redis.options",
    "RedisStore": "pytheus_redis.store",
    "Trouble": "pytheus_redis.trouble",
}


if not TYPE_CHECKING:  # for checkers would take the package to have every name

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            import importlib  # loaded late: naming the plugin should import no more than it must

            return getattr(importlib.import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'pytheus_redis' has no attribute {name!r}")


@hookimpl
def pytheus_make_registry(options: RegistryOptions) -> Registry:
    """A registry whose processes meet in the Redis that `options` name. Connects to nothing yet."""
    from pytheus_redis.options import SCHEMES, RedisOptions  # loaded late: only who chooses Redis needs them

    if options.name not in SCHEMES:
        return redis_registry(options.parse(RedisOptions))
    # What the rest means depends on it, so it must be there when the options are checked.
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
    """A registry whose processes meet in the Redis that `options` name.

    It publishes from a thread of its own until it is closed, and connects to nothing before that thread first does. A
    server that is not there is no error: metrics count, and are published when it is.
    """
    from pytheus.shards import ShardedRegistry  # loaded late: as above
    from pytheus_redis.store import RedisStore

    store = RedisStore(options)
    registry = ShardedRegistry(store, prefix=options.prefix, hosts=True)
    # Weakly, so that the store's thread ends with a registry that nobody has any more.
    reference = weakref.ref(registry)

    def source() -> Sequence[HasRows] | None:
        held = reference()
        return None if held is None else held.shared_metrics()

    store.begin(source)
    return registry
