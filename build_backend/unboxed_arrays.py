"""Put mypyc's unboxed arrays of i64 and float into the library of the compiled modules.

mypyc's own way is an import of `librt.vecs`, a distribution that each installation of the compiled build would need.
The code of the two arrays is part of mypyc, like the other code that compiled modules call, and takes 37 kB. Without
the import the arrays belong to pytheus alone: no other version of librt in the environment can disagree with them.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from setuptools import Extension

__all__ = ["add_unboxed_arrays"]

# The code that imports `librt.vecs`.
_IMPORT = "#include <vecs/librt_vecs_api.c>\n"

_SOURCES = ("vec_i64.c", "vec_float.c")


def add_unboxed_arrays(generated: Path, extensions: Sequence[Extension]) -> None:
    """Change the C file that mypyc generated, and add the arrays' files beside it; stops if it has no import."""
    import mypyc  # installed only for a build that compiles

    code = generated.read_text()
    if code.count(_IMPORT) != 1:
        raise SystemExit(f"the generated code includes the import of unboxed arrays {code.count(_IMPORT)} times")
    generated.write_text(code.replace(_IMPORT, Path(__file__).with_name("unboxed_arrays.h").read_text()))
    folder = Path(mypyc.__file__).with_name("lib-rt") / "vecs"
    for extension in extensions:
        if str(generated) in extension.sources:
            # Copied, because setuptools takes no absolute path.
            copies = [str(shutil.copy(folder / name, generated.with_name(name))) for name in _SOURCES]
            extension.sources = [*extension.sources, *copies]
            extension.include_dirs.append(str(folder))
            return
    raise SystemExit(f"no extension is made of {generated}")
