"""Rewriting Python sources from prometheus_client, or from pytheus 0.6, to pytheus.

Needs libcst, the extra ``pytheus[migrate]``. No code of the sources is executed.

Modules:

- `sources`: files and folders: reading, differences, writing
- `rewriting`: from a source to its rewritten text and the remarks for a person
- `references`: which expression of a source means which imported name
- `attributes`: attributes and methods of metrics and registries that are left to a person
- `imports`: the imports of a rewritten source
- `constructors`: calls that define metrics
- `calls`: other calls
- `arguments`: arguments of a call, by the parameter that they are for
- `metric_names`: the complete name of a metric, as an expression
- `exports`: names that files of a tree pass on to each other
- `tables`: names of both sides, and the uses that are left to a person; importable without libcst
"""

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names
from pytheus.migrate.tables import Remark

if TYPE_CHECKING:
    from pytheus.migrate.rewriting import Rewritten, rewrite

__all__ = ["Remark", "Rewritten", "rewrite"]

if not TYPE_CHECKING:  # with a __getattr__ checkers would accept every name
    __getattr__, __dir__ = lazy_names(__name__, {"pytheus.migrate.rewriting": ["Rewritten", "rewrite"]})
