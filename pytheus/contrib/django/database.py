"""Measures the queries of a Django project by the hook that Django has for it, and counts its connections.

Rules:

- Each connection gets a wrapper of its queries when Django has opened it, whatever its backend. So pools of
  connections, and backends of others, are measured as they are.
- The wrapper is the outermost one, and Django removes the innermost one at the end of ``connection.execute_wrapper``.
- The operation is the first word of the statement, if it is one of `OPERATIONS`: no part of a statement is a label.

https://docs.djangoproject.com/en/stable/topics/db/instrumentation/
https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sized
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from django.db.backends.signals import connection_created

from pytheus.metrics import Counter, Histogram
from pytheus.metrics.number import Number
from pytheus.middleware.exchange import OTHER, class_name
from pytheus.native_buckets import NativeBuckets
from pytheus.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["DURATION_BUCKETS", "DjangoNames", "check_names", "measure_databases"]

DjangoNames: TypeAlias = Literal["otel", "django-prometheus"]
"""The names and labels of the metrics: OpenTelemetry's, as far as they go, or those of django-prometheus."""

DURATION_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""The upper bounds of the buckets of durations, in seconds: OpenTelemetry's for databases."""

OPERATIONS: Final = frozenset(
    {
        "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "MERGE", "REPLACE", "CALL", "EXECUTE",
        "EXPLAIN", "DECLARE", "FETCH", "COPY", "LOCK", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE",
        "SET", "SHOW", "RESET", "PRAGMA", "CREATE", "ALTER", "DROP", "TRUNCATE", "COMMENT", "GRANT", "REVOKE",
        "ANALYZE", "VACUUM", "REFRESH"
    }
)  # fmt: skip
"""The first words of statements that are an operation; each other one is ``_OTHER``."""

# Spaces, parentheses and comments may come first. Possessive, because comments that do not end must not take long.
_FIRST_WORD: Final = re.compile(r"(?:[\s(]++|--[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+(\w++)")

_SYSTEMS: Final = {"oracle": "oracle.db", "microsoft": "microsoft.sql_server"}
"""OpenTelemetry's names of systems that Django names differently."""

Execute = Callable[[object, object, bool, Mapping[str, object]], object]


def measure_databases(
    *,
    registry: Registry = REGISTRY,
    names: DjangoNames = "otel",
    buckets: Iterable[Number] = DURATION_BUCKETS,
    native: NativeBuckets | bool = False,
) -> None:
    """Measure the queries of each database, and count the connections that Django opens.

    ========================================= ========= ==================================================
    ``db_client_operation_duration_seconds``  histogram `db_system_name`, `db_operation_name`, `error_type`, `alias`
    ``db_client_connections_opened_total``    counter   `db_system_name`, `alias`
    ========================================= ========= ==================================================

    or, with ``names="django-prometheus"``, ``django_db_query_duration_seconds``, ``django_db_execute_total``,
    ``django_db_execute_many_total``, ``django_db_new_connections_total`` and ``django_db_errors_total``. A second call
    with the same registry and names does nothing. With a pool, a connection is opened when it is taken out of the pool.

    Raises `ConflictError` if another metric has one of the names, and `ValueError` for unknown `names`.
    """
    check_names(names, "measure_databases")
    if (id(registry), names) in _measured:
        return
    kind = _DjangoPrometheus if names == "django-prometheus" else _OpenTelemetry
    queries = kind(registry, buckets, native)
    _measured[id(registry), names] = queries
    connection_created.connect(queries.connected, weak=False)
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        queries.attach(connection)


def check_names(names: str, subject: str) -> None:
    """Raise `ValueError` for names that do not exist."""
    if names not in get_args(DjangoNames):
        raise ValueError(f"{subject} takes names of {', '.join(map(repr, get_args(DjangoNames)))} but got {names!r}")


class _Queries:
    """Measures the queries of the connections that it is attached to."""

    def attach(self, connection: BaseDatabaseWrapper) -> None:
        """Measure the queries of `connection`."""
        if self.execute not in connection.execute_wrappers:
            connection.execute_wrappers.insert(0, self.execute)

    def connected(self, *, connection: BaseDatabaseWrapper, **named: object) -> None:
        """Count and measure a connection that Django has opened."""
        self.attach(connection)
        self.count_connection(connection)

    def execute(
        self, execute: Execute, sql: object, params: object, many: bool, context: Mapping[str, BaseDatabaseWrapper]
    ) -> object:
        """Execute a statement, and measure it."""
        connection = context["connection"]
        error_type = ""
        began = perf_counter()
        try:
            return execute(sql, params, many, context)
        except BaseException as error:
            error_type = class_name(error)
            raise
        finally:
            self.record(connection, perf_counter() - began, sql, params if many else None, error_type)

    def count_connection(self, connection: BaseDatabaseWrapper) -> None:
        """Count a connection that Django has opened."""
        raise NotImplementedError

    def record(
        self, connection: BaseDatabaseWrapper, seconds: float, sql: object, many: object, error_type: str
    ) -> None:
        """Count a statement; `many` has the parameters of several."""
        raise NotImplementedError


class _OpenTelemetry(_Queries):
    def __init__(self, registry: Registry, buckets: Iterable[Number], native: NativeBuckets | bool) -> None:
        self._registry: Final = registry  # whose id is the key
        self._duration: Final = Histogram(
            "db_client_operation_duration_seconds",
            "Duration of the statements that the program executed.",
            ["db_system_name", "db_operation_name", "error_type", "alias"],
            buckets=buckets,
            native=native,
            registry=registry,
        )
        self._opened: Final = Counter(
            "db_client_connections_opened_total",
            "Connections that the program opened, or took out of a pool.",
            ["db_system_name", "alias"],
            registry=registry,
        )

    def count_connection(self, connection: BaseDatabaseWrapper) -> None:
        vendor = connection.vendor
        self._opened.labels(_SYSTEMS.get(vendor, vendor), connection.alias).inc()

    def record(
        self, connection: BaseDatabaseWrapper, seconds: float, sql: object, many: object, error_type: str
    ) -> None:
        vendor = connection.vendor
        system = _SYSTEMS.get(vendor, vendor)
        self._duration.labels(system, operation_of(sql), error_type, connection.alias).observe(seconds)


class _DjangoPrometheus(_Queries):
    def __init__(self, registry: Registry, buckets: Iterable[Number], native: NativeBuckets | bool) -> None:
        labels = ["alias", "vendor"]
        self._registry: Final = registry  # whose id is the key
        self._duration: Final = Histogram(
            "django_db_query_duration_seconds",
            "Duration of queries.",
            labels,
            buckets=buckets,
            native=native,
            registry=registry,
        )
        self._executed: Final = Counter(
            "django_db_execute_total", "Statements executed, with those executed together.", labels, registry=registry
        )
        self._executed_many: Final = Counter(
            "django_db_execute_many_total", "Statements executed together.", labels, registry=registry
        )
        self._opened: Final = Counter(
            "django_db_new_connections_total", "Connections opened.", labels, registry=registry
        )
        self._errors: Final = Counter(
            "django_db_errors_total", "Statements that failed, by exception.", [*labels, "type"], registry=registry
        )

    def count_connection(self, connection: BaseDatabaseWrapper) -> None:
        self._opened.labels(connection.alias, connection.vendor).inc()

    def record(
        self, connection: BaseDatabaseWrapper, seconds: float, sql: object, many: object, error_type: str
    ) -> None:
        labels = connection.alias, connection.vendor
        self._duration.labels(*labels).observe(seconds)
        if many is None:
            self._executed.labels(*labels).inc()
        else:
            count = len(many) if isinstance(many, Sized) else 1
            self._executed.labels(*labels).inc(count)
            self._executed_many.labels(*labels).inc(count)
        if error_type:
            self._errors.labels(*labels, error_type.rpartition(".")[2]).inc()


_measured: Final[dict[tuple[int, str], _Queries]] = {}


def operation_of(sql: object) -> str:
    """Return the operation of a statement.

    >>> operation_of("/* of a view */ (select 1)")
    'SELECT'
    >>> operation_of("sleep 5")
    '_OTHER'
    """
    if not isinstance(sql, str):
        return OTHER  # such as a statement that psycopg composes
    found = _FIRST_WORD.match(sql)
    if found is None:
        return OTHER
    word = found[1].upper()
    return word if word in OPERATIONS else OTHER
