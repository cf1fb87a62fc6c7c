"""Rules for the names of metrics and labels, and the names of a family.

Metric names: ``[a-zA-Z_:][a-zA-Z0-9_:]*``; label names: ``[a-zA-Z_][a-zA-Z0-9_]*``. Label names that begin with ``__``
are reserved for Prometheus (https://prometheus.io/docs/concepts/data_model/). The exposition itself writes the label
``le`` of a histogram and ``quantile`` of a summary, so a user cannot choose them.

A family occupies more names than its own: a histogram ``h`` is exposed as ``h_bucket``, ``h_sum``, ``h_count`` and, in
OpenMetrics, ``h_created`` (https://prometheus.io/docs/specs/om/open_metrics_spec/#suffixes). If one family occupies a
name of another, the two cannot be in one exposition, so registries compare `occupied_names`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pytheus.exceptions import InvalidNameError, LabelError, NotTextError
from pytheus.interruption import is_interruption
from pytheus.kinds import KINDS, MetricType

__all__ = [
    "FAILURES_NAME",
    "RESERVED_NAMES",
    "base_name",
    "occupied_names",
    "prefix_lead",
    "reserved_label",
    "shown",
    "text_name",
    "validate_label_name",
    "validate_label_names",
    "validate_metric_name",
    "validate_prefix",
    "validate_text",
    "validate_unit",
]

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def base_name(name: str, type_: MetricType) -> str:
    """Return the family's name in OpenMetrics, without ``_total`` and ``_info``."""
    suffix = KINDS[type_].own_suffix
    if suffix and name.endswith(suffix) and len(name) > len(suffix):
        return name[: -len(suffix)]
    return name


def text_name(name: str, type_: MetricType) -> str:
    """Return the family's name in the text format, with ``_info`` for an info."""
    kind = KINDS[type_]
    return base_name(name, type_) + kind.own_suffix if kind.suffix_required else name


def occupied_names(name: str, type_: MetricType) -> tuple[str, ...]:
    """Return every name that family `name` has in some format, its own first."""
    base = base_name(name, type_)
    names = [name]
    for suffix in KINDS[type_].occupied_suffixes:
        produced = base + suffix
        if produced not in names:
            names.append(produced)
    return tuple(names)


def reserved_label(name: str, type_: MetricType) -> str | None:
    """Return the label that the exposition of metric `name` writes itself, or None."""
    reserved = KINDS[type_].reserved_label
    return name if reserved == "" else reserved


FAILURES_NAME: Final = "pytheus_collector_errors_total"
"""The metric that counts the failures of collectors in scrapes."""

RESERVED_NAMES: Final = occupied_names(FAILURES_NAME, "counter")
"""The names that pytheus keeps for itself."""


def validate_text(text: object, subject: str) -> str:
    """Return `text` as an exact str that UTF-8 can encode.

    `subject` begins the error messages. Raises `NotTextError` if it is not a str, and `LabelError` for a lone
    surrogate.
    """
    if not isinstance(text, str):
        raise NotTextError(f"{subject} must be a str but got {shown(text)}; convert it with str(...)")
    plain = text if type(text) is str else str.__str__(text)
    try:
        plain.encode("utf-8")
    except UnicodeEncodeError:
        raise LabelError(
            f"{subject} contains a lone surrogate ({text!r}), which UTF-8 cannot encode;"
            " decode the original bytes with errors='replace'"
        ) from None
    return plain


def validate_metric_name(name: object, subject: str = "metric") -> str:
    """Return `name` if it is a valid metric name; raise `InvalidNameError` otherwise."""
    if not isinstance(name, str):
        raise NotTextError(f"{subject} name must be a str but got {shown(name)}")
    if _METRIC_NAME.fullmatch(name) is None:
        raise InvalidNameError(
            f"{subject} name {name!r} is not allowed by Prometheus: it must begin with a letter, '_' or ':' and"
            f" continue with letters, digits, '_' and ':'{_suggested(name)}"
        )
    return str.__str__(name)


def validate_prefix(prefix: object) -> str | None:
    """Return a registry's prefix if it is valid; None for None and "".

    It precedes ``_name`` in every family's name. Raises `InvalidNameError`.
    """
    if prefix is None or prefix == "":
        return None
    return validate_metric_name(prefix, "registry prefix: its")


def validate_unit(unit: object, name: str, type_: MetricType, subject: str) -> str:
    """Return `unit` if it is "" or the end of the family's name after "_", before ``_total``.

    OpenMetrics has no unit for infos and state sets. Raises `InvalidNameError`.
    https://prometheus.io/docs/specs/om/open_metrics_spec/#unit
    """
    if unit == "":
        return ""
    if not isinstance(unit, str):
        raise InvalidNameError(f"{subject} takes a unit that is a str but got {shown(unit)}")
    if type_ in ("info", "stateset"):
        raise InvalidNameError(f"{subject} has the unit {unit!r}, but an {type_} has none; leave it out")
    base = base_name(name, type_)
    if len(base) <= len(unit) + 1 or not base.endswith("_" + unit):
        raise InvalidNameError(
            f"{subject} has the unit {unit!r}, which must be the end of its name; use"
            f" {f'{base}_{unit}{name[len(base) :]}'!r}"
        )
    return str.__str__(unit)


def prefix_lead(prefix: object) -> str:
    """Return the text before a family's name: "", or a registry's prefix and "_"."""
    valid = validate_prefix(prefix)
    return "" if valid is None else valid + "_"


def validate_label_name(label: object, subject: str, reserved: str | None = None) -> str:
    """Return `label` if `subject` may have a label of that name.

    `subject`, such as "counter 'hits_total'", begins the error messages. Raises `InvalidNameError`.
    """
    if not isinstance(label, str):
        raise InvalidNameError(f"{subject} has a label name that is not a str: {shown(label)}")
    if _LABEL_NAME.fullmatch(label) is None:
        raise InvalidNameError(
            f"{subject} has the label name {label!r}, which Prometheus does not allow: it must begin with a letter or"
            f" '_' and continue with letters, digits and '_'{_suggested(label)}"
        )
    if label.startswith("__"):
        raise InvalidNameError(
            f"{subject} has the label name {label!r}, but names that begin with '__' are reserved for Prometheus;"
            f" use {label.lstrip('_') or 'another name'!r}"
        )
    if label == reserved:
        raise InvalidNameError(
            f"{subject} has the label name {label!r}, which its own exposition writes; choose another name"
        )
    return str.__str__(label)


def validate_label_names(labels: object, subject: str, reserved: str | None = None) -> tuple[str, ...]:
    """Return the label names in the order given, if each is valid and unique.

    A plain str is refused. Raises `InvalidNameError`.
    """
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
    return f"; use {mended!r}" if mended.strip("_") else ""


def shown(value: object) -> str:
    """Return the type of `value` and at most 80 characters of its repr.

    For messages; raises only an error that ends the program.
    """
    try:
        text = repr(value)
    except BaseException as error:  # an int with more digits than str() allows, or a broken __repr__
        if is_interruption(error):
            raise
        text = "without a repr"
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
