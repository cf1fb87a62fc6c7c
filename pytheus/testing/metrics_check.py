"""A check of the metrics that a test makes or changes, and of the number of series that it adds.

Rules:

- The baseline is the metrics that are registered when the check begins, with their series. Registries that a block of
  `REGISTRY.use` hides count, too. A registry that is not chosen yet stays so: it has no metrics.
- Registries whose block of `REGISTRY.use` begins and ends during the check count as they are at its end. Their baseline
  is the beginning of their first block. Two such registries may have metrics of one name, which are checked apart.
- Only metrics that are new, or whose numbers have changed, are checked, and of their series only those.
- Collectors without rows, which read their numbers elsewhere, are called only if they are new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, Literal, NamedTuple

from pytheus.definitions import Definition
from pytheus.exceptions import OutOfRangeError
from pytheus.interruption import is_interruption
from pytheus.names import prefix_lead
from pytheus.plugins.config import Configuration, load_configuration
from pytheus.registry.capabilities import HasRows
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.proxy import REGISTRY, CollectorRegistryProxy
from pytheus.registry.traversal import (
    FailedSeries,
    Proxy,
    definition_of,
    registered_collectors,
    walk,
    wrapped_registries,
)
from pytheus.samples import Row
from pytheus.testing.lint.engine import lint_families
from pytheus.testing.lint.family import LintFamily, families_of_collector, family_of_rows
from pytheus.testing.lint.finding import Finding, shown_text
from pytheus.testing.lint.options import LintOptions, configured_options
from pytheus.testing.lint.rules import Severity

__all__ = ["MAX_NEW_SERIES", "MAX_NEW_SERIES_PER_METRIC", "MetricsCheck"]

MAX_NEW_SERIES: Final = 1000
"""The most series that a test may add to all metrics, unless it or the configuration says otherwise."""

MAX_NEW_SERIES_PER_METRIC: Final = 100
"""The most series that a test may add to one metric."""

_Rows = dict[tuple[str, ...], Row]


class _Held(NamedTuple):
    """A registered collector, the text before its name, and its series with their numbers."""

    collector: Collector
    definition: Definition | None
    lead: str
    rows: _Rows
    has_rows: bool


class MetricsCheck:
    """A check that begins now: `check` fails if metrics made or changed since then break conventions or grow too much.

    The metrics are those of `registry`. Options are those of ``[tool.pytheus.lint]`` in the configuration file, and
    `configure` changes them. A series is one label set of a metric. Use it from one thread.

    Of a registry that a block of `REGISTRY.use` used, the metrics at its end count, too. Metrics that were unregistered
    meanwhile, and series that were removed, do not.

        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> since = MetricsCheck(registry)
        >>> visits = Counter("visits_total", "Visits.", ["user"], registry=registry)
        >>> for user in range(3):
        ...     visits.labels(user).inc()
        >>> since.configure(max_new_series_per_metric=2)
        >>> since.check()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        AssertionError: 1 fault of the metrics that were made or changed:
          visits_total (...): it has 3 new series, more than 2; the label 'user' has 3 new values: '0', '1', '2'
            leave 'user' out, replace its values by a small set, or allow more: max_new_series_per_metric=3

    Raises `ConfigurationError` for a configuration file that is not valid.
    """

    def __init__(self, registry: Registry = REGISTRY, *, configuration: Configuration | None = None) -> None:
        self._configuration: Final = load_configuration() if configuration is None else configuration
        # The series that the test adds have bounds of their own.
        self._options = self._with_ignored(())
        table = self._configuration.lint
        self._max_new_series = _bound(table, "max_new_series", MAX_NEW_SERIES)
        self._max_new_series_per_metric = _bound(table, "max_new_series_per_metric", MAX_NEW_SERIES_PER_METRIC)
        self._registry = registry
        self._before = _held(registry)
        # By the id of the registry, which the values keep: its collectors at the end of its last block.
        self._blocks: dict[int, tuple[Registry, dict[int, _Held]]] = {}
        self._observe(on=True)

    def _observe(self, *, on: bool) -> None:
        for current in walk(self._registry, resolve=False):
            if isinstance(current, CollectorRegistryProxy):
                current.observe_blocks(self, on=on)

    def block_begins(self, registry: Registry, /) -> None:
        """Begin to check the metrics of `registry`; see `pytheus.registry.traversal.BlockObserver`."""
        if id(registry) not in self._blocks:
            held = _held_or_none(registry)
            self._blocks[id(registry)] = registry, held
            for key, each in held.items():
                self._before.setdefault(key, each)

    def block_ends(self, registry: Registry, /) -> None:
        """Keep the metrics of `registry` for the check; see `pytheus.registry.traversal.BlockObserver`."""
        self._blocks[id(registry)] = registry, _held_or_none(registry)

    def stop(self) -> None:
        """Look at no block of `REGISTRY.use` that begins or ends from now on."""
        self._observe(on=False)

    def configure(
        self,
        *,
        max_new_series: int | Literal["configured"] | None = "configured",
        max_new_series_per_metric: int | Literal["configured"] | None = "configured",
        ignore: Iterable[str] = (),
        registry: Registry | None = None,
    ) -> None:
        """Change the bounds, where None means that there is no bound, and add rules or metrics to ignore.

        `ignore` is that of `pytheus.testing.lint.LintOptions`. A `registry` is watched from now on in place of the
        first one. Raises `OutOfRangeError` for a bound below 0 and `InvalidNameError` for an unknown rule.
        """
        for name, bound in (
            ("max_new_series", max_new_series),
            ("max_new_series_per_metric", max_new_series_per_metric),
        ):
            if isinstance(bound, bool) or not (
                bound in (None, "configured") or (isinstance(bound, int) and bound >= 0)
            ):
                raise OutOfRangeError(f"{name} must be a whole number of at least 0, or None, but is {bound!r:.40}")
        options = self._with_ignored((*self._options.ignore, *ignore))
        before = self._before if registry is None else _held(registry)
        self._options, self._before = options, before
        if registry is not None:
            self._observe(on=False)
            self._registry = registry
            self._blocks.clear()
            self._observe(on=True)
        if max_new_series != "configured":
            self._max_new_series = max_new_series
        if max_new_series_per_metric != "configured":
            self._max_new_series_per_metric = max_new_series_per_metric

    def _with_ignored(self, ignore: Iterable[str]) -> LintOptions:
        return configured_options(self._configuration, ignore=ignore, max_series=0, max_series_per_metric=0)

    def check(self) -> None:
        """Raise `AssertionError` with all faults of the metrics that were made or changed since the beginning."""
        __tracebackhide__ = True
        # Registries may have the same metric, one after the other.
        faults = list(dict.fromkeys(self._faults()))
        if faults:
            count = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}"
            lines = "\n".join(f"  {fault}\n    {remedy}" for fault, remedy in faults)
            raise AssertionError(f"{count} of the metrics that were made or changed:\n{lines}")

    def _faults(self) -> Iterator[tuple[str, str]]:
        """Yield each fault and its remedy."""
        grown: dict[str, int] = {}
        present = _held(self._registry)
        lists: list[list[LintFamily]] = []
        for held in (present, *(ended for _, ended in list(self._blocks.values()))):
            families: list[LintFamily] = []
            for key, each in held.items():
                if held is present or key not in present:
                    yield from self._changed(each, self._before.get(key), families, grown)
            lists.append(families)
        total = sum(grown.values())
        if self._max_new_series is not None and total > self._max_new_series:
            largest = sorted(grown, key=lambda name: -grown[name])[:3]
            shown = ", ".join(f"{name} {grown[name]}" for name in largest)
            fault = f"there are {total} new series, more than {self._max_new_series}; most are of {shown}"
            yield fault, f"leave out labels or metrics, or allow more: max_new_series={total}"
        threshold = Severity[str(self._configuration.lint.get("fail_on", "warning")).upper()]
        # Metrics of registries that were in use one after the other do not conflict.
        for finding in dict.fromkeys(
            chain.from_iterable(lint_families(each, self._options).findings for each in lists)
        ):
            if finding.severity >= threshold:
                yield f"{_place(finding)}{finding.message} [{finding.rule}]", finding.remedy

    def _changed(
        self, held: _Held, before: _Held | None, families: list[LintFamily], grown: dict[str, int]
    ) -> Iterator[tuple[str, str]]:
        """Add the changes since `before` to `families` and `grown`, and yield a fault of its number of series."""
        definition = held.definition
        if definition is None or not held.has_rows:
            families += _families(held) if before is None else []
            return
        old: _Rows = {} if before is None else before.rows
        changed = [row for labels, row in held.rows.items() if labels not in old or _differ(old[labels], row)]
        if changed or before is None:
            families.append(family_of_rows(definition, changed, held.lead))
            new = [row.labels for row in changed if row.labels not in old]
            name = held.lead + definition.name
            grown[name] = max(len(new), grown.get(name, 0))
            yield from self._growth(held, definition, old, new)

    def _growth(
        self, held: _Held, definition: Definition, old: _Rows, new: list[tuple[str, ...]]
    ) -> Iterator[tuple[str, str]]:
        bound = self._max_new_series_per_metric
        name = held.lead + definition.name
        finding = Finding("too-many-series", name, "", "", "", 0, definition.location)
        if bound is None or len(new) <= bound or self._options.ignores(finding):
            return
        # The values of each label that no series had before.
        values = {
            label: dict.fromkeys(labels[place] for labels in new) for place, label in enumerate(definition.labels)
        }
        for place, label in enumerate(definition.labels):
            for labels in old:
                values[label].pop(labels[place], None)
        fault = f"{_place(finding)}it has {len(new)} new series, more than {bound}"
        allow = f"allow more: max_new_series_per_metric={len(new)}"
        if not definition.labels:
            yield fault, allow
            return
        label = max(values, key=lambda each: len(values[each]))
        shown = ", ".join(shown_text(value) for value in [*values[label]][:3])
        fault += f"; the label {label!r} has {len(values[label])} new values: {shown}"
        yield fault, f"leave {label!r} out, replace its values by a small set, or {allow}"


def _bound(table: Mapping[str, object], name: str, otherwise: int) -> int | None:
    given = table.get(name, otherwise)
    return (given or None) if isinstance(given, int) else otherwise


def _place(finding: Finding) -> str:
    where = f" ({finding.location})" if finding.location else ""
    return f"{finding.metric}{where}: " if finding.metric else ""


def _held(registry: Registry) -> dict[int, _Held]:
    """Return the collectors of `registry` and of those below it by the id of their metric, which the values keep."""
    found: dict[int, _Held] = {}
    with FailedSeries():
        for current in walk(registry, resolve=False):
            if isinstance(current, Proxy) or wrapped_registries(current, resolve=False):
                continue
            lead = prefix_lead(current.prefix)
            for collector in registered_collectors(current):
                definition = definition_of(collector)
                key = id(collector) if definition is None else id(definition)
                if key not in found:
                    rows = _rows(collector, definition)
                    found[key] = _Held(collector, definition, lead, rows or {}, rows is not None)
    return found


def _held_or_none(registry: Registry) -> dict[int, _Held]:
    """Return the collectors of `registry`; none if it raises, because the end of a block must not fail."""
    try:
        return _held(registry)
    except BaseException as error:
        if is_interruption(error):
            raise
        return {}


def _rows(collector: Collector, definition: Definition | None) -> _Rows | None:
    """Return the numbers of each series, or None for a collector that has no rows, or whose rows fail."""
    if definition is None:
        return None
    try:
        return {row.labels: row for row in collector.rows()} if isinstance(collector, HasRows) else None
    except BaseException as error:
        if is_interruption(error):
            raise
        return None


def _differ(one: Row, other: Row) -> bool:
    return one.numbers != other.numbers or one.info != other.info or one.native != other.native


def _families(held: _Held) -> list[LintFamily]:
    """Return the families of a collector; one that fails has none, as in a scrape."""
    try:
        with FailedSeries():
            return families_of_collector(held.collector, held.lead)
    except BaseException as error:
        if is_interruption(error):
            raise
        return []
