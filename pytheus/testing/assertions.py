"""Assertions about metrics for an application's tests, and the value of one sample.

The frames of this module hide themselves from pytest's tracebacks, so that a failure shows the line of the test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import ContextDecorator
from typing import Final, Self

from pytheus.compose import filtered
from pytheus.exceptions import LabelError
from pytheus.exposition.text import generate_metrics
from pytheus.metrics.counter import Counter
from pytheus.metrics.histogram import Histogram
from pytheus.metrics.summary import Summary
from pytheus.registry.contract import Registry
from pytheus.testing.parse import ParsedSample, parse_exposition

__all__ = ["assert_exposition", "assert_increments", "sample_value"]

_ROUNDINGS: Final = 256


def assert_increments(
    metric: Counter | Histogram | Summary,
    by: float = 1.0,
    labels: Mapping[str, str | int] | None = None,
) -> _Increments:
    """Fail unless `metric` grows by just `by` while the block runs; ``by=0`` means that it must not.

        >>> orders = Counter("orders_total", "Orders.", ["method", "country"], registry=None)
        >>> with assert_increments(orders, by=2, labels={"method": "card"}):
        ...     orders.labels("card", "fr").inc()
        ...     orders.labels("card", "at").inc()

    Of a histogram or a summary, the number of observations grows, whatever their values. With `labels`, the series that
    have those count together; without, all of them. No series is made for it. Fractions may differ by rounding errors.
    Raises `AssertionError` that states the actual growth, `LabelError` for a label that the metric does not have, and
    `TypeError` for a metric of another type. An error of the block passes through.
    """
    __tracebackhide__ = True
    if not isinstance(metric, Counter | Histogram | Summary):
        raise TypeError(
            f"assert_increments takes a Counter, Histogram or Summary but got {metric!r}; compare the value of another"
            " metric before and after, or read it with sample_value(...)"
        )
    wanted = {name: _text(value) for name, value in ({} if labels is None else labels).items()}
    for name in wanted:
        if name not in metric.label_names:
            raise LabelError(
                f"{metric.type_} {metric.name!r} takes labels {metric.label_names!r} but got {(*wanted,)!r}"
            )
    return _Increments(metric, by, wanted)


class _Increments(ContextDecorator):
    """A context manager of plain methods, because the frames of `contextlib` do not hide themselves."""

    def __init__(self, metric: Counter | Histogram | Summary, by: float, wanted: dict[str, str]) -> None:
        self._metric = metric
        self._by = by
        self._wanted = wanted
        # One for each block that has not ended, because the same object may be entered inside of its own block.
        self._before: list[dict[tuple[tuple[str, str], ...], float]] = []

    def _recreate_cm(self) -> Self:
        # Each call of a decorated function compares by itself.
        return type(self)(self._metric, self._by, self._wanted)

    def __enter__(self) -> None:
        self._before.append(self._series())

    def __exit__(self, type_: object, error: object, traceback: object) -> None:
        __tracebackhide__ = True
        before = self._before.pop()
        if type_ is not None:
            return
        metric, by, wanted, after = self._metric, self._by, self._wanted, self._series()
        reached = sum(after.values())
        grown = reached - sum(before.values())
        # Adding a fraction to a larger number rounds it to the precision of that number, each time.
        if not math.isclose(grown, by, rel_tol=0.0, abs_tol=_ROUNDINGS * math.ulp(reached)):
            changes = [
                f"{dict(key)} by {value - before.get(key, 0.0):.12g}"
                for key, value in after.items()
                if value != before.get(key, 0.0)
            ]
            unit = "" if isinstance(metric, Counter) else " observation(s)"
            raise AssertionError(
                f"{metric.type_} {metric.name!r}{f' with {wanted}' if wanted else ''} was to grow by {by:.12g}{unit}"
                f" but grew by {grown:.12g}" + (f": {', '.join(changes)}" if wanted or metric.label_names else "")
            )

    def _series(self) -> dict[tuple[tuple[str, str], ...], float]:
        suffix = "" if isinstance(self._metric, Counter) else "_count"
        return {
            tuple(sample.labels.items()): sample.value
            for family in self._metric.collect()
            for sample in family.samples
            if sample.suffix == suffix and all(sample.labels[name] == value for name, value in self._wanted.items())
        }


def _text(value: str | int) -> str:
    """Return a label value as a metric writes it."""
    return str.__str__(value) if isinstance(value, str) else int.__repr__(value)


def sample_value(
    source: Registry | str | bytes,
    name: str,
    labels: Mapping[str, str | int] | None = None,
    *,
    content_type: str = "text/plain",
) -> float | None:
    """Return the value of one sample, by the name and labels of its line, or None if it is not exposed.

        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry(prefix="shop")
        >>> Counter("orders_total", "Orders.", ["method"], registry=registry).labels("card").inc(2)
        >>> sample_value(registry, "shop_orders_total", {"method": "card"})
        2.0
        >>> sample_value(registry, "shop_orders_total", {"method": "cash"}) is None
        True

    `source` is a registry, or the body of a response of this `content_type`; see `parse_exposition`. `name` is the name
    as exposed, with the registry's prefix and the suffix (``wait_seconds_count``, ``wait_seconds_bucket``), and
    `labels` are all labels of the sample (``{"le": "0.1"}``). A collector that raises, or an invalid text, raises as in
    `generate_metrics` with ``strict=True`` and in `parse_exposition`.
    """
    __tracebackhide__ = True
    if not isinstance(source, str | bytes):
        source, content_type = generate_metrics(source, strict=True), "text/plain"
    pairs = {label: _text(value) for label, value in ({} if labels is None else labels).items()}
    wanted = ParsedSample.of(name, pairs, 0.0)[:2]
    for family in parse_exposition(source, content_type).values():
        for sample in family.samples:
            if sample[:2] == wanted:
                return sample.value
    return None


def assert_exposition(registry: Registry, expected: str, *, names: Iterable[str] | None = None) -> None:
    """Fail, with a diff, unless `registry` is exposed as the text `expected`.

        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> Counter("orders_total", "Orders placed.", registry=registry).inc()
        >>> assert_exposition(registry, '''
        ...     # HELP orders_total Orders placed.
        ...     # TYPE orders_total counter
        ...     orders_total 1.0
        ... ''')

    The text's common indentation, and empty lines around it, do not count. With `names`, as exposed, only those
    families are compared. A collector that raises fails the assertion.
    """
    __tracebackhide__ = True
    import difflib
    import textwrap

    shown = registry if names is None else filtered(registry, names=names)
    got = generate_metrics(shown, strict=True).splitlines()
    wanted = textwrap.dedent(expected).strip("\n").rstrip().splitlines()
    if got != wanted:
        diff = difflib.unified_diff(wanted, got, "expected", "exposed", lineterm="", n=len(got) + len(wanted))
        raise AssertionError("the exposition differs from the expected text:\n" + "\n".join(diff))
