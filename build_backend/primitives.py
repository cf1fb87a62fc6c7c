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

# mypyc's own primitives have 1.
_BEFORE_OWN = 2


def define_primitives() -> None:
    """Tell mypyc of them, before it compiles."""
    from mypyc.ir.ops import ERR_MAGIC, ERR_NEVER  # installed only for a build that compiles
    from mypyc.ir.rtypes import bool_rprimitive, float_rprimitive, int_rprimitive, object_rprimitive, str_rprimitive
    from mypyc.primitives.registry import function_op, method_op

    method_op(
        name="__new__",
        arg_types=[object_rprimitive, object_rprimitive],
        return_type=object_rprimitive,
        c_function_name="Pytheus_New",
        error_kind=ERR_MAGIC,
    )
    method_op(
        name="isascii",
        arg_types=[str_rprimitive],
        return_type=bool_rprimitive,
        c_function_name="Pytheus_IsAscii",
        error_kind=ERR_NEVER,
    )
    for name, function in (("find", "Pytheus_Find"), ("rfind", "Pytheus_FindLast")):
        method_op(
            name=name,
            arg_types=[str_rprimitive, str_rprimitive],
            return_type=int_rprimitive,
            c_function_name=function,
            error_kind=ERR_MAGIC,
            priority=_BEFORE_OWN,
        )
    method_op(
        name="replace",
        arg_types=[str_rprimitive, str_rprimitive, str_rprimitive],
        return_type=str_rprimitive,
        c_function_name="Pytheus_Replace",
        error_kind=ERR_MAGIC,
        priority=_BEFORE_OWN,
    )
    function_op(
        name="time.perf_counter",
        arg_types=[],
        return_type=float_rprimitive,
        c_function_name="Pytheus_PerfCounter",
        error_kind=ERR_NEVER,
    )
    function_op(
        name="pytheus.compilation.with_end",
        arg_types=[str_rprimitive, str_rprimitive],
        return_type=str_rprimitive,
        c_function_name="Pytheus_WithEnd",
        error_kind=ERR_MAGIC,
    )


def add_primitives(generated: Path) -> None:
    """Add their code to the C file that mypyc generated. Stops the build if its place is not found."""
    code = generated.read_text()
    place = code.find("\n", code.find(_HEADER)) + 1
    if code.count(_HEADER) != 1 or not place:
        raise SystemExit(f"the generated code has {code.count(_HEADER)} times the line {_HEADER!r}")
    generated.write_text(code[:place] + Path(__file__).with_name("primitives.h").read_text() + code[place:])
