"""The build backend: setuptools, with mypy if the build compiles.

pip asks a backend for its requirements before it runs it, and a static list cannot express "mypy, if there is a C
compiler".
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools import build_meta

from build_backend.compiling import can_compile

if TYPE_CHECKING:
    from collections.abc import Mapping

    Settings = Mapping[str, str | list[str]] | None

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]

# What the compiled build was proven with; a later minor version may compile the same source to something else.
COMPILER_REQUIREMENT = "mypy[mypyc]>=2.4,<2.5"

# What a distribution is made of; the rest of the checkout is not copied.
_SOURCES = (
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.in",
    "PKG-INFO",
    "README.md",
    "build_backend",
    "pyproject.toml",
    "pytheus",
    "pytheus_startup.pth",
    "pytheus_startup.py",
    "pytheus_startup.start",
    "setup.py",
)

# Python looks for them in site-packages itself at its start; setuptools has no option for such files.
_STARTUP_FILES = ("pytheus_startup.pth", "pytheus_startup.py", "pytheus_startup.start")


@contextmanager
def _copy_of_the_checkout() -> Iterator[None]:
    """Work in a copy, so that nothing is left in the checkout, where a compiled file would shadow its source."""
    checkout = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="pytheus-build-") as workshop:
        for name in _SOURCES:
            source = checkout / name
            if source.is_dir():
                shutil.copytree(source, Path(workshop, name), ignore=shutil.ignore_patterns("__pycache__", "*.so"))
            elif source.exists():
                shutil.copy2(source, workshop)
        os.chdir(workshop)
        try:
            yield
        finally:
            os.chdir(checkout)


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """A wheel: compiled where that is possible and wanted, pure otherwise."""
    with _copy_of_the_checkout():
        return _with_startup_files(
            wheel_directory, build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
        )


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """A source distribution, from which both kinds of wheel can be built."""
    with _copy_of_the_checkout():
        return build_meta.build_sdist(sdist_directory, config_settings)


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """The wheel's metadata, without building it."""
    with _copy_of_the_checkout():
        return build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Return the requirements of a wheel: the compiler if it will be used."""
    return [COMPILER_REQUIREMENT] if can_compile() else []


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    """A source distribution needs nothing. (setuptools' own answer would write metadata into the checkout.)"""
    return []


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """An editable install is pure, and needs nothing."""
    return []


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """An editable install of the sources: pure, because a compiled file beside its source would shadow it."""
    os.environ["PYTHEUS_PURE"] = "1"
    return _with_startup_files(
        wheel_directory, build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    )


def _with_startup_files(wheel_directory: str, name: str) -> str:
    """Add the startup files to the wheel `name`, which lists them in its record; returns the name."""
    wheel = Path(wheel_directory, name)
    with zipfile.ZipFile(wheel) as archive:
        contents = {entry: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        lines = []
        for file in _STARTUP_FILES:
            content = Path(file).read_bytes()
            archive.writestr(file, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{file},sha256={digest},{len(content)}\n")
        for entry, content in contents.items():
            is_record = entry.filename.endswith(".dist-info/RECORD")
            archive.writestr(entry, "".join(lines).encode() + content if is_record else content)
    return name
