"""The complete name of a metric, as an expression.

prometheus_client makes a name of a namespace, a subsystem, a name and a unit, and gives a counter the suffix
``_total``; pytheus exposes a name as it is written. Where a part is not a literal, the expression gives the same name
when it is evaluated, for empty parts as well.
"""

from __future__ import annotations

import libcst as cst

from pytheus.migrate.arguments import expression, text_of

__all__ = ["complete_name"]

_TOTAL = "_total"


def complete_name(
    type: str,
    name: cst.BaseExpression,
    namespace: cst.BaseExpression | None,
    subsystem: cst.BaseExpression | None,
    unit: str,
) -> cst.BaseExpression:
    """The name that prometheus_client would expose for a metric of `type`; `name` itself if that is the same."""
    parts = [part for part in (namespace, subsystem) if part is not None and text_of(part) != ""]
    suffixed = _with_suffixes(type, name, unit)
    texts = [text_of(part) for part in parts]
    text = text_of(suffixed)
    if not parts:
        return suffixed
    if text is not None and all(each is not None for each in texts):
        return _literal("_".join([*(each or "" for each in texts), text]), name)
    if isinstance(suffixed, cst.FormattedString) and all(each is not None for each in texts):
        prefix = cst.FormattedStringText("".join(f"{each}_" for each in texts))
        return suffixed.with_changes(parts=[prefix, *suffixed.parts])
    code = cst.Module([]).code_for_node
    return expression(f'"_".join(filter(None, ({", ".join(code(part) for part in (*parts, suffixed))})))')


def _with_suffixes(type: str, name: cst.BaseExpression, unit: str) -> cst.BaseExpression:
    end = (f"_{unit}" if unit else "") + (_TOTAL if type == "Counter" else "")
    if not end:
        return name
    text = text_of(name)
    if text is not None:
        suffixed = _suffixed(text, type, unit)
        return name if suffixed == text else _literal(suffixed, name)
    last = name.parts[-1] if isinstance(name, cst.FormattedString) and name.parts else None
    if isinstance(name, cst.FormattedString) and isinstance(last, cst.FormattedStringText):
        changed = last.with_changes(value=_suffixed(last.value, type, unit))
        return name.with_changes(parts=[*name.parts[:-1], changed])
    if isinstance(name, cst.BinaryOperation):
        if isinstance(name.operator, cst.Modulo) and (text_of(name.left) or "").endswith(end):
            return name
        if isinstance(name.operator, cst.Add) and text_of(name.right) is not None and not name.lpar:
            return name.with_changes(right=_with_suffixes(type, name.right, unit))
    code = cst.Module([]).code_for_node(name)
    if not isinstance(name, cst.Name | cst.Attribute | cst.Call | cst.Subscript):
        code = f"({code})"
    if type == "Counter":
        code += f'.removesuffix("{_TOTAL}")'
    if unit:
        code += f'.removesuffix("_{unit}")'
    return expression(f'{code} + "{end}"')


def _suffixed(text: str, type: str, unit: str) -> str:
    if type == "Counter":
        text = text.removesuffix(_TOTAL)
    if unit and not text.endswith(f"_{unit}"):
        text += f"_{unit}"
    return text + (_TOTAL if type == "Counter" else "")


def _literal(text: str, like: cst.BaseExpression) -> cst.SimpleString:
    quote = like.quote if isinstance(like, cst.SimpleString) and len(like.quote) == 1 else '"'
    literal = repr(text)
    return cst.SimpleString(f"{quote}{text}{quote}" if quote not in text and literal[1:-1] == text else literal)
