"""The layers that a configuration file puts before the registry: ``wrap`` in ``[tool.pytheus]``.

    wrap = [
        { limited = { max_series = 10000 } },
        { filtered = { names = ["http_requests_total"] } },
        { labelled = { region = "eu" } },
        { prefixed = "app" },
        "read_only",
    ]

Rules:

- A layer is a function of `pytheus.compose`, with the arguments that it takes; what is no value of TOML, such as a
  predicate, cannot be given. The first one stands directly before the registry, the last one outermost.
- All of it is checked when the file is read, the values by the functions themselves, so that a mistake stops the choice
  before any plugin is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from pytheus.compose import ReadOnlyRegistry, filtered, labelled, limited, prefixed
from pytheus.compose.base import Layer
from pytheus.exceptions import ConfigurationError, InvalidNameError, LabelError, NotTextError, OutOfRangeError
from pytheus.plugins.closest import closest
from pytheus.plugins.configuration import kind
from pytheus.registry.contract import Registry
from pytheus.registry.null import NullRegistry

__all__ = ["WrapLayer", "parse_wrap", "wrapped"]


class WrapLayer(NamedTuple):
    """A layer as the configuration has it: the function of `pytheus.compose`, and its arguments by name.

    >>> str(WrapLayer("limited", {"max_series": 1000}))
    'limited(max_series=1000)'
    """

    name: str
    arguments: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"


_STRING: Final = "a string"
_INTEGER: Final = "an integer"
_STRINGS: Final = "an array of strings"

# What each layer takes, by argument, and how it is written. `labelled` takes any.
_ARGUMENTS: Final[Mapping[str, Mapping[str, str]]] = {
    "filtered": {"names": _STRINGS},
    "labelled": {},
    "limited": {"max_series": _INTEGER, "max_series_per_metric": _INTEGER, "overflow": _STRING},
    "prefixed": {"prefix": _STRING},
    "read_only": {},
}
_WRITTEN: Final[Mapping[str, str]] = {
    "filtered": '{ filtered = { names = ["NAME"] } }',
    "labelled": '{ labelled = { LABEL = "VALUE" } }',
    "limited": "{ limited = { max_series = 10000 } }",
    "prefixed": '{ prefixed = "PREFIX" }',
    "read_only": '"read_only"',
}


def parse_wrap(path: str, value: object) -> tuple[WrapLayer, ...]:
    """The layers that `value` of the key ``wrap`` in the file `path` describes, innermost first.

    Raises `ConfigurationError`, which tells the file and the layer, what was got and what would do.
    """
    if not isinstance(value, list):
        raise ConfigurationError(
            f"{path}: 'wrap' in [tool.pytheus] must be an array of layers but is {kind(value)};"
            f" write wrap = [{_WRITTEN['prefixed']}]"
        )
    layers: list[WrapLayer] = []
    trial: Registry = NullRegistry()
    for position, item in enumerate(value, 1):
        subject = f"{path}: layer {position} of 'wrap' in [tool.pytheus]"
        layer = _layer(subject, item)
        try:
            trial = _applied(layer, trial)
        except (InvalidNameError, LabelError, NotTextError, OutOfRangeError) as error:
            raise ConfigurationError(f"{subject}, {layer.name}, cannot be: {error}") from error
        layers.append(layer)
    return tuple(layers)


def _layer(subject: str, item: object) -> WrapLayer:
    if isinstance(item, str):
        name, value = item, None
    elif isinstance(item, dict) and len(item) == 1:
        name, value = next(iter(item.items()))
    else:
        got = f"a table of {len(item)} keys" if isinstance(item, dict) else kind(item)
        raise ConfigurationError(
            f"{subject} must be a layer's name, or a table that has the layer's name as its only key, but is {got};"
            f" write {_WRITTEN['read_only']} or {_WRITTEN['limited']}"
        )
    if name not in _ARGUMENTS:
        meant = closest(name, _ARGUMENTS)
        hint = f"did you mean {meant!r}? " if meant is not None else ""
        raise ConfigurationError(f"{subject} is the unknown {name!r}; {hint}there are: {', '.join(_ARGUMENTS)}")
    arguments: Mapping[str, object]
    if name == "read_only":
        wanted, fits, arguments = "nothing", value is None, {}
    elif name == "prefixed":
        wanted, fits, arguments = _STRING, isinstance(value, str), {"prefix": value}
    else:
        fits = isinstance(value, dict) and bool(value)
        wanted, arguments = "a table of its arguments", value if isinstance(value, dict) else {}
    if not fits:
        got = "nothing" if value is None else "an empty table" if value == {} else kind(value)
        raise ConfigurationError(f"{subject}, {name}, takes {wanted} but got {got}; write {_WRITTEN[name]}")
    for key, argument in arguments.items():
        _check_argument(subject, name, key, argument)
    return WrapLayer(name, MappingProxyType(arguments))


def _check_argument(subject: str, name: str, key: str, argument: object) -> None:
    wanted = _STRING if name == "labelled" else _ARGUMENTS[name].get(key)
    if wanted is None:
        meant = closest(key, _ARGUMENTS[name])
        hint = f"did you mean {meant!r}? " if meant is not None else ""
        why = "a predicate cannot come from a file; " if (name, key) == ("filtered", "predicate") else ""
        raise ConfigurationError(
            f"{subject}, {name}, has the unknown key {key!r}; {why}{hint}it takes: {', '.join(_ARGUMENTS[name])}"
        )
    got = kind(argument)
    if wanted is _STRINGS and isinstance(argument, list):
        others = [item for item in argument if not isinstance(item, str)]
        got = f"an array with {kind(others[0])}" if others else _STRINGS
    if got != wanted:
        raise ConfigurationError(f"{subject}, {name}, takes {key!r} as {wanted} but got {got}; write {_WRITTEN[name]}")


def wrapped(registry: Registry, layers: Iterable[WrapLayer]) -> Registry:
    """`registry` behind `layers`, the first of which stands directly before it."""
    for layer in layers:
        registry = _applied(layer, registry)
    return registry


class _OwnReadOnlyRegistry(ReadOnlyRegistry):
    """A view that nobody has the registry behind, so that who closes the view means that."""

    __slots__ = ()

    def close(self) -> None:
        Layer.close(self)


_LAYERS: Final[Mapping[str, Callable[..., Registry]]] = {
    "filtered": filtered,
    "labelled": labelled,
    "limited": limited,
    "prefixed": prefixed,
    "read_only": _OwnReadOnlyRegistry,
}


def _applied(layer: WrapLayer, registry: Registry) -> Registry:
    return _function(layer.name)(registry, **layer.arguments)


def _function(name: str) -> Callable[..., Registry]:
    # A type of its own, for `_check_argument` knows what each takes, and type checkers do not.
    return _LAYERS[name]
