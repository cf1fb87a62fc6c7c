"""Expressions of PromQL: names and strings in quotes, selectors, rates, quantiles.

Rules:

- A legacy name is written plainly, any other one in quotes, as only Prometheus 3 reads it. A word of the language is
  selected by its label ``__name__``, which every version reads.
- No expression contains a ``$`` or ``[[`` that comes from a name or value: Grafana would take it for a variable. PromQL
  has escapes for each character of a string.
- Prometheus renames the labels `job` and `instance` of a metric, which are those of the target.

https://prometheus.io/docs/prometheus/latest/querying/basics/
https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from pytheus.dashboard.families import FamilyInfo
from pytheus.escaping import is_legacy_label, is_legacy_name

__all__ = [
    "LABELS_AT_MOST",
    "Matcher",
    "QUANTILES",
    "Scope",
    "aggregated",
    "labels_of",
    "mean",
    "number",
    "observations",
    "quantile",
    "quote",
    "rate",
    "saturation",
    "selector",
    "share",
    "stored_labels",
]

LABELS_AT_MOST: Final = 2
"""The number of a family's own labels by which an expression is kept apart; it is added up over the others."""

QUANTILES: Final = (0.5, 0.95, 0.99)

# Those that the grammar does not accept as the name of a metric, and as a label in `by`, in small or capital letters.
_NOT_NAMES: Final = frozenset({"bool", "ignoring", "on", "group_left", "group_right", "atan2", "inf", "nan"})
_NOT_GROUPED: Final = frozenset({"without", "inf", "nan"})
_ESCAPED: Final = re.compile(r'[\\"$\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]|\[(?=\[)')


class Scope(NamedTuple):
    """Where an expression applies: `matchers` select the targets, `window` is the range of a rate."""

    matchers: str
    window: str


class Matcher(NamedTuple):
    """One matcher of a selector.

    >>> print(Matcher("code", "=~", "5.."))
    code=~"5.."
    """

    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    def __str__(self) -> str:
        return f"{_label(self.label)}{self.operator}{quote(self.value)}"


def quote(text: str) -> str:
    """Return `text` as a string of PromQL.

    >>> print(quote('a "b" $c'))
    "a \\"b\\" \\x24c"
    """
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '\\"':
        return "\\" + character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def number(value: float) -> str:
    """Return `value` as PromQL reads it, exactly: a quantile is compared with the bound of a bucket.

    >>> number(10.0), number(0.1), number(38.443359375)
    ('10', '0.1', '38.443359375')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def selector(name: str, scope: Scope, *matchers: Matcher) -> str:
    """Return a selector of the series `name` in `scope`.

    >>> selector("up", Scope('job="shop"', "5m"))
    'up{job="shop"}'
    >>> selector("http.requests", Scope('job="shop"', "5m"))
    '{"http.requests",job="shop"}'
    """
    within = [matcher for matcher in (scope.matchers, *map(str, matchers)) if matcher]
    lead = ""
    if not is_legacy_name(name):
        within.insert(0, quote(name))
    elif name.lower() in _NOT_NAMES:
        within.insert(0, f"__name__={quote(name)}")
    else:
        lead = name
    return f"{lead}{{{','.join(within)}}}"


def labels_of(family: FamilyInfo) -> tuple[str, ...]:
    """Return the labels of `family` as `stored_labels` does."""
    return stored_labels(family.labels)


def stored_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return `labels` as they are in Prometheus, without those that cannot be grouped by.

    >>> stored_labels(["job", "code"])
    ('exported_job', 'code')
    """
    renamed = (f"exported_{label}" if label in ("job", "instance") else label for label in labels)
    return tuple(label for label in renamed if label.lower() not in _NOT_GROUPED)


def _label(label: str) -> str:
    return label if is_legacy_label(label) else quote(label)


def aggregated(operator: str, labels: Iterable[str], operand: str) -> str:
    """Return the aggregation of `operand` by `labels`.

    >>> aggregated("sum", ["code"], "hits")
    'sum by (code) (hits)'
    """
    by = ", ".join(map(_label, labels))
    return f"{operator} by ({by}) ({operand})" if by else f"{operator}({operand})"


def rate(name: str, scope: Scope, labels: Iterable[str], *matchers: Matcher) -> str:
    """Return the increase per second of the counter `name`, added up by `labels`.

    >>> rate("hits_total", Scope('job="shop"', "5m"), ["code"])
    'sum by (code) (rate(hits_total{job="shop"}[5m]))'
    """
    return aggregated("sum", labels, f"rate({selector(name, scope, *matchers)}[{scope.window}])")


def observations(family: FamilyInfo, scope: Scope, labels: Iterable[str], *matchers: Matcher) -> str:
    """Return the observations per second of a histogram or summary, by `labels`.

    A server that scrapes native histograms has no series ``_count`` for them, unless it is told to.
    """
    by = tuple(labels)
    counted = rate(f"{family.name}_count", scope, by, *matchers)
    if not family.is_native:
        return counted
    native = f"histogram_count(rate({selector(family.name, scope, *matchers)}[{scope.window}]))"
    return f"{aggregated('sum', by, native)} or {counted}"


def mean(family: FamilyInfo, scope: Scope, labels: Iterable[str]) -> str:
    """Return the mean of the observations of a summary, by `labels`."""
    by = tuple(labels)
    return f"{rate(f'{family.name}_sum', scope, by)} / {rate(f'{family.name}_count', scope, by)}"


def quantile(family: FamilyInfo, q: float, scope: Scope, labels: Iterable[str] = ()) -> str:
    """Return the quantile `q` of a histogram, by `labels`: of native buckets where the server has them, else of others.

    >>> quantile(FamilyInfo("wait_seconds", "histogram", ""), 0.95, Scope('job="shop"', "5m"))
    'histogram_quantile(0.95, sum by (le) (rate(wait_seconds_bucket{job="shop"}[5m])))'

    The buckets of a gauge histogram are gauges, which have no rate.
    """
    by = tuple(labels)

    def buckets(name: str) -> str:
        selected = selector(name, scope)
        return selected if family.type == "gaugehistogram" else f"rate({selected}[{scope.window}])"

    classic = f"histogram_quantile({q:g}, {aggregated('sum', ('le', *by), buckets(f'{family.name}_bucket'))})"
    if not family.is_native:
        return classic
    return f"histogram_quantile({q:g}, {aggregated('sum', by, buckets(family.name))}) or {classic}"


def share(part: FamilyInfo, whole: FamilyInfo, scope: Scope, labels: Iterable[str]) -> str:
    """Return the share of the counter `whole` that `part` counts, by `labels`, which both have."""
    by = tuple(labels)
    return f"{rate(part.name, scope, by)} / {rate(whole.name, scope, by)}"


def saturation(usage: FamilyInfo, limit: FamilyInfo, scope: Scope) -> str:
    """Return the share of `limit` that is in use, by instance and the labels of the limit.

    A limit of 0 or below says that there is no limit, as in ``process_virtual_memory_max_bytes``.
    """
    by = ("job", "instance", *labels_of(limit))
    used, most = (aggregated("sum", by, selector(family.name, scope)) for family in (usage, limit))
    return f"{used} / ({most} > 0)"
