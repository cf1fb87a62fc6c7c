"""Mechanical defects that no test can notice, by their names, each with the reason."""

from __future__ import annotations

from typing import Final

_LOOKUP: Final = "registry/lookup.py"
_PROXY: Final = "registry/proxy.py CollectorRegistryProxy"
_REGISTRY: Final = "registry/collector_registry.py CollectorRegistry"

_UNION: Final = "compose/union.py UnionRegistry"

_ANY_NUMBER = "any number will do, as long as each change makes it another one"
_AGAIN = "the caller tries again, finds that it is registered, and returns"
_LAST_OF_ITS_LOOP = "nothing comes after it in its loop"
_ALIKE_LONG = "there is one for each member, always"
_FALSE_ENOUGH = "None is as false as False"
_OVERRIDDEN = "every proxy has its own"

EQUIVALENTS: Final[dict[str, str]] = {
    f"{_REGISTRY}.__init__: `0` becomes 1": _ANY_NUMBER,
    f"{_REGISTRY}._commit_plainly: `1` becomes 2": _ANY_NUMBER,
    f"{_REGISTRY}._replace_plainly: `1` becomes 2": _ANY_NUMBER,
    f"{_REGISTRY}.register: leaves out `return`": "it is registered in its own place once more, which changes nothing",
    f"{_REGISTRY}.register: leaves out `return` (4)": _AGAIN,
    f"{_REGISTRY}._commit_plainly: `return True` gives None": _AGAIN,
    f"{_REGISTRY}._commit_plainly: `True` becomes False": _AGAIN,
    f"{_REGISTRY}._commit_plainly: `return False` gives None": _FALSE_ENOUGH,
    f"{_PROXY}._migrate: `1` becomes 2": (
        "two registries are on their way out at once only where one changes the proxy while it is searched, which is a"
        " step of the proxy's own change; no registry does so, and nothing is promised for it"
    ),
    f"{_LOOKUP} find_collector: `False` becomes True": "a proxy is asked before, and only a proxy can be resolved",
    f"{_LOOKUP} Overlap.__enter__: `len(_overlaps) > 1` with `>=`": "one that is alone finds no other in the copy",
    "registry/traversal.py Proxy._targets: leaves out `raise NotImplementedError`": _OVERRIDDEN,
    "registry/traversal.py Proxy.find: leaves out `raise NotImplementedError`": _OVERRIDDEN,
    "compose/filtered.py _Selection.takes: `return False` gives None": _FALSE_ENOUGH,
    "compose/limited.py LimitedRegistry.allows_series: `return False` gives None": _FALSE_ENOUGH,
    "compose/filtered.py FilteredRegistry.collect: leaves out `refuse_cycle(self)`": (
        "the prefix below is read next, and the next layer of the cycle that is asked refuses it as well"
    ),
    f"{_UNION}.unregister: leaves out `continue`": _LAST_OF_ITS_LOOP,
    f"{_UNION}._find_in_others: leaves out `continue`": _LAST_OF_ITS_LOOP,
    f"{_UNION}._origin: `True` becomes False": _ALIKE_LONG,
    f"{_UNION}.collect: `True` becomes False": _ALIKE_LONG,
}
