"""What the compiled build has to be told about a class; plain Python takes no notice.

mypyc reads the decorator when it compiles and drops it. It is not imported at run time, so that nothing depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**attributes):
        return lambda cls: cls


__all__ = ["mypyc_attr"]
