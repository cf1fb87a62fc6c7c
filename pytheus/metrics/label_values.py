"""The text of a label value: a str and an int as they are, any other value by `str()`.

Rules:

- A label value comes from a program's data, such as a request. So it never raises, because a metric must not take down
  the code that it measures: another value is converted, and one warning for each metric and label names its type.
- An int is decimal digits, also a member of an `IntEnum` such as `http.HTTPStatus`; a subclass of str is its text. A
  bool is not an int here, because its digits are hardly meant: it is converted, and told.
- In strict mode (`pytheus.settings`) any other value raises, so that tests find it.
"""

from __future__ import annotations

import sys
from typing import Final

from pytheus.definitions import NOT_CALLERS
from pytheus.exceptions import LabelError, NotTextError, PytheusWarning
from pytheus.names import shown
from pytheus.settings import is_strict

__all__ = ["label_text", "warn_once"]

_REMEDY: Final = "PYTHEUS_STRICT=1 raises instead. This warning comes once for each metric and label"


def label_text(value: object, label: str, subject: str, converted: dict[str, object]) -> str:
    """Return `value` as the text of `label`; `subject`, such as "counter 'hits_total'", is for messages.

    `converted` has the labels of the subject for which a warning was issued. Raises `NotTextError` or `LabelError` in
    strict mode only, and a warning that the program has made an error.
    """
    if isinstance(value, str):
        plain = str.__str__(value)
        try:
            plain.encode("utf-8")
        except UnicodeEncodeError:
            if is_strict():
                raise LabelError(
                    f"label {label!r} of {subject} contains a lone surrogate ({plain!r}), which UTF-8 cannot encode;"
                    " decode the original bytes with errors='replace'"
                ) from None
            warn_once(
                f"label {label!r} of {subject} contains a lone surrogate ({plain!r:.80}), which UTF-8 cannot encode and"
                f" which is escaped; decode the original bytes with errors='replace'. {_REMEDY}",
                label,
                converted,
            )
            return _escaped(plain)
        return plain
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return int.__repr__(value)
        except ValueError:  # more digits than `sys.set_int_max_str_digits` allows
            pass
    if is_strict():
        raise NotTextError(
            f"label {label!r} of {subject} must be a str or an int but got {shown(value)}; convert it with str(...)"
        )
    warn_once(
        f"label {label!r} of {subject} must be a str or an int but got {shown(value)}, which is converted with str();"
        f" convert it in the program, as it should be written. {_REMEDY}",
        label,
        converted,
    )
    try:
        text = str(value)
    except Exception:  # of a broken `__str__`
        return f"<{type(value).__name__}>"
    return _escaped(str.__str__(text))


def _escaped(text: str) -> str:
    """Return `text` with each lone surrogate as its escape, so that different texts stay different."""
    return text.encode("utf-8", "backslashreplace").decode()


def warn_once(message: str, label: str, converted: dict[str, object]) -> None:
    """Issue a warning at the nearest caller outside pytheus, unless `label` is in `converted`; then it is."""
    mark = object()
    if converted.setdefault(label, mark) is not mark:  # one step: only one of several threads warns
        return
    import warnings

    # The nearest caller outside pytheus. A fixed `stacklevel` would not do, because native code has no frames.
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in NOT_CALLERS:
        frame = frame.f_back
    names = frame.f_globals
    try:
        warnings.warn_explicit(
            message,
            PytheusWarning,
            frame.f_code.co_filename,
            frame.f_lineno,
            names.get("__name__"),
            names.setdefault("__warningregistry__", {}),
        )
    except BaseException:
        converted.pop(label, None)  # the program makes this warning an error, each time
        raise
