"""Measures the caches of a Django project, whatever their backends.

Rules:

- ``caches[alias]`` returns a `MeasuredCache`, which calls the cache and is an instance of its class for `isinstance`. A
  backend is not subclassed, and its calls of itself are not counted: ``get_or_set`` is one operation.
- A value that is None, or false, is a hit if the cache has it.
- Only the operations that Django documents are measured; other attributes are those of the cache.

https://docs.djangoproject.com/en/stable/topics/cache/#the-low-level-cache-api
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Final

from django.core.cache import caches

from pytheus.contrib.django.database import DURATION_BUCKETS, DjangoNames, check_names
from pytheus.metrics import Counter, Histogram
from pytheus.metrics.number import Number
from pytheus.middleware.exchange import class_name
from pytheus.native_buckets import NativeBuckets
from pytheus.registry import REGISTRY, Registry

__all__ = ["measure_caches"]

_MISSING: Final = object()


def measure_caches(
    *,
    registry: Registry = REGISTRY,
    names: DjangoNames = "otel",
    buckets: Iterable[Number] = DURATION_BUCKETS,
    native: NativeBuckets | bool = False,
) -> None:
    """Measure the operations of each cache, synchronous and asynchronous, and how many of the keys it has.

    =========================================== ========= ==================================
    ``django_cache_operation_duration_seconds`` histogram `alias`, `operation`, `error_type`
    ``django_cache_lookups_total``              counter   `alias`, `result`: hit or miss
    =========================================== ========= ==================================

    or, with ``names="django-prometheus"``, ``django_cache_get_total``, ``django_cache_get_hits_total``,
    ``django_cache_get_misses_total`` and ``django_cache_get_fail_total``, each with the label `backend`. A second call
    with the same registry and names does nothing. To be called before caches are used in other threads.

    Raises `ConflictError` if another metric has one of the names, and `ValueError` for unknown `names`.
    """
    check_names(names, "measure_caches")
    if (id(registry), names) in _measured:
        return
    operations: _Operations
    if names == "django-prometheus":
        operations = _DjangoPrometheus(registry)
    else:
        operations = _Durations(registry, buckets, native)
    _measured[id(registry), names] = operations
    create = caches.create_connection

    def create_measured(alias: str) -> object:
        return MeasuredCache(create(alias), alias, operations)

    caches.create_connection = create_measured  # there is no hook
    for alias in caches:
        if hasattr(caches._connections, alias):
            caches[alias] = MeasuredCache(caches[alias], alias, operations)


class _Operations:
    """Counts the operations of caches."""

    def record(self, cache: MeasuredCache, operation: str, seconds: float, error_type: str) -> None:
        """Count an operation."""
        raise NotImplementedError

    def look_up(self, cache: MeasuredCache, hits: int, misses: int) -> None:
        """Count the keys of an operation that reads."""
        raise NotImplementedError


class _Durations(_Operations):
    def __init__(self, registry: Registry, buckets: Iterable[Number], native: NativeBuckets | bool) -> None:
        self._registry: Final = registry  # whose id is the key
        self._duration: Final = Histogram(
            "django_cache_operation_duration_seconds",
            "Duration of the operations of caches.",
            ["alias", "operation", "error_type"],
            buckets=buckets,
            native=native,
            registry=registry,
        )
        self._lookups: Final = Counter(
            "django_cache_lookups_total", "Keys looked up in caches.", ["alias", "result"], registry=registry
        )

    def record(self, cache: MeasuredCache, operation: str, seconds: float, error_type: str) -> None:
        self._duration.labels(cache._alias, operation, error_type).observe(seconds)

    def look_up(self, cache: MeasuredCache, hits: int, misses: int) -> None:
        if hits:
            self._lookups.labels(cache._alias, "hit").inc(hits)
        if misses:
            self._lookups.labels(cache._alias, "miss").inc(misses)


class _DjangoPrometheus(_Operations):
    def __init__(self, registry: Registry) -> None:
        self._registry: Final = registry  # whose id is the key
        self._gets, self._hits, self._misses, self._fails = (
            Counter(f"django_cache_get{name}_total", description, ["backend"], registry=registry)
            for name, description in (
                ("", "Keys looked up in caches."),
                ("_hits", "Keys that caches had."),
                ("_misses", "Keys that caches did not have."),
                ("_fail", "Lookups that raised an exception."),
            )
        )

    def record(self, cache: MeasuredCache, operation: str, seconds: float, error_type: str) -> None:
        if error_type and operation.startswith("get"):
            self._gets.labels(cache._backend).inc()
            self._fails.labels(cache._backend).inc()

    def look_up(self, cache: MeasuredCache, hits: int, misses: int) -> None:
        self._gets.labels(cache._backend).inc(hits + misses)
        self._hits.labels(cache._backend).inc(hits)
        self._misses.labels(cache._backend).inc(misses)


class MeasuredCache:
    """A cache whose operations are measured."""

    __slots__ = ("_alias", "_backend", "_cache", "_operations")

    _alias: str
    _backend: str
    _cache: object
    _operations: _Operations

    def __init__(self, cache: object, alias: str, operations: _Operations) -> None:
        own = object.__setattr__  # others are attributes of the cache
        own(self, "_cache", cache)
        own(self, "_alias", alias)
        own(self, "_backend", _backend_of(cache.__class__))
        own(self, "_operations", operations)

    @property  # type: ignore[misc]  # so that isinstance() and checks of Django see the backend
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # as above
        return self._cache.__class__

    def __getattr__(self, name: str) -> object:
        return getattr(self._cache, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._cache, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._cache, name)

    def __contains__(self, key: object) -> bool:
        return bool(self._call("has_key", key))

    def __repr__(self) -> str:
        return f"<MeasuredCache of {self._cache!r}>"

    def get(self, key: object, default: object = None, *args: object, **options: object) -> object:
        """Return the value of `key`, or `default`."""
        return self._found(self._call("get", key, _MISSING, *args, **options), default)

    async def aget(self, key: object, default: object = None, *args: object, **options: object) -> object:
        """Return the value of `key`, or `default`."""
        return self._found(await self._call_async("get", key, _MISSING, *args, **options), default)

    def get_many(self, keys: Iterable[object], *args: object, **options: object) -> object:
        """Return the values of those `keys` that the cache has."""
        keys = list(keys)
        return self._found_many(keys, self._call("get_many", keys, *args, **options))

    async def aget_many(self, keys: Iterable[object], *args: object, **options: object) -> object:
        """Return the values of those `keys` that the cache has."""
        keys = list(keys)
        return self._found_many(keys, await self._call_async("get_many", keys, *args, **options))

    def get_or_set(self, key: object, default: object, *args: object, **options: object) -> object:
        """Return the value of `key`, which is `default`, or its result, if the cache had none."""
        made = _Default(default)
        value = self._call("get_or_set", key, made, *args, **options)
        self._operations.look_up(self, not made.is_used, made.is_used)
        return value

    async def aget_or_set(self, key: object, default: object, *args: object, **options: object) -> object:
        """Return the value of `key`, which is `default`, or its result, if the cache had none."""
        made = _Default(default)
        value = await self._call_async("get_or_set", key, made, *args, **options)
        self._operations.look_up(self, not made.is_used, made.is_used)
        return value

    def _found(self, value: object, default: object) -> object:
        is_hit = value is not _MISSING
        self._operations.look_up(self, is_hit, not is_hit)
        return value if is_hit else default

    def _found_many(self, keys: list[object], values: object) -> object:
        hits = len(values) if isinstance(values, dict) else 0
        self._operations.look_up(self, hits, max(0, len(keys) - hits))
        return values

    def _call(self, operation: str, *args: object, **options: object) -> object:
        method: Callable[..., object] = getattr(self._cache, operation)
        error_type = ""
        began = perf_counter()
        try:
            return method(*args, **options)
        except BaseException as error:
            error_type = class_name(error)
            raise
        finally:
            self._operations.record(self, operation, perf_counter() - began, error_type)

    async def _call_async(self, operation: str, *args: object, **options: object) -> object:
        method: Callable[..., Awaitable[object]] = getattr(self._cache, f"a{operation}")
        error_type = ""
        began = perf_counter()
        try:
            return await method(*args, **options)
        except BaseException as error:
            error_type = class_name(error)
            raise
        finally:
            self._operations.record(self, operation, perf_counter() - began, error_type)


def _add_operation(operation: str) -> None:
    """Add the methods of an operation that is passed on as it is called."""

    def call(self: MeasuredCache, *args: object, **options: object) -> object:
        return self._call(operation, *args, **options)

    async def call_async(self: MeasuredCache, *args: object, **options: object) -> object:
        return await self._call_async(operation, *args, **options)

    for name, method in ((operation, call), (f"a{operation}", call_async)):
        method.__name__ = name
        setattr(MeasuredCache, name, method)


for _operation in ("add", "set", "set_many", "touch", "delete", "delete_many", "incr", "decr", "has_key", "clear"):
    _add_operation(_operation)


class _Default:
    """The default of ``get_or_set``, as a function that notes whether it is called."""

    def __init__(self, default: object) -> None:
        self._default: Final = default
        self.is_used = False

    def __call__(self) -> object:
        self.is_used = True
        return self._default() if callable(self._default) else self._default


_measured: Final[dict[tuple[int, str], _Operations]] = {}


def _backend_of(kind: type) -> str:
    """Return the name of a backend: ``locmem``, ``redis``."""
    module = kind.__module__
    if module.startswith("django.core.cache.backends."):
        return module.rpartition(".")[2]
    return module.partition(".")[0].removeprefix("django_")
