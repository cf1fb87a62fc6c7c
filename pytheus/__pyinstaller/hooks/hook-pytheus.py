"""The modules that PyInstaller does not find by itself in a program that imports pytheus.

- Names that are loaded at first use, and plugins, which a name in the configuration selects, are not in the code as
  imports. Installed plugins are all taken, with the metadata by which they are found.
- The page for browsers is made of data files.
- PyInstaller does not see the imports of a compiled module. Its source is beside it, and is read here.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from PyInstaller.utils.hooks import collect_data_files, collect_entry_point, collect_submodules, copy_metadata

# A frozen program that uses one of these imports it.
_UNNEEDED = ("pytheus.__pyinstaller", "pytheus.cli", "pytheus.mypy_plugin", "pytheus.testing")


def _is_needed(name: str) -> bool:
    return not name.startswith(_UNNEEDED)


def _imports_of_compiled_modules() -> Iterator[str]:
    specification = importlib.util.find_spec("pytheus")
    for folder in (specification and specification.submodule_search_locations) or ():
        for library in Path(folder).rglob("*.*"):
            if library.suffix not in (".so", ".pyd"):
                continue
            source = library.with_name(library.name.partition(".")[0] + ".py")
            for node in ast.walk(ast.parse(source.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield node.module


datas, hiddenimports = collect_entry_point("pytheus")
datas += copy_metadata("pytheus")
datas += collect_data_files("pytheus.exposition.page")
hiddenimports += collect_submodules("pytheus", filter=_is_needed)
hiddenimports += sorted(set(_imports_of_compiled_modules()))
if importlib.util.find_spec("pytheus__mypyc") is not None:
    # The library that all compiled modules share.
    hiddenimports.append("pytheus__mypyc")
