"""Reads the messages of remote write by protobuf's own library, from the names and numbers of their fields.

https://github.com/prometheus/prometheus/blob/main/prompb/types.proto and
https://github.com/prometheus/prometheus/blob/main/prompb/io/prometheus/write/v2/types.proto
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["series_of", "parsed_1", "parsed_2", "plain"]

HISTOGRAM = (
    "count_int 1 uint64, sum 3 double, schema 4 sint32, zero_threshold 5 double, zero_count_int 6 uint64,"
    " negative_spans 8 *Span, negative_deltas 9 *sint64, positive_spans 11 *Span, positive_deltas 12 *sint64,"
    " reset_hint 14 int32, timestamp 15 int64"
)
SPAN = "offset 1 sint32, length 2 uint32"

SCHEMAS = {
    "v1": {
        "Request": "timeseries 1 *Series, metadata 3 *Metadata",
        "Series": "labels 1 *Label, samples 2 *Sample, exemplars 3 *Exemplar, histograms 4 *Histogram",
        "Label": "name 1 string, value 2 string",
        "Sample": "value 1 double, timestamp 2 int64",
        "Exemplar": "labels 1 *Label, value 2 double, timestamp 3 int64",
        "Metadata": "type 1 int32, metric_family_name 2 string, help 4 string, unit 5 string",
        "Histogram": HISTOGRAM,
        "Span": SPAN,
    },
    "v2": {
        "Request": "symbols 4 *string, timeseries 5 *Series",
        "Series": "labels_refs 1 *uint32, samples 2 *Sample, histograms 3 *Histogram, exemplars 4 *Exemplar,"
        " metadata 5 Metadata",
        "Sample": "value 1 double, timestamp 2 int64, start_timestamp 3 int64",
        "Exemplar": "labels_refs 1 *uint32, value 2 double, timestamp 3 int64",
        "Metadata": "type 1 int32, help_ref 3 uint32, unit_ref 4 uint32",
        "Histogram": f"{HISTOGRAM}, start_timestamp 17 int64",
        "Span": SPAN,
    },
}


@cache
def _request(version: str) -> Any:
    """The class of the message of a request."""
    descriptors: Any = import_module("google.protobuf.descriptor_pb2")
    types = descriptors.FieldDescriptorProto
    file = descriptors.FileDescriptorProto(name=f"{version}.proto", package=version, syntax="proto3")
    for message, fields in SCHEMAS[version].items():
        described = file.message_type.add(name=message)
        for field in fields.split(", "):
            name, number, kind = field.split()
            scalar = getattr(types, f"TYPE_{kind.strip('*').upper()}", None)
            described.field.add(
                name=name,
                number=int(number),
                label=types.LABEL_REPEATED if kind.startswith("*") else types.LABEL_OPTIONAL,
                type=types.TYPE_MESSAGE if scalar is None else scalar,
                type_name=f".{version}.{kind.strip('*')}" if scalar is None else None,
            )
    pool = import_module("google.protobuf.descriptor_pool").DescriptorPool()
    pool.Add(file)
    return import_module("google.protobuf.message_factory").GetMessageClass(
        pool.FindMessageTypeByName(f"{version}.Request")
    )


def _parsed(version: str, body: bytes) -> Any:
    message = _request(version).FromString(body)
    _fail_on_unknown(message)
    return message


def _fail_on_unknown(message: Any) -> None:
    unknown = import_module("google.protobuf.unknown_fields").UnknownFieldSet(message)
    assert not [(field.field_number, field.data) for field in unknown]
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                _fail_on_unknown(each)


def parsed_1(body: bytes) -> Any:
    """A request of 1.0. Fails if anything in it is unknown."""
    return _parsed("v1", body)


def parsed_2(body: bytes) -> Any:
    """A request of 2.0. Fails if anything in it is unknown."""
    return _parsed("v2", body)


def series_of(request: Any) -> list[tuple[dict[str, str], Any]]:
    """The labels of each series of a request, of either version, and the series. Fails if they are not sorted."""
    found: list[tuple[dict[str, str], Any]] = []
    for series in request.timeseries:
        pairs = plain(request, series)
        assert pairs == sorted(pairs)
        assert len(dict(pairs)) == len(pairs)
        assert all(value for _, value in pairs)
        found.append((dict(pairs), series))
    return found


def plain(request: Any, labelled: Any) -> list[tuple[str, str]]:
    """The labels of a series or an exemplar."""
    if hasattr(labelled, "labels"):
        return [(label.name, label.value) for label in labelled.labels]
    texts = [request.symbols[place] for place in labelled.labels_refs]
    assert request.symbols[0] == ""
    return list(zip(texts[::2], texts[1::2], strict=True))
