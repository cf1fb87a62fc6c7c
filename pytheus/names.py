"""Rules for the names of metrics and labels, and the names of a family.

Legacy metric names: ``[a-zA-Z_:][a-zA-Z0-9_:]*``; legacy label names: ``[a-zA-Z_][a-zA-Z0-9_]*``. Any other text is a
name only where UTF-8 names are allowed, by the definition or by the setting of the process, because only Prometheus 3
knows them; others get an escaped name (`pytheus.escaping`). Label names that begin with ``__`` are reserved for
Prometheus (https://prometheus.io/docs/concepts/data_model/). The exposition itself writes the label
``le`` of a histogram and ``quantile`` of a summary, so a user cannot choose them.

A family occupies more names than its own: a histogram ``h`` is exposed as ``h_bucket``, ``h_sum``, ``h_count`` and, in
OpenMetrics, ``h_created`` (https://prometheus.io/docs/specs/om/open_metrics_spec/#suffixes). If one family occupies a
name of another, the two cannot be in one exposition, so registries compare `occupied_names`. These include the escaped
names.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from pytheus.escaping import ESCAPINGS, escape_label_name, escape_name, is_legacy_label, is_legacy_name
from pytheus.exceptions import InvalidNameError, LabelError, NotTextError
from pytheus.interruption import is_interruption
from pytheus.kinds import KINDS, MetricType
from pytheus.settings import NameRules, has_utf8_names

__all__ = [
    "FAILURES_NAME",
    "RESERVED_NAMES",
    "base_name",
    "occupied_names",
    "prefix_lead",
    "reserved_label",
    "shown",
    "state_label",
    "text_name",
    "validate_label_name",
    "validate_label_names",
    "validate_metric_name",
    "validate_names",
    "validate_prefix",
    "validate_text",
    "validate_unit",
]


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


@lru_cache(2048)  # a client that selects families asks it of all, at each scrape
def occupied_names(name: str, type_: MetricType) -> tuple[str, ...]:
    """Return every name that family `name` has in some format and by some escape, its own first."""
    names = [name]
    _add_names(names, name, type_)
    if not is_legacy_name(name):
        for escaping in ESCAPINGS:
            _add_names(names, escape_name(name, escaping), type_)
    return tuple(names)


def _add_names(names: list[str], name: str, type_: MetricType) -> None:
    base = base_name(name, type_)
    for produced in (name, *[base + suffix for suffix in KINDS[type_].occupied_suffixes]):
        if produced not in names:
            names.append(produced)


def reserved_label(name: str, type_: MetricType) -> str | None:
    """Return the label that the exposition of metric `name` writes itself, or None."""
    reserved = KINDS[type_].reserved_label
    return name if reserved == "" else reserved


def state_label(exposed_name: str) -> str:
    """Return the label with the states of a state set that is exposed as `exposed_name`.

    It is the family's name, as OpenMetrics wants it, but a label has no colon, and no two underscores at its beginning.
    https://prometheus.io/docs/specs/om/open_metrics_spec/#stateset
    """
    label = exposed_name.replace(":", "_") if is_legacy_name(exposed_name) else exposed_name
    return "_" + label.lstrip("_") if label.startswith("__") else label


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


def validate_metric_name(name: object, subject: str = "metric", names: NameRules | None = None) -> str:
    """Return `name` if it is a valid metric name; raise `InvalidNameError` otherwise.

    `names` tells which are valid; None is the setting of the process.
    """
    if not isinstance(name, str):
        raise NotTextError(f"{subject} name must be a str but got {shown(name)}")
    if not is_legacy_name(name) and not _is_allowed(name, names):
        raise InvalidNameError(
            f"{subject} name {name!r} is not allowed by Prometheus: it must begin with a letter, '_' or ':' and"
            f" continue with letters, digits, '_' and ':'{_suggested(name, names)}"
        )
    return str.__str__(name)


def validate_names(names: object, subject: str) -> NameRules | None:
    """Return `names` if it is one of the rules for names, or None; raise `InvalidNameError` otherwise."""
    # One by one, because pyright does not narrow an object by a comparison.
    if names is None:
        return None
    if names == "legacy":
        return "legacy"
    if names == "utf8":
        return "utf8"
    raise InvalidNameError(f"{subject} takes names of 'legacy' or 'utf8' but got {shown(names)}")


def _is_allowed(name: str, names: NameRules | None) -> bool:
    """Return whether `name`, which is not a legacy name, is allowed."""
    if name == "" or (names != "utf8" if names is not None else not has_utf8_names()):
        return False
    try:
        name.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def validate_prefix(prefix: object) -> str | None:
    """Return a registry's prefix if it is valid; None for None and "".

    It precedes ``_name`` in every family's name. Raises `InvalidNameError`.
    """
    if prefix is None or prefix == "":
        return None
    return validate_metric_name(prefix, "registry prefix: its", "legacy")


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


def validate_label_name(
    label: object, subject: str, reserved: str | None = None, names: NameRules | None = None
) -> str:
    """Return `label` if `subject` may have a label of that name.

    `subject`, such as "counter 'hits_total'", begins the error messages. `names` is as for `validate_metric_name`.
    Raises `InvalidNameError`.
    """
    if not isinstance(label, str):
        raise InvalidNameError(f"{subject} has a label name that is not a str: {shown(label)}")
    if not is_legacy_label(label) and not _is_allowed(label, names):
        raise InvalidNameError(
            f"{subject} has the label name {label!r}, which Prometheus does not allow: it must begin with a letter or"
            f" '_' and continue with letters, digits and '_'{_suggested(label, names)}"
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


def validate_label_names(
    labels: object, subject: str, reserved: str | None = None, names: NameRules | None = None
) -> tuple[str, ...]:
    """Return the label names in the order given, if each is valid and unique, also after each escape.

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
    checked: list[str] = []
    is_legacy = reserved is None or is_legacy_label(reserved)
    for label in labels:
        name = validate_label_name(label, subject, reserved, names)
        if name in checked:
            raise InvalidNameError(f"{subject} has the label name {name!r} twice; name each label once")
        checked.append(name)
        is_legacy = is_legacy and is_legacy_label(name)
    if not is_legacy:
        for escaping in ESCAPINGS:
            escaped = {} if reserved is None else {escape_label_name(reserved, escaping): reserved}
            for name in checked:
                other = escaped.setdefault(escape_label_name(name, escaping), name)
                if other != name:
                    raise InvalidNameError(
                        f"{subject} has the label names {other!r} and {name!r}, which are the same where they are"
                        f" escaped by {escaping!r}; rename one"
                    )
    return tuple(checked)


def _suggested(name: str, names: NameRules | None) -> str:
    import re

    other = ", or names='utf8' if only Prometheus 3 reads it" if names is None and name else ""
    mended = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    if mended[:1].isdigit():
        mended = "_" + mended
    return f"; use {mended!r}{other}" if mended.strip("_") else other.replace(", or", "; use")


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
