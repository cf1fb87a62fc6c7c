"""The build step that completes the code that mypyc generates: what it reads from a source, and when it stops."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

SOURCE = '''"""A module."""

from package.constants import ONE

DEFAULT = make()

def first(value=ONE, *, other=DEFAULT):
    """First."""
    return value


class Second:
    """Second."""

    def method(self, text: str = "a", /) -> str:
        """Method."""
        return unknown(text)

    @property
    def size(self) -> int:
        """Size."""
        return 1
'''


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a module, below the current directory."""
    monkeypatch.syspath_prepend(str(CHECKOUT))
    monkeypatch.chdir(tmp_path)
    Path("package").mkdir()
    Path("package", "constants.py").write_text('ONE: Final = float("1")\n')
    Path("package", "module.py").write_text(SOURCE)
    return "package/module.py"


def test_a_module_is_read_without_being_imported(source: str) -> None:
    from build_backend.outline import Outline

    outline = Outline(source)
    first, second = outline.members
    assert (outline.name, outline.doc) == ("package.module", "A module.")
    assert callable(first)
    assert first.__doc__ == "First."
    parameters = inspect.signature(first).parameters
    assert parameters["value"].default == 1.0
    assert type(parameters["other"].default) is object
    assert isinstance(second, type)
    method: object = vars(second)["method"]
    assert callable(method)
    assert str(inspect.signature(method)) == "(self, text: 'str' = 'a', /) -> 'str'"
    assert vars(second)["size"].__doc__ == "Size."
    assert list(outline.definitions) == ["first", "Second.method", "Second.size"]


def test_code_that_is_not_as_expected_stops_the_build(source: str) -> None:
    pytest.importorskip("mypyc", reason="mypyc is not installed")
    from build_backend.introspection import add_introspection

    generated = Path("module.c")
    for code in ("", '#include <getargsfast.c>\n#include "__native_internal_x.h"\n'):
        generated.write_text(code)
        with pytest.raises(SystemExit, match=r"introspection\.py completes"):
            add_introspection(generated, [source])
        assert generated.read_text() == code


def test_code_without_the_place_of_the_primitives_stops_the_build(source: str) -> None:
    from build_backend.primitives import add_primitives

    generated = Path("module.c")
    for code in ("", "#include <init.c>\n"):
        generated.write_text(code)
        with pytest.raises(SystemExit, match="0 times the line"):
            add_primitives(generated)
        assert generated.read_text() == code
