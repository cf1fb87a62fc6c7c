"""What metrics and labels may be called, and which names a metric family occupies.

Metric names: ``[a-zA-Z_:][a-zA-Z0-9_:]*``; label names: ``[a-zA-Z_][a-zA-Z0-9_]*``, those that begin with ``__`` being
reserved for Prometheus's own use (https://prometheus.io/docs/concepts/data_model/). A histogram's ``le`` and a
summary's ``quantile`` are written by the exposition itself and cannot be a user's label.

A family occupies more names than its own: a histogram ``h`` is exposed as ``h_bucket``, ``h_sum``, ``h_count`` and, in
OpenMetrics, ``h_created`` (https://prometheus.io/docs/specs/om/open_metrics_spec/#suffixes). Two families of which one
occupies a name of the other cannot stand in one exposition, so registries compare `occupied_names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pytheus.exceptions import InvalidNameError, LabelError, NotTextError
from pytheus.kinds import KINDS, MetricType

__all__ = [
    "FAILURES_NAME",
    "RESERVED_NAMES",
    "base_name",
    "occupied_names",
    "prefix_lead",
    "reserved_label",
    "shown",
    "validate_label_name",
    "validate_label_names",
    "validate_metric_name",
    "validate_prefix",
    "validate_text",
]

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def base_name(name: str, type_: MetricType) -> str:
    """The family's name in OpenMetrics: a counter's without ``_total``, an info's without ``_info``."""
    suffix = KINDS[type_].own_suffix
    if suffix and name.endswith(suffix) and len(name) > len(suffix):
        return name[: -len(suffix)]
    return name


def occupied_names(name: str, type_: MetricType) -> tuple[str, ...]:
    """Every name that the family `name` of type `type_` produces in some exposition format, its own first."""
    base = base_name(name, type_)
    names = [name]
    for suffix in KINDS[type_].occupied_suffixes:
        produced = base + suffix
        if produced not in names:
            names.append(produced)
    return tuple(names)


def reserved_label(name: str, type_: MetricType) -> str | None:
    """The label that the exposition of metric `name` writes itself, which its definition must not have; or None."""
    reserved = KINDS[type_].reserved_label
    return name if reserved == "" else reserved


FAILURES_NAME: Final = "pytheus_collector_errors_total"
"""What counts the collectors that failed in a scrape."""

RESERVED_NAMES: Final = occupied_names(FAILURES_NAME, "counter")
"""The names that no collector can have."""


def validate_text(text: object, subject: str) -> str:
    """`text` as an exact str that UTF-8 can carry, or an error that names `subject`."""
    if not isinstance(text, str):
        raise NotTextError(f"{subject} must be a str but got {shown(text)}; convert it with str(...) where it is made")
    plain = text if type(text) is str else str.__str__(text)
    try:
        plain.encode("utf-8")
    except UnicodeEncodeError:
        raise LabelError(
            f"{subject} holds a lone surrogate ({text!r}), which UTF-8 and so an exposition cannot carry;"
            " decode the text it came from with errors='replace'"
        ) from None
    return plain


def validate_metric_name(name: object, subject: str = "metric") -> str:
    """`name` if Prometheus allows it for a metric; raises `InvalidNameError` otherwise."""
    if not isinstance(name, str):
        raise NotTextError(f"{subject} name must be a str but got {shown(name)}")
    if _METRIC_NAME.fullmatch(name) is None:
        raise InvalidNameError(
            f"{subject} name {name!r} is not allowed by Prometheus: it must begin with a letter, '_' or ':' and go on"
            f" with letters, digits, '_' and ':'{_suggested(name)}"
        )
    return str.__str__(name)


def validate_prefix(prefix: object) -> str | None:
    """A registry's prefix, which stands before ``_name`` in every family's name; None and "" mean none."""
    if prefix is None or prefix == "":
        return None
    return validate_metric_name(prefix, "registry prefix: its")


def prefix_lead(prefix: object) -> str:
    """Return what comes before a family's name under a registry's prefix: the prefix and "_", or "" without one."""
    valid = validate_prefix(prefix)
    return "" if valid is None else valid + "_"


def validate_label_name(label: object, subject: str, reserved: str | None = None) -> str:
    """`label` if `subject` (as in "counter 'hits_total'") may have a label of that name."""
    if not isinstance(label, str):
        raise InvalidNameError(f"{subject} has a label name that is no str: {shown(label)}")
    if _LABEL_NAME.fullmatch(label) is None:
        raise InvalidNameError(
            f"{subject} has the label name {label!r}, which Prometheus does not allow: it must begin with a letter or"
            f" '_' and go on with letters, digits and '_'{_suggested(label)}"
        )
    if label.startswith("__"):
        raise InvalidNameError(
            f"{subject} has the label name {label!r}, but names that begin with '__' are reserved for Prometheus;"
            f" call it {label.lstrip('_') or 'something else'!r}"
        )
    if label == reserved:
        raise InvalidNameError(
            f"{subject} has the label name {label!r}, which its own exposition writes; choose another name"
        )
    return str.__str__(label)


def validate_label_names(labels: object, subject: str, reserved: str | None = None) -> tuple[str, ...]:
    """Label names in the order given, each allowed and none twice. A plain str is refused, not taken apart."""
    if labels is None:
        return ()
    if isinstance(labels, (str, bytes)):
        raise InvalidNameError(
            f"{subject} takes label names as a sequence but got the plain string {labels!r}; write ({labels!r},)"
        )
    if not isinstance(labels, Iterable):
        raise InvalidNameError(f"{subject} takes label names as a sequence of str but got {shown(labels)}")
    names: list[str] = []
    for label in labels:
        name = validate_label_name(label, subject, reserved)
        if name in names:
            raise InvalidNameError(f"{subject} has the label name {name!r} twice; name each label once")
        names.append(name)
    return tuple(names)


def _suggested(name: str) -> str:
    mended = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    if mended[:1].isdigit():
        mended = "_" + mended
    return f"; {mended!r} would do" if mended.strip("_") else ""


def shown(value: object) -> str:
    """`value` as messages show it, in at most 80 characters after its type's name, and whatever its repr does."""
    try:
        text = repr(value)
    except Exception:  # an int of more digits than str() makes, or a broken __repr__
        text = "without a repr"
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
