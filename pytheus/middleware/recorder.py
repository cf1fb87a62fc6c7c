"""Counts exchanges in the metrics of a profile.

Rules:

- An exchange costs one lookup of labels and one write per metric. Everything else is decided when the middleware is
  created: which metrics there are, and which attributes are their labels.
- A failure here, or in a function that was passed as an option, never changes a response. It is logged once for each
  place, and counted in ``pytheus_middleware_failures_total``.
- The metrics are created with the middleware, so that a conflict of names is an error at that line.
- A middleware that pytheus added by itself (`is_automatic`) gives way to those of the program: a request that both see
  is measured by the other one, and its metrics are removed if the other one defines them in another way.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Collection, Mapping, MutableMapping
from functools import lru_cache, partial
from time import perf_counter
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from pytheus.exceptions import ConflictError
from pytheus.exposition.exchange_mark import EXCHANGE_KEY
from pytheus.lazy import logger
from pytheus.metrics import Counter
from pytheus.metrics.label_types import LabelValues
from pytheus.middleware.custom_labels import custom_labels
from pytheus.middleware.exchange import OTHER, STATUSES, Exchange, header_is_stream
from pytheus.middleware.options import MiddlewareOptions, check_names
from pytheus.middleware.profiles import FIRST_BYTE, PROFILES, STREAM, Profile
from pytheus.middleware.records import Records
from pytheus.registry import REGISTRY

__all__ = ["Recorder", "has_middleware_of_program"]

S = TypeVar("S", bound=MutableMapping[str, object])

_STATUS_TEXTS: Final = {0: "", **{status: str(status) for status in STATUSES}}

AnyRecorder: TypeAlias = "Recorder[MutableMapping[str, object]]"


class Recorder(Generic[S]):
    """The metrics of one middleware, by its names or by `profile`.

    `route_of` returns the template of an exchange's route, or None. `is_automatic` is for a middleware that the program
    has not created.
    """

    def __init__(
        self,
        options: MiddlewareOptions[S],
        route_of: Callable[[Exchange[S]], str | None],
        subject: str,
        profile: Profile | None = None,
        *,
        is_automatic: bool = False,
    ) -> None:
        check_names(options, subject)
        # Any, because compiled code would refuse a value of another type in words of its own.
        given: Mapping[str, Any] = options
        name = given.get("names", "otel")
        is_http = profile is None
        _check_choice(name, PROFILES, "names", subject)
        if profile is None:
            profile = PROFILES[name]
        _check_choice(given.get("unmatched", "count"), ("count", "drop"), "unmatched", subject)
        _check_choice(given.get("streams", "drop"), ("drop", "separate", "count"), "streams", subject)
        self._registry: Final = options.get("registry", REGISTRY)
        self.key: Final = (name, is_http, options.get("prefix"), id(self._registry))
        self._unmatched: Final = profile.unmatched
        self._drops_unmatched: Final = options.get("unmatched", "count") == "drop"
        self._groups_status: Final = bool(given.get("group_status", profile.group_status))
        self._streams: Final = options.get("streams", "drop")
        self._is_stream: Final = options.get("is_stream")
        self._own_route: Final = cast("Callable[[S], object] | None", options.get("route"))
        self._route_of: Final = route_of
        self._failures: Final[dict[str, Counter]] = {}
        self.is_automatic: Final = is_automatic

        self._exclude_methods: Final = frozenset(map(str.upper, options.get("exclude_methods", ())))
        self._exclude_if: Final = options.get("exclude_if")
        self._is_excluded: Final = _matcher(options)
        self.needs_path: Final = self._is_excluded is not None

        self.measures_first_byte: Final = is_http and bool(given.get("first_byte", False))
        self.measures_sizes: Final = is_http and bool(given.get("sizes", profile.has_sizes))
        self._custom_of: Final = custom_labels(options, profile, subject, self.failed)
        self._made: Final = Records(
            options, profile, [label for label, _ in self._custom_of], _exemplar_function(options), self.failed
        )
        measures = [each for each in profile.measures if each.only_if != "sizes" or self.measures_sizes]
        if self.measures_first_byte:
            measures.append(FIRST_BYTE)
        stream = STREAM if is_http and self._streams == "separate" else None
        try:
            try:
                active, self._records, self._record_stream = self._made.create(measures, stream)
            except ConflictError:
                if not self._replaces_automatic():
                    raise
                active, self._records, self._record_stream = self._made.create(measures, stream)
        except ConflictError as error:
            raise ConflictError(
                f"{error}. {subject} takes other names with names=..., or with prefix=...",
                name=error.name,
                incumbent=error.incumbent,
            ) from error
        self._active: Final = None if active is None else active[0]
        self._active_labels: Final = None if active is None else active[1]
        # Otherwise a request costs a step for each of these.
        self._may_exclude = bool(self._exclude_methods or self._exclude_if or self._is_excluded)
        self._is_replaced = False
        self._reference: Final = partial(_itself, cast(AnyRecorder, self))
        _references.add(self._reference)

    def begin(self, exchange: Exchange[S], looks_around: bool = False) -> bool:
        """Begin to measure `exchange`; returns False if it is not to be measured.

        With `looks_around`, the source of middleware around it may be another one, which `Exchange.find_mark` knows.
        """
        try:
            source = exchange.source
            found = source.get(EXCHANGE_KEY)
            if found is None and looks_around:
                found = exchange.find_mark()
                if found is not None:
                    source[EXCHANGE_KEY] = found  # for those within
            if found is not None:
                outer = cast("Exchange[S]", found)
                if self.is_automatic or (not outer.recorder.is_automatic and self._is_measured_by(outer)):
                    return False
                if outer.recorder.is_automatic:
                    outer.leave_out()
                else:
                    exchange.outer = outer
            source[EXCHANGE_KEY] = exchange
            exchange.read_request()
            if self._may_exclude and self._excludes(exchange):
                _detach(exchange)
                return False
            if self._active is not None and self._active_labels is not None:
                active = self._active.labels(*self._active_labels(exchange))
                active.inc()
                exchange.active = active
            exchange.began = perf_counter()
            return True
        except Exception:
            self.failed("begin")
            _detach(exchange)
            return False

    def end(self, exchange: Exchange[S]) -> None:
        """Count `exchange`, which has ended."""
        try:
            status = exchange.status
            text = _STATUS_TEXTS.get(status, OTHER)
            if status >= 500 and not exchange.error_type:
                exchange.error_type = text
            exchange.status_text = f"{text[0]}xx" if self._groups_status and status in STATUSES else text
            route: str | None
            try:
                if self._own_route is None:
                    route = self._route_of(exchange)
                    if exchange.inner_route:
                        route = (route or "").rstrip("/") + exchange.inner_route
                else:
                    route = _checked(self._own_route(exchange.source))
            except Exception:
                self.failed("route")
                route = None
            active = exchange.active
            if active is not None:
                exchange.active = None
                active.dec()
            # Otherwise the scope and the exchange would refer to each other until the garbage collector runs.
            exchange.source.pop(EXCHANGE_KEY, None)
            if not route:
                if self._drops_unmatched:
                    return
                route = self._unmatched
            elif self._is_excluded is not None and self._is_excluded(route):
                return
            exchange.route = route
            if self._custom_of:
                exchange.custom = tuple([value_of(exchange) for _, value_of in self._custom_of])
            if exchange.is_stream and self._streams != "count":
                if self._record_stream is not None:
                    self._record_stream(exchange)
                return
            for record in self._records:
                record(exchange)
        except Exception:
            self.failed("end")
            self.release(exchange)

    def release(self, exchange: Exchange[S]) -> None:
        """Count `exchange` as in progress no longer."""
        active = exchange.active
        if active is not None:
            exchange.active = None
            active.dec()
        # Otherwise the scope and the exchange would refer to each other until the garbage collector runs.
        exchange.source.pop(EXCHANGE_KEY, None)

    def is_stream(self, exchange: Exchange[S]) -> bool:
        """Return whether the response, which has several parts, is a stream of events."""
        if self._streams == "count":
            return False
        try:
            headers = exchange.response_headers()
            return header_is_stream(headers) or (
                self._is_stream is not None and bool(self._is_stream(exchange.source, headers))
            )
        except Exception:
            self.failed("is_stream")
            return False

    def failed(self, place: str) -> None:
        """Count a failure, and log the first one of each place. To be called where the error is handled."""
        try:
            counter = self._failures.get(place)
            if counter is None:
                logger("pytheus.middleware").exception(
                    "the middleware failed in %r; the response is unchanged, and later failures of it are only counted",
                    place,
                )
                failures = Counter(
                    "pytheus_middleware_failures_total",
                    "Failures within the HTTP middleware, which left a request unmeasured or a label empty.",
                    ["place"],
                    registry=self._registry,
                )
                counter = self._failures[place] = failures.labels(place)
            counter.inc()
        except Exception:
            pass  # the logging or the registry fails, too

    def forget_in_progress(self) -> None:
        """In a new child of a fork: the requests in progress are those of its parent."""
        # A registry of several processes begins with zero by itself, and the numbers there may still be the parent's.
        if self._active is not None and not self._active._series.storage:
            self._active.clear()

    def _is_measured_by(self, outer: Exchange[S]) -> bool:
        exchange: Exchange[S] | None = outer
        while exchange is not None:
            if exchange.recorder.key == self.key:
                return True
            exchange = exchange.outer
        return False

    def _replaces_automatic(self) -> bool:
        """Remove the metrics of automatic middleware with the same names; returns whether there was one."""
        same = [each for each in _recorders() if each.key == self.key]
        if self.is_automatic or not same or not all(each.is_automatic for each in same):
            return False
        for each in same:
            each._may_exclude = each._is_replaced = True
            each._made.unregister()
        return True

    def _excludes(self, exchange: Exchange[S]) -> bool:
        return (
            self._is_replaced
            or exchange.method in self._exclude_methods
            or (exchange.method == OTHER and _method_as_sent(exchange.source) in self._exclude_methods)
            or (self._is_excluded is not None and self._is_excluded(exchange.path))
            or (self._exclude_if is not None and self._excludes_source(self._exclude_if, exchange.source))
        )

    def _excludes_source(self, exclude_if: Callable[[S], object], source: S) -> bool:
        try:
            return bool(exclude_if(source))
        except Exception:
            self.failed("exclude_if")
            return False


def _check_choice(value: object, choices: Collection[str], option: str, subject: str) -> None:
    if value not in choices:
        raise ValueError(f"{subject} takes {option} of {', '.join(map(repr, choices))} but got {value!r}")


def _checked(route: object) -> str | None:
    """Return `route`, which an option returned; raises `TypeError` for another type than a route has."""
    if route is None or isinstance(route, str):
        return route
    raise TypeError(f"route= must return a str or None but returned {type(route).__name__} {route!r:.80}")


def _method_as_sent(source: MutableMapping[str, object]) -> object:
    """Return the method of a scope, or of an environ."""
    return source.get("method") or source.get("REQUEST_METHOD")


def _exemplar_function(options: MiddlewareOptions[S]) -> Callable[[], LabelValues | None] | None:
    option = options.get("exemplars", False)
    if option is True:
        try:
            from pytheus.metrics.spans import current_span_labels
        except ImportError as error:
            raise ImportError(
                "exemplars=True takes exemplars from the spans of OpenTelemetry, whose API is not installed; run"
                " `pip install opentelemetry-api`, or pass a function that returns the labels"
            ) from error
        return current_span_labels
    return None if option is False else option


def _detach(exchange: Exchange[S]) -> None:
    """Leave the exchange in its source as a mark only, without a cycle of the two."""
    exchange.has_ended = True
    exchange.source = cast("S", {})


def _matcher(options: MiddlewareOptions[S]) -> Callable[[str], bool] | None:
    """Return a function that tells whether a path or template has a match; None without patterns."""
    patterns = [re.compile(pattern) for pattern in options.get("exclude", ())]
    if not patterns:
        return None

    # Clients ask for the same few paths, and a lookup takes a fraction of a match.
    @lru_cache(1024)
    def is_excluded(text: str) -> bool:
        return any(pattern.search(text) for pattern in patterns)

    return is_excluded


def _itself(recorder: AnyRecorder) -> AnyRecorder:
    return recorder


# To each recorder, from an object that it holds: a compiled class has no weak references.
_references: Final[weakref.WeakSet[partial[AnyRecorder]]] = weakref.WeakSet()


def _recorders() -> list[AnyRecorder]:
    return [reference() for reference in list(_references)]


def has_middleware_of_program() -> bool:
    """Return whether this process has middleware that pytheus has not added by itself."""
    return any(not recorder.is_automatic for recorder in _recorders())


def _after_fork_in_child() -> None:
    for recorder in _recorders():
        recorder.forget_in_progress()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
