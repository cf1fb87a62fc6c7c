"""Arguments of a call, by the parameter that they are for, and calls with other arguments.

The text around an argument (comments, line breaks, a trailing comma) stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

__all__ = ["by_parameter", "expression", "keyword", "text_of", "with_arguments"]

_EQUAL = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))


def by_parameter(call: cst.Call, parameters: Sequence[str]) -> list[tuple[str, cst.Arg]] | None:
    """Each argument of `call` with the parameter that it is for; None if ``*`` or ``**`` hides some.

    An argument for no known parameter has its own keyword, or "" if it is positional.
    """
    found = []
    for index, argument in enumerate(call.args):
        if argument.star:
            return None
        if argument.keyword is not None:
            found.append((argument.keyword.value, argument))
        else:
            found.append((parameters[index] if index < len(parameters) else "", argument))
    return found


def keyword(name: str, value: cst.BaseExpression, like: cst.Arg | None = None) -> cst.Arg:
    """The argument ``name=value``, with the white space and the comma of `like`."""
    if like is None:
        return cst.Arg(value, cst.Name(name), equal=_EQUAL)
    equal = like.equal if isinstance(like.equal, cst.AssignEqual) else _EQUAL
    return like.with_changes(keyword=cst.Name(name), equal=equal, value=value)


def with_arguments(call: cst.Call, arguments: Sequence[cst.Arg]) -> cst.Call:
    """`call` with other `arguments`, laid out as its own are."""
    if not arguments:
        return call.with_changes(args=[], whitespace_before_args=cst.SimpleWhitespace(""))
    if not call.args:
        return call.with_changes(args=list(arguments))
    commas = [each.comma for each in call.args[:-1] if isinstance(each.comma, cst.Comma)]
    usual = commas[0] if commas else cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    last = call.args[-1]
    laid_out = []
    for index, argument in enumerate(arguments):
        if index == len(arguments) - 1:
            after = last.whitespace_after_arg
            laid_out.append(argument.with_changes(comma=last.comma, whitespace_after_arg=after))
        elif any(argument.comma is comma for comma in commas):
            laid_out.append(argument)
        else:
            laid_out.append(argument.with_changes(comma=usual, whitespace_after_arg=cst.SimpleWhitespace("")))
    return call.with_changes(args=laid_out)


def text_of(node: cst.BaseExpression | None) -> str | None:
    """The value of a string literal; None for any other expression."""
    if isinstance(node, cst.SimpleString | cst.ConcatenatedString):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None


def expression(text: str) -> cst.BaseExpression:
    """The expression that `text` is."""
    return cst.parse_expression(text)
