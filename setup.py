"""The modules that mypyc compiles, and when; pyproject.toml cannot express this.

`pip install .` gives the compiled build where a C compiler and Python's headers are there, and the pure one where they
are not, or where PYTHEUS_PURE is set to something other than "" and "0". A build that began compiling and fails stops:
half a compiled package would be worse than none. The build backend runs this in a copy of the checkout.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from setuptools import Extension, setup

sys.path.insert(0, str(Path(__file__).parent))

from build_backend.compiling import announce, can_compile, parallel_options

# The write path, the rendering of a metric's own lines and the merge of several processes, with the code they call;
# compiled together or not at all.
COMPILED_MODULES = [
    "pytheus/version.py",
    "pytheus/textformat.py",
    "pytheus/protobufformat.py",
    "pytheus/yielding.py",
    "pytheus/metrics/number.py",
    "pytheus/metrics/buckets.py",
    "pytheus/metrics/exemplars.py",
    "pytheus/metrics/label_sources.py",
    "pytheus/metrics/series.py",
    "pytheus/metrics/handle.py",
    "pytheus/metrics/metric.py",
    "pytheus/metrics/instrument.py",
    "pytheus/metrics/scalar.py",
    "pytheus/metrics/counter.py",
    "pytheus/metrics/gauge.py",
    "pytheus/metrics/distribution.py",
    "pytheus/metrics/bucket_window.py",
    "pytheus/metrics/native.py",
    "pytheus/metrics/histogram.py",
    "pytheus/metrics/summary.py",
    "pytheus/metrics/cells.py",
    "pytheus/metrics/series_numbers.py",
    "pytheus/middleware/exchange.py",
    "pytheus/middleware/records.py",
    "pytheus/middleware/recorder.py",
    "pytheus/middleware/wsgi.py",
    "pytheus/shards/layout.py",
    "pytheus/shards/merge.py",
    "pytheus/shards/merge_cache.py",
    "pytheus/shards/merge_rules.py",
    "pytheus/shards/merged_family.py",
    "pytheus/shards/native_family.py",
    "pytheus/shards/reduce.py",
    "pytheus/shards/shard_indexes.py",
]


def compiled_modules() -> Sequence[Extension]:
    from mypyc.build import mypycify  # there only where the backend asked for it

    from build_backend.interpreters import guard_interpreters
    from build_backend.introspection import add_introspection
    from build_backend.librt_parts import add_librt_parts
    from build_backend.primitives import add_primitives, define_primitives

    # The package is checked by `dev.py lint`, with its dependencies; here only what is compiled has to be right.
    settings = Path("build", "mypy.ini")
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(
        "[mypy]\nstrict = True\nfollow_imports = silent\nignore_missing_imports = True\n"
        "plugins = build_backend.erasing\n"
    )
    define_primitives()
    announce(f"mypyc translates {len(COMPILED_MODULES)} modules to C (10 s or more; PYTHEUS_PURE=1 builds without)")
    # -O3 makes nothing faster that the bench measures. setuptools makes the extensions, whatever the annotation says.
    extensions: Sequence[Extension] = mypycify(  # type: ignore[assignment]  # as said above
        ["--config-file", str(settings), *COMPILED_MODULES], opt_level="2", debug_level="0", group_name="pytheus"
    )
    generated = Path("build", "__native_pytheus.c")
    if os.name == "posix":
        parallel = parallel_options()
        for extension in extensions:
            # Hidden, so that the compiler may inline the library's functions, and calls of them need no table. Without
            # warnings, because those about indentation alone take longer than all else that is done with the code.
            extension.extra_compile_args = [*extension.extra_compile_args, "-fvisibility=hidden", "-Wno-all"]
            if str(generated) in extension.sources:
                extension.extra_compile_args += parallel
                extension.extra_link_args = [*extension.extra_link_args, *parallel]
    add_introspection(generated, COMPILED_MODULES)
    guard_interpreters(generated)
    add_librt_parts(generated, extensions)
    add_primitives(generated)
    announce("the C compiler compiles them (10 s or more)")
    return extensions


setup(
    ext_modules=compiled_modules() if "bdist_wheel" in sys.argv and can_compile() else [],
    options={"build_ext": {"parallel": str(os.cpu_count() or 1)}},
)
