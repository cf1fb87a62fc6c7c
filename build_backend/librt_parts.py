"""Put the parts of mypyc's library librt that pytheus uses into the library of the compiled modules.

They are the unboxed arrays of i64 and float, and the clock. mypyc's own way is an import of `librt.vecs` and
`librt.time`, a distribution that each installation of the compiled build would need. The code of the two arrays is part
of mypyc, like the other code that compiled modules call, and takes 37 kB. Without the imports these parts belong to
pytheus alone: no other version of librt in the environment can disagree with them.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from setuptools import Extension

__all__ = ["add_librt_parts"]

# The code that imports `librt.vecs` and `librt.time`.
_IMPORTS = ("#include <vecs/librt_vecs_api.c>\n", "#include <time/librt_time_api.c>\n")

_SOURCES = ("vec_i64.c", "vec_float.c")


def add_librt_parts(generated: Path, extensions: Sequence[Extension]) -> None:
    """Change the C file that mypyc generated, and add the arrays' files beside it; stops if it has no imports."""
    import mypyc  # installed only for a build that compiles

    code = generated.read_text()
    parts = Path(__file__).with_name("librt_parts.h").read_text()
    for part in _IMPORTS:
        if code.count(part) != 1:
            raise SystemExit(f"the generated code has {code.count(part)} times the line {part!r}")
        code = code.replace(part, parts)
        parts = ""
    generated.write_text(code)
    library = Path(mypyc.__file__).with_name("lib-rt")
    folder = library / "vecs"
    for extension in extensions:
        if str(generated) in extension.sources:
            # Copied, because setuptools takes no absolute path.
            copies = [str(shutil.copy(folder / name, generated.with_name(name))) for name in _SOURCES]
            extension.sources = [*extension.sources, *copies]
            extension.include_dirs += [str(folder), str(library)]
            return
    raise SystemExit(f"no extension is made of {generated}")
