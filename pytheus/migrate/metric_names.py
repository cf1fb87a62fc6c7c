"""The complete name of a metric, as an expression.

prometheus_client joins namespace, subsystem and name, and then completes the whole: a counter has ``_total`` once at
the end, after the unit, and an info has ``_info`` after any name. pytheus exposes a name as it is written, and that of
an info with ``_info`` once. Where a part is not a literal, the expression gives the same name when it is evaluated, for
empty parts as well.
"""

from __future__ import annotations

import libcst as cst

from pytheus.migrate.arguments import expression, text_of

__all__ = ["complete_name"]

_TOTAL = "_total"
_INFO = "_info"


def complete_name(
    type: str,
    name: cst.BaseExpression,
    namespace: cst.BaseExpression | None,
    subsystem: cst.BaseExpression | None,
    unit: str,
) -> cst.BaseExpression:
    """The name that prometheus_client would expose for a metric of `type`; `name` itself if that is the same."""
    parts = [part for part in (namespace, subsystem) if part is not None and text_of(part) != ""]
    joined = _joined(parts, name)
    text = text_of(joined)
    if text is not None:
        complete = _completed(text, type, unit)
        return joined if complete == text else _literal(complete, name)
    in_place = _in_place(name, type, unit)
    return _at_run_time(joined, type, unit) if in_place is None else _joined(parts, in_place)


def _joined(parts: list[cst.BaseExpression], name: cst.BaseExpression) -> cst.BaseExpression:
    """`name` after `parts`, with ``_`` between those that are not empty."""
    if not parts:
        return name
    texts = [text_of(part) for part in parts]
    text = text_of(name)
    if all(each is not None for each in texts):
        if text is not None:
            return _literal("_".join([*(each or "" for each in texts), text]), name)
        if isinstance(name, cst.FormattedString):
            prefix = cst.FormattedStringText("".join(f"{each}_" for each in texts))
            return name.with_changes(parts=[prefix, *name.parts])
    code = cst.Module([]).code_for_node
    return expression(f'"_".join(filter(None, ({", ".join(code(part) for part in (*parts, name))})))')


def _in_place(name: cst.BaseExpression, type: str, unit: str) -> cst.BaseExpression | None:
    """`name` with another literal at its end; None if the suffixes depend on the text before that as well."""
    text = text_of(name)
    if text is not None:
        if not _decides(text, type, unit):
            return None
        complete = _completed(text, type, unit)
        return name if complete == text else _literal(complete, name)
    if isinstance(name, cst.FormattedString):
        last = name.parts[-1] if name.parts else None
        if isinstance(last, cst.FormattedStringText) and _decides(last.value, type, unit):
            changed = last.with_changes(value=_completed(last.value, type, unit))
            return name.with_changes(parts=[*name.parts[:-1], changed])
    elif isinstance(name, cst.BinaryOperation):
        if isinstance(name.operator, cst.Modulo):
            text = text_of(name.left) or ""
            end = _suffixes(type, unit)
            return name if end and text.endswith(end) and type != "Info" else None
        if isinstance(name.operator, cst.Add) and text_of(name.right) is not None and not name.lpar:
            right = _in_place(name.right, type, unit)
            return None if right is None else name.with_changes(right=right)
    return name if not _suffixes(type, unit) else None


def _decides(end: str, type: str, unit: str) -> bool:
    """Whether the end of a name tells its suffixes, whatever precedes it."""
    if type == "Info":
        return True if end.endswith(_INFO) else not _INFO.endswith(end)
    if type == "Counter":
        if not end.endswith(_TOTAL) and _TOTAL.endswith(end):
            return False
        end = end.removesuffix(_TOTAL)
    return not unit or end.endswith(f"_{unit}") or not f"_{unit}".endswith(end)


def _suffixes(type: str, unit: str) -> str:
    return (f"_{unit}" if unit else "") + {"Counter": _TOTAL, "Info": _INFO}.get(type, "")


def _at_run_time(name: cst.BaseExpression, type: str, unit: str) -> cst.BaseExpression:
    end = _suffixes(type, unit)
    if not end:
        return name
    code = cst.Module([]).code_for_node(name)
    if not isinstance(name, cst.Name | cst.Attribute | cst.Call | cst.Subscript):
        code = f"({code})"
    if type == "Counter":
        code += f'.removesuffix("{_TOTAL}")'
    if unit:
        code += f'.removesuffix("_{unit}")'
    return expression(f'{code} + "{end}"')


def _completed(text: str, type: str, unit: str) -> str:
    if type == "Counter":
        text = text.removesuffix(_TOTAL)
    if unit and not text.endswith(f"_{unit}"):
        text += f"_{unit}"
    if type == "Info" and text.endswith(_INFO):
        text += _INFO
    return text + (_TOTAL if type == "Counter" else "")


def _literal(text: str, like: cst.BaseExpression) -> cst.SimpleString:
    quote = like.quote if isinstance(like, cst.SimpleString) and len(like.quote) == 1 else '"'
    literal = repr(text)
    return cst.SimpleString(f"{quote}{text}{quote}" if quote not in text and literal[1:-1] == text else literal)
