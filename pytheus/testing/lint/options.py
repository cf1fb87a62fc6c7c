"""The rules and bounds that a lint applies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from pytheus.exceptions import ConfigurationError, InvalidNameError, OutOfRangeError, PytheusError
from pytheus.testing.lint.finding import Finding
from pytheus.testing.lint.rules import RULES

if TYPE_CHECKING:
    from pytheus.plugins.config import Configuration

__all__ = ["LintOptions", "configured_options"]

_LIKE_AN_ID: Final = re.compile(r"[a-z]+(?:-[a-z]+)+")


@dataclass(frozen=True, slots=True)
class LintOptions:
    """The rules and bounds of a lint.

        >>> options = LintOptions(ignore=["no-help", "legacy_*", "unit-abbreviated:wait_ms"])
        >>> options.ignores(Finding("no-help", "wait_ms", "", ""))
        True

    An item of `ignore` is the id of a rule, the name of a metric (``*`` is any text), or ``RULE:METRIC``. `select` has
    the ids of the only rules to apply; empty, all apply. `max_series` is for the series of an exposition as Prometheus
    counts them, each bucket one, `max_series_per_metric` for the label sets of one metric, and `max_bytes` for the
    text. None means that there is no bound. Raises `InvalidNameError` for an unknown rule and `OutOfRangeError` for a
    bound below 1.
    """

    ignore: Iterable[str] = ()
    select: Iterable[str] = ()
    max_series: int | None = 10_000
    max_series_per_metric: int | None = 1_000
    max_bytes: int | None = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "ignore", _items(self.ignore, "ignore"))
        object.__setattr__(self, "select", _items(self.select, "select"))
        for item in self.select:
            if item not in RULES:
                raise _unknown(item)
        for item in self.ignore:
            rule = item.partition(":")[0]
            if rule not in RULES and _LIKE_AN_ID.fullmatch(rule):
                raise _unknown(rule)
        for name in ("max_series", "max_series_per_metric", "max_bytes"):
            bound: int | None = getattr(self, name)
            if bound is not None and (not isinstance(bound, int) or bound < 1):
                raise OutOfRangeError(f"{name} must be a whole number of at least 1 but is {bound!r:.40}")

    def ignores(self, finding: Finding) -> bool:
        """Return whether `finding` is left out by `ignore`."""
        return any(_matches(item, finding) for item in self.ignore)

    def selects(self, finding: Finding) -> bool:
        """Return whether `finding` is reported: its rule is selected, and neither rule nor metric is ignored."""
        return (not self.select or finding.rule in self.select) and not self.ignores(finding)


def configured_options(
    configuration: Configuration,
    *,
    ignore: Iterable[str] = (),
    select: Iterable[str] = (),
    max_series: int | None = None,
    max_series_per_metric: int | None = None,
) -> LintOptions:
    """Return the options of ``[tool.pytheus.lint]`` in `configuration` and those given, which decide.

    Items of `ignore` are added to those of the file. 0 means that there is no bound. Raises `ConfigurationError` for an
    option of the file that is not valid, and the errors of `LintOptions` for one that is given.
    """
    table, defaults = configuration.lint, LintOptions()
    try:
        of_file = LintOptions(
            _texts(table.get("ignore")),
            _texts(table.get("select")),
            _bound(table.get("max_series"), defaults.max_series),
            _bound(table.get("max_series_per_metric"), defaults.max_series_per_metric),
        )
    except PytheusError as error:
        raise ConfigurationError(f"{configuration.path}: [tool.pytheus.lint] is not valid: {error}") from error
    return LintOptions(
        (*of_file.ignore, *_items(ignore, "ignore")),
        _items(select, "select") or of_file.select,
        _bound(max_series, of_file.max_series),
        _bound(max_series_per_metric, of_file.max_series_per_metric),
    )


def _bound(given: object, otherwise: int | None) -> int | None:
    return (given or None) if isinstance(given, int) else otherwise


def _texts(given: object) -> tuple[str, ...]:
    return given if isinstance(given, tuple) else ()


def _items(given: Iterable[str], name: str) -> tuple[str, ...]:
    if isinstance(given, str):
        raise InvalidNameError(f"{name} must be several texts but is one, {given!r:.80}; write [{given!r:.80}]")
    return tuple(given)


def _unknown(rule: str) -> InvalidNameError:
    close = get_close_matches(rule, RULES, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return InvalidNameError(f"there is no rule {rule!r:.80}; {hint}`pytheus lint --rules` lists them")


def _matches(item: str, finding: Finding) -> bool:
    rule, colon, metric = item.partition(":")
    if rule in RULES:
        return rule == finding.rule and (not colon or fnmatchcase(finding.metric, metric))
    return finding.metric != "" and fnmatchcase(finding.metric, item)
