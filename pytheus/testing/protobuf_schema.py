"""The messages of Prometheus's protobuf format: the name and kind of each field, by its number.

https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["METRIC_TYPES", "SCHEMA", "Field", "Kind", "MessageSchema"]


class Kind(NamedTuple):
    """How a field is encoded: `wire` is its wire type, and `shown` names it in errors."""

    shown: str
    wire: int


WHOLE: Final = Kind("a whole number", 0)
# In zigzag, https://protobuf.dev/programming-guides/encoding/#signed-ints
SIGNED: Final = Kind("a signed number", 0)
DOUBLE: Final = Kind("a double", 1)
TEXT: Final = Kind("a text", 2)
MESSAGE: Final = Kind("a message", 2)


class Field(NamedTuple):
    """A field of a message; `message` is the name of that within it, if it is one."""

    name: str
    kind: Kind
    message: str = ""
    is_repeated: bool = False


MessageSchema = dict[int, Field]


def _parts(name: str, message: str) -> Field:
    return Field(name, MESSAGE, message, is_repeated=True)


_VALUE: Final = Field("value", DOUBLE)
_CREATED: Final = Field("created_timestamp", MESSAGE, "Timestamp")

SCHEMA: Final[dict[str, MessageSchema]] = {
    "MetricFamily": {
        1: Field("name", TEXT),
        2: Field("help", TEXT),
        3: Field("type", WHOLE),
        4: _parts("metric", "Metric"),
        5: Field("unit", TEXT),
    },
    "Metric": {
        1: _parts("label", "LabelPair"),
        2: Field("gauge", MESSAGE, "Gauge"),
        3: Field("counter", MESSAGE, "Counter"),
        4: Field("summary", MESSAGE, "Summary"),
        5: Field("untyped", MESSAGE, "Untyped"),
        6: Field("timestamp_ms", WHOLE),
        7: Field("histogram", MESSAGE, "Histogram"),
    },
    "LabelPair": {1: Field("name", TEXT), 2: Field("value", TEXT)},
    "Gauge": {1: _VALUE},
    "Counter": {1: _VALUE, 2: Field("exemplar", MESSAGE, "Exemplar"), 3: _CREATED},
    "Untyped": {1: _VALUE},
    "Summary": {
        1: Field("sample_count", WHOLE),
        2: Field("sample_sum", DOUBLE),
        3: _parts("quantile", "Quantile"),
        4: _CREATED,
    },
    "Quantile": {1: Field("quantile", DOUBLE), 2: _VALUE},
    "Histogram": {
        1: Field("sample_count", WHOLE),
        2: Field("sample_sum", DOUBLE),
        3: _parts("bucket", "Bucket"),
        4: Field("sample_count_float", DOUBLE),
        5: Field("schema", SIGNED),
        6: Field("zero_threshold", DOUBLE),
        7: Field("zero_count", WHOLE),
        8: Field("zero_count_float", DOUBLE),
        9: _parts("negative_span", "BucketSpan"),
        10: Field("negative_delta", SIGNED, is_repeated=True),
        11: Field("negative_count", DOUBLE, is_repeated=True),
        12: _parts("positive_span", "BucketSpan"),
        13: Field("positive_delta", SIGNED, is_repeated=True),
        14: Field("positive_count", DOUBLE, is_repeated=True),
        15: _CREATED,
        16: _parts("exemplars", "Exemplar"),
    },
    "Bucket": {
        1: Field("cumulative_count", WHOLE),
        2: Field("upper_bound", DOUBLE),
        3: Field("exemplar", MESSAGE, "Exemplar"),
        4: Field("cumulative_count_float", DOUBLE),
    },
    "BucketSpan": {1: Field("offset", SIGNED), 2: Field("length", WHOLE)},
    "Exemplar": {1: _parts("label", "LabelPair"), 2: _VALUE, 3: Field("timestamp", MESSAGE, "Timestamp")},
    "Timestamp": {1: Field("seconds", WHOLE), 2: Field("nanos", WHOLE)},
}
"""The fields of each message by their numbers."""

METRIC_TYPES: Final = ("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM")
"""The names of ``MetricType`` by their numbers."""
