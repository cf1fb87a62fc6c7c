"""Give the compiled build the docstrings, signatures and argument errors of the source that it is compiled from.

mypyc drops docstrings, writes no signature with a default that is not a literal, and leaves the class out of argument
errors. So the C code that it generates is completed before a C compiler reads it:

- Modules, classes, properties, methods and functions get their docstrings. Methods and functions also get their
  signatures, in the form that `inspect` reads from native code (``__text_signature__``).
- That form holds no default but a literal, and the interpreter shows a special method (``__init__``, ``__call__``,
  ``__repr__``, ...) by a wrapper of its own. There a Python function with the same parameters is put into the class,
  and calls the native one. ``Counter(...)`` and the like do not run it: they go by way of the type's slots.
- Where the arguments of a call do not fit, a Python function with the same parameters words the error.
- An argument of a type that native code does not take is refused with the names of class, method and parameter.

Three calls get faster, by introspection.h: one without keywords of a function that takes any, one of a method in
`_OWN`, and one with a single positional argument or none. Any other call that succeeds runs the same instructions as
without all this. The build stops if a piece that is to be completed is not in the generated code, as may happen with
another version of mypyc.
"""

from __future__ import annotations

import ast
import inspect
import marshal
import re
from collections.abc import Sequence
from inspect import Parameter, Signature
from pathlib import Path
from types import FunctionType, WrapperDescriptorType
from typing import NamedTuple, NoReturn

from build_backend.outline import COMPILER_FLAGS, Outline

__all__ = ["add_introspection"]

_DOC = r'(NULL|"(?:[^"\\]|\\.)*")'

# The pieces of the generated code that are completed or changed; `name` is the C name of the module, class or function.
_PLACES = {
    "docstring of the module": r'"(?P<name>[\w.]+)",\s*(?P<here>NULL), /\* docstring \*/',
    "end of the module": (
        r"static int CPyExec_(?P<name>\w+)__impl\((?:(?!\n\}\n).)*?if \(result == 2\)\s*goto fail;(?P<here>)"
    ),
    "template of the class": r"PyTypeObject CPyType_(?P<name>\w+)_template_ = \{(?P<here>.*?)\};",
    "docstring of the property": r"\(getter\)(?P<name>\w+),\s*(?:\(setter\)\w+|NULL),\s*(?P<here>NULL), NULL\}",
    "docstring of the function": (
        rf"\(PyCFunction\)CPyPy_(?P<name>\w+),\s*METH_[A-Z_ |]+, PyDoc_STR\((?P<here>{_DOC})\)"
    ),
    "wrapper of the function": (
        r"\n(?P<indent> *)PyObject \*CPyPy_(?P<name>\w+)\(PyObject \*self, [^;)]*\) \{"
        r"(?P<here>.*?)\n(?P=indent)\}\n"
    ),
}

# The code that parses arguments, which is part of mypyc.
_PARSER = "#include <getargsfast.c>\n"

# The name of a function as its wrapper gives it to the parser, which puts it into error messages.
_FORMAT = r'CPyArg_Parser parser = \{"[^:"]*:(\w+)", kwlist, 0\};'

# The end of a call whose arguments do not fit, in the wrapper of a constructor, which has a parser of its own.
_TUPLE_REFUSAL = r"if \(!CPyArg_ParseTupleAndKeywords\([^{]*\) \{\s*()return NULL;"

# Methods that are called often, and that each class gets as its own where it inherits them.
_OWN = ("labels", "time")

# Bases of classes that Python code makes, also in the compiled build.
_PYTHON_BASES = {"NamedTuple", "Enum", "IntEnum"}

# The names of the special methods that have a slot in a type.
_SLOTS = frozenset(
    name
    for kind in (object, int, dict, list, FunctionType, type(iter(())))
    for name, value in vars(kind).items()
    if isinstance(value, WrapperDescriptorType)
)


class _Function(NamedTuple):
    """A function or method of the source, without its body."""

    module: str
    function: FunctionType
    is_bound: bool
    """Whether the first parameter is the object or class that it is called on."""

    @property
    def path(self) -> str:
        """The name inside its module."""
        return self.function.__qualname__

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def doc(self) -> str | None:
        return self.function.__doc__

    @property
    def parameters(self) -> list[Parameter]:
        return list(inspect.signature(self.function).parameters.values())

    @property
    def needs_python(self) -> bool:
        """Whether only a Python function can show its signature."""
        return self.name in _SLOTS or not all(_is_literal(parameter.default) for parameter in self.parameters)


def add_introspection(generated: Path, sources: Sequence[str]) -> None:
    """Complete the C file that mypyc generated from `sources`, which are paths below the current directory."""
    outlines = [Outline(source) for source in sources]
    completion = _Completion(generated.read_text(), [outline.name for outline in outlines])
    for outline in outlines:
        completion.add_module(outline)
    generated.write_text(completion.text())


class _Completion:
    """The generated code, and the changes that are to be made in it."""

    def __init__(self, code: str, modules: list[str]) -> None:
        from mypyc.namegen import NameGenerator  # installed only for a build that compiles

        self._code = code
        self._names = NameGenerator([modules])
        self._places = {
            (kind, match["name"]): match.span("here")
            for kind, pattern in _PLACES.items()
            for match in re.finditer(pattern, code, re.DOTALL)
        }
        parser = code.find(_PARSER)
        end = code.find("\n", code.find('#include "__native_internal_')) + 1
        if parser < 0 or not end:
            _stop("no include of its parser or of its header")
        self._edits = [
            (parser, parser + len(_PARSER), _completed_parser()),
            (end, end, Path(__file__).with_name("introspection.h").read_text()),
        ]

    def text(self) -> str:
        """The completed code."""
        parts: list[str] = []
        done = 0
        for start, end, new in sorted(self._edits):
            parts += [self._code[done:start], new]
            done = end
        return "".join([*parts, self._code[done:]])

    def add_module(self, outline: Outline) -> None:
        """Complete the code of a module."""
        self._edits.append((*self._place("docstring of the module", outline.name), _c_string(outline.doc)))
        last: list[ast.stmt] = []
        for value in outline.members:
            if isinstance(value, FunctionType):
                self._add_function(_Function(outline.name, value, is_bound=False))
            else:
                last += self._add_class(outline, value)
        if last:
            self._add_last_statements(outline.name, last)

    def _add_class(self, outline: Outline, cls: type) -> list[ast.stmt]:
        """Complete the code of a class; gives the statements that its module has to end with."""
        name, module = cls.__name__, outline.name
        if outline.bases[name] & _PYTHON_BASES:  # its docstring is a placeholder of mypyc's
            return ast.parse(f"{name}.__doc__ = {cls.__doc__!r}").body
        cname = self._names.private_name(module, name)
        start, end = self._place("template of the class", cname)
        template = self._code[start:end]
        doc = re.search(rf"\.tp_doc = PyDoc_STR\({_DOC}\)", template) or _stop(f"no docstring of the class {cname}")
        text = _c_string(cls.__doc__) if doc[1] == "NULL" else doc[1] + _c_string(cls.__doc__ or "")
        self._edits.append((start + doc.start(1), start + doc.end(1), text))
        end, _ = self._place("end of the module", module.replace(".", "___"))
        for inherited in set(_OWN) - set(vars(cls)):
            own = f'\nif (Pytheus_Own((PyObject *)CPyType_{cname}, "{inherited}") < 0) goto fail;'
            self._edits.append((end, end, own))
        last: list[ast.stmt] = []
        if ".tp_call = " in template and "__call__" not in vars(cls):
            # A wrapper of the class's own, which hides the method of its base.
            last += ast.parse(f"put({name}, '__call__', None)").body
        for attribute, value in vars(cls).items():
            function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
            if isinstance(value, property):
                place = self._place("docstring of the property", f"{cname}_get_{attribute}")
                self._edits.append((*place, _c_string(value.__doc__)))
            elif isinstance(function, FunctionType):
                method = _Function(module, function, is_bound=not isinstance(value, staticmethod))
                self._add_function(method)
                if method.needs_python:
                    last += _stand_in(method, outline.definitions[method.path])
        return last

    def _add_function(self, function: _Function) -> None:
        cname = self._names.private_name(function.module, function.path)
        if not function.needs_python:
            doc = f"{_text_signature(function)}\n--\n\n{function.doc or ''}"
            self._edits.append((*self._place("docstring of the function", cname), _c_string(doc)))
        start, end = self._place("wrapper of the function", cname)
        wrapper = self._code[start:end]
        name = _c_string(function.path)

        def edit(pattern: str, new: str) -> bool:
            matches = list(re.finditer(pattern, wrapper))
            self._edits.extend((start + match.start(1), start + match.end(1), new) for match in matches)
            return bool(matches)

        stub = _stub(function)
        if "CPyArg_ParseTupleAndKeywords" in wrapper:
            given = f"{int(function.is_bound)}, ((PyTupleObject *)args)->ob_item, PyTuple_GET_SIZE(args), NULL, kw"
            refused = edit(_TUPLE_REFUSAL, f"Pytheus_Refuse({name}, {_c_string(stub)}, {given});\n")
        else:
            mark = "." if function.is_bound else " "
            refused = edit(_FORMAT, _c_string(f"{mark}{function.path}\0{stub}")[1:-1])
        if not refused:
            _stop(f"no check of the arguments of {cname}")
        for parameter in function.parameters[function.is_bound :]:
            # mypyc takes a positional-only parameter by keyword as well, unless it has no name.
            if parameter.kind is Parameter.POSITIONAL_ONLY and not edit(
                rf'kwlist\[\] = \{{[^}}]*?"({parameter.name})", ', ""
            ):
                _stop(f"no parameter {parameter.name} of {cname}")
            named = f"Pytheus_WrongType({name}, {_c_string(parameter.name)}, "
            edit(rf'(CPy_TypeError\()"[^"]*", obj_{parameter.name}\)', named)

    def _add_last_statements(self, module: str, statements: list[ast.stmt]) -> None:
        """Let the module end with `statements`, which see its names and a function `put(class, name, make)`."""
        tree = ast.fix_missing_locations(ast.Module(statements, []))
        source = module.replace(".", "/") + ".py"
        data = marshal.dumps(compile(tree, source, "exec", COMPILER_FLAGS, dont_inherit=True))
        end, _ = self._place("end of the module", module.replace(".", "___"))
        names = f"CPyStatic_{self._names.private_name(module, 'globals')}"
        self._edits.append(
            (
                end,
                end,
                f"\n{{\nstatic const unsigned char code[] = {{{', '.join(map(str, data))}}};\n"
                f"if (Pytheus_Run({names}, (const char *)code, sizeof(code)) < 0) goto fail;\n}}",
            )
        )

    def _place(self, kind: str, cname: str) -> tuple[int, int]:
        return self._places.get((kind, cname)) or _stop(f"no {kind} {cname}")


def _completed_parser() -> str:
    """mypyc's parser, calling the one of introspection.h in place of its own."""
    from mypyc.build import include_dir  # as above

    call = "retval = {}(args, nargs, NULL, kwnames, parser, &va);"
    code = Path(include_dir(), "getargsfast.c").read_text()
    if code.count(call.format("vgetargskeywordsfast_impl")) != 4:
        _stop("another parser of arguments")
    declared = (
        "static int Pytheus_Parse(PyObject *const *, Py_ssize_t, PyObject *, PyObject *, CPyArg_Parser *, va_list *);"
    )
    return f"{declared}\n{code.replace(call.format('vgetargskeywordsfast_impl'), call.format('Pytheus_Parse'))}\n"


def _stop(lack: str) -> NoReturn:
    raise SystemExit(
        f"pytheus: the code that mypyc generated has {lack}, which build_backend/introspection.py completes;"
        " build with the version of mypy that build_backend/__init__.py names, or with PYTHEUS_PURE=1"
    )


def _is_literal(value: object) -> bool:
    """Whether `inspect` can read the value back from its repr."""
    if value is Parameter.empty:
        return True
    try:
        read = ast.literal_eval(repr(value))
    except (ValueError, SyntaxError):
        return False
    return type(read) is type(value) and bool(read == value)


def _text_signature(function: _Function) -> str:
    """The form that CPython has for native code: no annotations, and "$" before a parameter that a call binds."""
    bare = [parameter.replace(annotation=Parameter.empty) for parameter in function.parameters]
    dollar = "$" if function.is_bound else ""
    return f"{function.name}({dollar}{str(Signature(bare))[1:]}"


def _stub(function: _Function) -> str:
    """A lambda with the same parameters."""
    bare = [
        parameter.replace(
            annotation=Parameter.empty, default=Parameter.empty if parameter.default is Parameter.empty else None
        )
        for parameter in function.parameters
    ]
    return f"lambda {str(Signature(bare))[1:-1]}: None"


def _stand_in(function: _Function, definition: ast.FunctionDef) -> list[ast.stmt]:
    """Statements that put a Python function with the source's signature and docstring into the class."""
    values: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    for parameter in function.parameters:
        value = ast.Name(parameter.name, ast.Load())
        if parameter.kind is Parameter.VAR_POSITIONAL:
            values.append(ast.Starred(value, ast.Load()))
        elif parameter.kind is Parameter.VAR_KEYWORD:
            keywords.append(ast.keyword(None, value))
        elif parameter.kind is Parameter.KEYWORD_ONLY:
            keywords.append(ast.keyword(parameter.name, value))
        else:
            values.append(value)
    call = ast.Return(ast.Call(ast.Name("_native", ast.Load()), values, keywords))
    doc = definition.body[: function.doc is not None]
    shown = ast.FunctionDef(function.name, definition.args, [*doc, call], [], definition.returns)
    ast.fix_missing_locations(ast.copy_location(shown, definition))
    cls, name = function.path.split(".")
    make, put = ast.parse(
        f"def make(_native):\n    {name}.__qualname__ = {function.path!r}\n    return {name}\n"
        f"put({cls}, {name!r}, make)"
    ).body
    assert isinstance(make, ast.FunctionDef)
    make.body.insert(0, shown)
    return [make, put]


def _c_string(text: str | None) -> str:
    if text is None:
        return "NULL"
    from mypyc.codegen.cstring import c_string_initializer  # as above

    return c_string_initializer(text.encode())
