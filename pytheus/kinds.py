"""The table of metric types: names, labels, numbers and merge rule of each.

A new metric type is one `Kind` here and one class in `pytheus.metrics`. Registries, exposition formats, shards, the
conformance kit and the mypy plugin read this table instead of comparing type names.

Types and suffixes: https://prometheus.io/docs/specs/om/open_metrics_spec/#metric-types
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, NamedTuple

__all__ = ["GAUGE_RULES", "INCLUDES_DEAD", "KINDS", "GaugeMode", "Kind", "MergeRule", "MetricType"]

MetricType = Literal["counter", "gauge", "histogram", "summary", "info", "stateset", "unknown"]


class MergeRule(IntEnum):
    """How the numbers that several processes hold for one series become one number."""

    SUM = 0
    MIN = 1
    MAX = 2
    LAST = 3
    EACH = 4
    INFO = 5


class Kind(NamedTuple):
    """The facts about one metric type that do not depend on a metric."""

    type: MetricType
    own_suffix: str
    """The suffix that a metric's name may already have, and that OpenMetrics leaves out of the family's name."""
    occupied_suffixes: tuple[str, ...]
    """Suffixes of every name that some format produces, after the family's name in OpenMetrics."""
    sample_suffixes: tuple[str, ...]
    """Suffixes that the samples of a family may have."""
    reserved_label: str | None
    """The label that the exposition writes itself; "" is the metric's own name."""
    text_type: str
    """The type in the text format 0.0.4, which knows fewer types."""
    base_numbers: int
    """The numbers of a row besides one for each bucket bound or state, as `pytheus.samples.Row` orders them."""
    merge_rule: MergeRule
    """The rule for several processes; gauges choose theirs by their mode."""
    includes_dead: bool
    """Whether the numbers of processes that have ended still count."""

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
