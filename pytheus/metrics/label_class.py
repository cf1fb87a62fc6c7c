"""Labels and their defaults from a dataclass, a NamedTuple or a TypedDict.

Rules:

- The fields are the labels, in the order of the constructor's parameters; a field's default is the label's default.
- A field contains a label value: its annotation is `str` or `int`, a subclass of one such as a `StrEnum` or `IntEnum`,
  a `Literal` of those, or a union. Any other type, also `bool`, is refused at the definition, because the program
  decides how to write it. An annotation that cannot be evaluated (it has a name that only checkers import) is left to
  the checkers.
- The constructor takes every field, because `labels()` gets its values from there.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    LiteralString,
    NewType,
    NoReturn,
    NotRequired,
    Required,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pytheus.exceptions import LabelError
from pytheus.metrics.label_types import DefaultLabels, LabelValue
from pytheus.names import shown

__all__ = ["labels_of_record", "unfit_annotation", "read_labels"]

_UNIONS: Final = (Union, types.UnionType)


def read_labels(
    labels: object, subject: str, required_labels: object, default_labels: object
) -> tuple[tuple[str, ...], DefaultLabels]:
    """Return the label names and default labels from the class `labels`.

    `default_labels` override the defaults of the fields. Raises `LabelError` if the class is not of the three kinds, or
    a field cannot be a label.
    """
    if required_labels is not None:
        raise LabelError(
            f"{subject} got required_labels and labels=; the class names every label, so omit required_labels"
        )
    if not isinstance(labels, type):
        _refuse(labels, subject)
    # Any, because only the attributes of the class's kind are read.
    cls: Any = labels
    if hasattr(cls, "__dataclass_fields__"):
        names, defaults = _of_dataclass(cls, subject)
    elif issubclass(labels, tuple) and hasattr(cls, "_fields"):
        names, defaults = tuple(cls._fields), dict(cls._field_defaults)
    elif issubclass(labels, dict) and hasattr(cls, "__required_keys__"):
        names, defaults = tuple(_annotations(cls)), {}
    else:
        _refuse(labels, subject)
    _check_types(cls, names, subject)
    if isinstance(default_labels, Mapping):
        defaults |= default_labels
    elif default_labels is not None:
        return names, cast("DefaultLabels", default_labels)  # the caller refuses it
    for name in names:
        if name not in defaults and _may_be_left_out(cls, name):
            raise LabelError(
                f"{subject} has the optional label {name!r} of {cls.__name__}, but every series needs it:"
                f" give default_labels={{{name!r}: ...}}, or do not declare it NotRequired"
            )
    return names, defaults


def _annotations(cls: Any) -> Mapping[str, object]:
    """Return the annotations of `cls` by field, also where they have names that only checkers import."""
    if sys.version_info >= (3, 14):  # they are evaluated when they are read
        from annotationlib import Format, get_annotations

        return get_annotations(cls, format=Format.FORWARDREF)
    return cast("Mapping[str, object]", getattr(cls, "__annotations__", {}))


def _may_be_left_out(cls: Any, name: str) -> bool:
    """Return whether `cls` is a TypedDict whose key `name` is optional."""
    optional = getattr(cls, "__optional_keys__", None)
    if optional is None:
        return False
    try:
        hint = get_type_hints(cls, include_extras=True)[name]
    except Exception:  # as in `_check_types`
        return name in optional
    # If annotations are stored as text, `__optional_keys__` ignores these.
    while get_origin(hint) is not None:
        if get_origin(hint) in (Required, NotRequired):
            return get_origin(hint) is NotRequired
        hint = get_args(hint)[0] if get_origin(hint) is Annotated else None
    return name in optional


def _refuse(labels: object, subject: str) -> NoReturn:
    raise LabelError(
        f"{subject} takes labels= as a dataclass, NamedTuple or TypedDict (the class itself) but got {shown(labels)};"
        " for plain names use required_labels"
    )


def _of_dataclass(cls: Any, subject: str) -> tuple[tuple[str, ...], dict[str, LabelValue]]:
    from dataclasses import MISSING, InitVar, fields

    for name, annotation in _annotations(cls).items():
        if isinstance(annotation, InitVar) or (isinstance(annotation, str) and annotation.startswith("InitVar")):
            raise LabelError(f"{subject} cannot read the label {name!r} of {cls.__name__}, an InitVar; make it a field")
    defaults: dict[str, LabelValue] = {}
    for field in fields(cls):
        if not field.init:
            raise LabelError(
                f"{subject} cannot get the label {field.name!r} of {cls.__name__}, a field with init=False;"
                " remove init=False, or remove the field from the class"
            )
        if field.default_factory is not MISSING:
            raise LabelError(
                f"{subject} has the label {field.name!r} of {cls.__name__} with a default_factory;"
                " a label's default is one value, so use default="
            )
        if field.default is not MISSING:
            defaults[field.name] = field.default
    # Keyword-only fields come last, because they have no position.
    return tuple(field.name for field in sorted(fields(cls), key=lambda field: field.kw_only is True)), defaults


def _check_types(cls: Any, names: tuple[str, ...], subject: str) -> None:
    try:
        hints = get_type_hints(cls)
    except Exception:  # an annotation may hold any expression
        return
    for name in names:
        if name in hints and not _is_label_value(hints[name]):
            raise LabelError(unfit_annotation(subject, name, cls.__name__, _named(hints[name])))


def unfit_annotation(subject: str, label: str, cls: str, annotation: str) -> str:
    """Return the error message for a field of `cls` that does not contain a label value."""
    return (
        f"{subject} has the label {label!r}, which {cls} annotates with {annotation}; a label value is a str or an int,"
        " so annotate it with one of them or a Literal of them, and convert the value before labels()"
    )


def _is_label_value(hint: Any) -> bool:
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    hint = getattr(hint, "__value__", hint)  # of a `type` statement
    if isinstance(hint, type):
        return issubclass(hint, (str, int)) and hint is not bool
    origin = get_origin(hint)
    if origin is Literal:
        return all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in get_args(hint))
    if origin in _UNIONS:
        return all(map(_is_label_value, get_args(hint)))
    return hint is LiteralString


def _named(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def labels_of_record(record: object) -> Mapping[str, object] | None:
    """Return the labels in an instance of such a class, or None for any other object."""
    if isinstance(record, tuple) and hasattr(record, "_asdict"):
        return cast("Mapping[str, object]", cast("Any", record)._asdict())
    if hasattr(type(record), "__dataclass_fields__"):
        from dataclasses import fields

        return {field.name: getattr(record, field.name) for field in fields(cast("Any", record))}
    return None
