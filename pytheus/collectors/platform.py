"""The Python that runs the program, as labels of one metric."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from pytheus.registry.contract import RefusesPeers
from pytheus.samples import Family, Sample

__all__ = ["PlatformCollector"]

# As in the standard library's `platform`, which takes longer to import than this whole module.
_IMPLEMENTATIONS: Final = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}


class PlatformCollector(RefusesPeers):
    """The family ``python_info``, a series that is always 1.

    Its labels are implementation, version, major, minor and patchlevel.

        >>> [family] = PlatformCollector().collect()
        >>> sorted(family.samples[0].labels)
        ['implementation', 'major', 'minor', 'patchlevel', 'version']

    May be called from any thread.
    """

    __slots__ = ()

    name: Final = "python_info"
    precedence: Final = 0

    def collect(self) -> Iterator[Family]:
        """Yield the one family, which never changes in a process."""
        implementation = sys.implementation.name
        facts = {
            "implementation": _IMPLEMENTATIONS.get(implementation, implementation),
            "version": sys.version.split(maxsplit=1)[0],
            "major": str(sys.version_info.major),
            "minor": str(sys.version_info.minor),
            "patchlevel": str(sys.version_info.micro),
        }
        yield Family("python_info", "info", "Python platform information", [Sample("_info", facts, 1.0)])
