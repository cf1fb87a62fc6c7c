"""The table of metric types: names, labels, numbers and merge rule of each.

A new metric type is one `Kind` here and one class in `pytheus.metrics`. Registries, exposition formats, shards, the
conformance kit and the mypy plugin read this table instead of comparing type names.

Types and suffixes: https://prometheus.io/docs/specs/om/open_metrics_spec/#metric-types
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal

from pytheus.exceptions import GaugeModeError

__all__ = [
    "GAUGE_RULES",
    "INCLUDES_DEAD",
    "KINDS",
    "GaugeMode",
    "Kind",
    "MergeRule",
    "MetricType",
    "validated_gauge_mode",
]

MetricType = Literal["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"]


class MergeRule(IntEnum):
    """How the numbers that several processes hold for one series become one number."""

    SUM = 0
    MIN = 1
    MAX = 2
    LAST = 3
    EACH = 4
    INFO = 5


class Kind:
    """The facts about one metric type that do not depend on a metric.

    - `own_suffix`: the suffix that a metric's name may already have, and that OpenMetrics omits from the family's name
    - `occupied_suffixes`: suffixes of every name that some format produces, after the family's name in OpenMetrics
    - `sample_suffixes`: suffixes that the samples of a family may have
    - `reserved_label`: the label that the exposition writes itself; "" is the metric's own name
    - `text_type`: the type in the text format 0.0.4, which knows fewer types
    - `base_numbers`: the numbers of a row besides one for each bucket bound or state, in the order of
      `pytheus.samples.Row`
    - `merge_rule`: the rule for several processes; gauges choose theirs by their mode
    - `includes_dead`: whether the numbers of processes that have ended still count
    """

    # Not a NamedTuple, whose creation took a third of a millisecond of each import of pytheus.
    __slots__ = (
        "type",
        "own_suffix",
        "occupied_suffixes",
        "sample_suffixes",
        "reserved_label",
        "text_type",
        "base_numbers",
        "merge_rule",
        "includes_dead",
    )

    def __init__(
        self,
        type: MetricType,
        own_suffix: str,
        occupied_suffixes: tuple[str, ...],
        sample_suffixes: tuple[str, ...],
        reserved_label: str | None,
        text_type: str,
        base_numbers: int,
        merge_rule: MergeRule,
        includes_dead: bool,
    ) -> None:
        self.type: Final = type
        self.own_suffix: Final = own_suffix
        self.occupied_suffixes: Final = occupied_suffixes
        self.sample_suffixes: Final = sample_suffixes
        self.reserved_label: Final = reserved_label
        self.text_type: Final = text_type
        self.base_numbers: Final = base_numbers
        self.merge_rule: Final = merge_rule
        self.includes_dead: Final = includes_dead

    @property
    def suffix_required(self) -> bool:
        """Whether every sample has `own_suffix`, and the family in the text format."""
        return self.own_suffix != "" and "" not in self.sample_suffixes


KINDS: Final[dict[str, Kind]] = {
    kind.type: kind
    for kind in (
        Kind("counter", "_total", ("", "_total", "_created"), ("", "_total", "_created"),
             None, "counter", 1, MergeRule.SUM, True),
        Kind("gauge", "", ("",), ("",), None, "gauge", 1, MergeRule.SUM, False),
        Kind("histogram", "", ("", "_bucket", "_sum", "_count", "_created"), ("_bucket", "_sum", "_count", "_created"),
             "le", "histogram", 2, MergeRule.SUM, True),
        Kind("gaugehistogram", "", ("", "_bucket", "_gsum", "_gcount"), ("_bucket", "_gsum", "_gcount"),
             "le", "histogram", 2, MergeRule.SUM, False),
        Kind("summary", "", ("", "_sum", "_count", "_created"), ("", "_sum", "_count", "_created"),
             "quantile", "summary", 2, MergeRule.SUM, True),
        Kind("info", "_info", ("", "_info"), ("_info",), None, "gauge", 0, MergeRule.INFO, False),
        Kind("stateset", "", ("",), ("",), "", "gauge", 0, MergeRule.MAX, False),
        Kind("unknown", "", ("",), ("",), None, "untyped", 1, MergeRule.SUM, False),
    )
}  # fmt: skip
"""Each metric type by its name."""

GaugeMode = Literal["sum", "min", "max", "last", "each"]

INCLUDES_DEAD: Final = " of all"
"""The end of a gauge's mode that includes processes that have ended."""

GAUGE_RULES: Final[dict[str, MergeRule]] = {
    "sum": MergeRule.SUM,
    "min": MergeRule.MIN,
    "max": MergeRule.MAX,
    "last": MergeRule.LAST,
    "each": MergeRule.EACH,
}
"""The rule of each gauge mode, which may end with `INCLUDES_DEAD`."""


def validated_gauge_mode(name: object, mode: object, processes: object) -> str:
    """Return both as in `Definition.mode`, such as "max" or "max of all".

    The sum of live processes is "".
    """
    if mode not in GAUGE_RULES:
        raise GaugeModeError(f"gauge {name!r} takes a mode of {', '.join(GAUGE_RULES)} but got {mode!r:.80}")
    if processes not in ("live", "all"):
        raise GaugeModeError(f"gauge {name!r} takes processes of 'live' or 'all' but got {processes!r:.80}")
    if processes == "all":
        return f"{mode}{INCLUDES_DEAD}"
    return "" if mode == "sum" else str(mode)
