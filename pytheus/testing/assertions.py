"""Assertions about metrics for an application's tests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from pytheus.compose import filtered
from pytheus.exceptions import LabelError
from pytheus.exposition.text import generate_metrics
from pytheus.metrics.counter import Counter
from pytheus.registry.contract import Registry

__all__ = ["assert_exposition", "assert_increments"]

_ROUNDINGS: Final = 256


@contextmanager
def assert_increments(counter: Counter, by: float = 1.0, labels: Mapping[str, str] | None = None) -> Iterator[None]:
    """Fail unless `counter` grows by just `by` while the block runs; ``by=0`` means that it must not.

        >>> orders = Counter("orders_total", "Orders.", ["method", "country"], registry=None)
        >>> with assert_increments(orders, by=2, labels={"method": "card"}):
        ...     orders.labels("card", "fr").inc()
        ...     orders.labels("card", "at").inc()

    With `labels`, the series that have those count together; without, all of them. No series is made for it. Fractions
    may differ by rounding errors. Raises `AssertionError` that states the actual growth, and
    `LabelError` for a label that the counter does not have. An error of the block passes through.
    """
    wanted = {} if labels is None else dict(labels)
    for name in wanted:
        if name not in counter.label_names:
            raise LabelError(f"counter {counter.name!r} takes labels {counter.label_names!r} but got {tuple(wanted)!r}")
    before = _series(counter, wanted)
    yield
    after = _series(counter, wanted)
    reached = sum(after.values())
    grown = reached - sum(before.values())
    # Adding a fraction to a larger number rounds it to the precision of that number, each time.
    if not math.isclose(grown, by, rel_tol=0.0, abs_tol=_ROUNDINGS * math.ulp(reached)):
        changes = [
            f"{dict(key)} by {value - before.get(key, 0.0):.12g}"
            for key, value in after.items()
            if value != before.get(key, 0.0)
        ]
        raise AssertionError(
            f"counter {counter.name!r}{f' with {wanted}' if wanted else ''} was to grow by {by:.12g} but grew"
            f" by {grown:.12g}" + (f": {', '.join(changes)}" if wanted or counter.label_names else "")
        )


def _series(counter: Counter, labels: Mapping[str, str]) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sample.labels.items()): sample.value
        for family in counter.collect()
        for sample in family.samples
        if all(sample.labels[name] == value for name, value in labels.items())
    }


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
    import difflib
    import textwrap

    shown = registry if names is None else filtered(registry, names=names)
    got = generate_metrics(shown, strict=True).splitlines()
    wanted = textwrap.dedent(expected).strip("\n").rstrip().splitlines()
    if got != wanted:
        diff = difflib.unified_diff(wanted, got, "expected", "exposed", lineterm="", n=len(got) + len(wanted))
        raise AssertionError("the exposition differs from the expected text:\n" + "\n".join(diff))
