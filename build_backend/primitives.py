"""Methods and functions of the interpreter that compiled code calls in C, besides those of mypyc itself.

A primitive is a call that mypyc compiles to a C function by the types of its arguments, as it does with `dict.get` or
`list.append`. Any other method of a built-in type is looked up by its name in each call, which takes longer than these
methods themselves, and any other function returns an object. The source is the same for both builds: it calls the
method or function.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["add_primitives", "define_primitives"]

_HEADER = '#include "__native_internal_'

# mypyc's own have 1.
_PRIORITY = 2


def define_primitives() -> None:
    """Tell mypyc of them, before it compiles."""
    from mypyc.ir.ops import ERR_MAGIC, ERR_NEVER  # installed only for a build that compiles
    from mypyc.ir.rtypes import bool_rprimitive as bool_
    from mypyc.ir.rtypes import float_rprimitive as float_
    from mypyc.ir.rtypes import int_rprimitive as int_
    from mypyc.ir.rtypes import object_rprimitive as object_
    from mypyc.ir.rtypes import str_rprimitive as str_
    from mypyc.primitives.registry import function_op, method_op

    for define, name, arguments, result, function, error in (
        (method_op, "__new__", [object_, object_], object_, "Pytheus_New", ERR_MAGIC),
        (method_op, "isascii", [str_], bool_, "Pytheus_IsAscii", ERR_NEVER),
        (method_op, "find", [str_, str_], int_, "Pytheus_Find", ERR_MAGIC),
        (method_op, "rfind", [str_, str_], int_, "Pytheus_FindLast", ERR_MAGIC),
        (method_op, "replace", [str_, str_, str_], str_, "Pytheus_Replace", ERR_MAGIC),
        (function_op, "time.perf_counter", [], float_, "Pytheus_PerfCounter", ERR_NEVER),
        (function_op, "pytheus.compilation.with_end", [str_, str_], str_, "Pytheus_WithEnd", ERR_MAGIC),
    ):
        define(
            name=name,
            arg_types=[*arguments],
            return_type=result,
            c_function_name=function,
            error_kind=error,
            priority=_PRIORITY,
        )


def add_primitives(generated: Path) -> None:
    """Add their code to the C file that mypyc generated. Stops the build if its place is not found."""
    code = generated.read_text()
    place = code.find("\n", code.find(_HEADER)) + 1
    if code.count(_HEADER) != 1 or not place:
        raise SystemExit(f"the generated code has {code.count(_HEADER)} times the line {_HEADER!r}")
    generated.write_text(code[:place] + Path(__file__).with_name("primitives.h").read_text() + code[place:])
