"""The structure of ``[tool.pytheus]``, which msgspec converts the TOML to, and the words for its errors.

    wrap = [
        { limited = { max_series = 10000 } },
        { filtered = { names = ["http_requests_total"] } },
        { labelled = { region = "eu" } },
        { prefixed = "app" },
        "read_only",
    ]

Rules:

- A layer is a function of `pytheus.compose` with its arguments, as far as TOML can express them; a predicate cannot be
  given. The first one is directly before the registry, the last one is the outermost.
- Everything is checked when the file is read, the arguments of layers by the functions themselves, so that a mistake
  stops the choice before any plugin is imported.
- An error never contains a value: a URL or an option may contain a credential.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType, ValidationError, convert, structs

from pytheus.exceptions import ConfigurationError, InvalidNameError, LabelError, NotTextError, OutOfRangeError
from pytheus.plugins.address import suggestion
from pytheus.plugins.layers import WrapLayer, wrapped
from pytheus.registry.contract import Registry
from pytheus.registry.null import NullRegistry

__all__ = ["Table", "parse_table"]


class _Filtered(Struct, forbid_unknown_fields=True):
    names: list[str] | UnsetType = UNSET


class _Expiring(Struct, forbid_unknown_fields=True):
    after_seconds: float | UnsetType = UNSET
    names: list[str] | UnsetType = UNSET


class _Limited(Struct, forbid_unknown_fields=True):
    max_series: int | UnsetType = UNSET
    max_series_per_metric: int | UnsetType = UNSET
    overflow: str | UnsetType = UNSET


class _Layer(Struct, forbid_unknown_fields=True):
    """A table with one key, the layer's name. A layer without arguments is written as its name, and gets None."""

    expiring: _Expiring | UnsetType = UNSET
    filtered: _Filtered | UnsetType = UNSET
    labelled: dict[str, str] | UnsetType = UNSET
    limited: _Limited | UnsetType = UNSET
    prefixed: str | UnsetType = UNSET
    read_only: UnsetType | None = UNSET


class _Run(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of ``pytheus run``, which checks their values."""

    addr: str | UnsetType = UNSET
    grouping: str | UnsetType = UNSET
    instrument: str | UnsetType = UNSET
    job: str | UnsetType = UNSET
    max_scrapes: int | UnsetType = UNSET
    no_page: bool | UnsetType = UNSET
    otlp: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    port: int | UnsetType = UNSET
    push_ca_file: str | UnsetType = UNSET
    push_cert_file: str | UnsetType = UNSET
    push_gateway: str | UnsetType = UNSET
    push_key_file: str | UnsetType = UNSET
    push_timeout_seconds: float | UnsetType = UNSET
    push_token_file: str | UnsetType = UNSET
    quiet: bool | UnsetType = UNSET
    remote_write: str | UnsetType = UNSET
    remote_write_ca_file: str | UnsetType = UNSET
    remote_write_labels: str | UnsetType = UNSET
    remote_write_token_file: str | UnsetType = UNSET
    textfile: str | UnsetType = UNSET
    timeout_seconds: float | UnsetType = UNSET
    web_config: str | UnsetType = UNSET
    write_interval_seconds: float | UnsetType = UNSET


class _Lint(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of ``pytheus lint`` and of the fixture `pytheus_lint`, which check their values."""

    fail_on: Literal["error", "warning", "note"] | UnsetType = UNSET
    ignore: list[str] | UnsetType = UNSET
    max_new_series: int | UnsetType = UNSET
    max_new_series_per_metric: int | UnsetType = UNSET
    max_series: int | UnsetType = UNSET
    max_series_per_metric: int | UnsetType = UNSET
    select: list[str] | UnsetType = UNSET


class Table(Struct, forbid_unknown_fields=True):
    """The content of ``[tool.pytheus]``; `layers` is made of `wrap`."""

    plugins: list[str] = []
    registries: dict[str, dict[str, object]] = {}
    registry: str | None = None
    strict: bool | None = None
    names: Literal["legacy", "utf8"] | None = None
    created_lines: bool | None = None
    wrap: list[_Layer] = []
    run: _Run = _Run()
    lint: _Lint = _Lint()

    @property
    def layers(self) -> tuple[WrapLayer, ...]:
        """The layers, innermost first."""
        return tuple(_as_wrap_layer(layer) for layer in self.wrap)

    @property
    def run_options(self) -> dict[str, bool | int | float | str]:
        """The options of ``pytheus run`` that are given."""
        return {name: value for name, value in structs.asdict(self.run).items() if value is not UNSET}

    @property
    def lint_options(self) -> dict[str, int | str | tuple[str, ...]]:
        """The options of ``pytheus lint`` that are given."""
        given = {name: value for name, value in structs.asdict(self.lint).items() if value is not UNSET}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}

    @property
    def settings(self) -> dict[str, bool | str]:
        """The settings of the whole process that are given."""
        given = {"strict": self.strict, "names": self.names, "created_lines": self.created_lines}
        return {key: value for key, value in given.items() if value is not None}


_KINDS: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    list: "an array",
    dict: "a table",
    type(None): "nothing",
}
_EXPECTED: Final = {
    "names": "an array of strings",
    "max_series": "an integer",
    "max_series_per_metric": "an integer",
    "after_seconds": "a number",
    "max_new_series": "an integer",
    "max_new_series_per_metric": "an integer",
    "ignore": "an array of strings",
    "select": "an array of strings",
    "fail_on": '"error", "warning" or "note"',
    "port": "an integer",
    "max_scrapes": "an integer",
    "timeout_seconds": "a number",
    "push_timeout_seconds": "a number",
    "no_page": "true or false",
    "quiet": "true or false",
}
_EXAMPLES: Final = {
    "expiring": "{ expiring = { after_seconds = 3600 } }",
    "filtered": '{ filtered = { names = ["NAME"] } }',
    "labelled": '{ labelled = { LABEL = "VALUE" } }',
    "limited": "{ limited = { max_series = 10000 } }",
    "prefixed": '{ prefixed = "PREFIX" }',
    "read_only": '"read_only"',
}
# msgspec writes a problem and a path: "Expected `str`, got `int` - at `$.wrap[0].limited.overflow`". It writes a key of
# a dict that is not a structure as "[...]".
_MESSAGE: Final = re.compile(r"(?P<problem>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+|\.\.\.)\]")
_SHOWN_KEY: Final = r"[\w.-]{1,40}"
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)


def parse_table(path: str, table: object) -> Table:
    """The structure of `table`, the value of ``tool.pytheus`` in the file `path`.

    Raises `ConfigurationError`, which names the file and the key, and says the type found and the type expected.
    """
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: 'tool.pytheus' must be a table but is {_kind(table)}; write [tool.pytheus]")
    content: dict[str, object] = table
    wrap = content.get("wrap")
    if isinstance(wrap, list):
        content = {**content, "wrap": [{item: None} if isinstance(item, str) else item for item in wrap]}
    try:
        parsed = convert(content, Table)
    except ValidationError as error:
        message = str(error)
    else:
        _check_layers(path, parsed)
        return parsed
    try:
        words = _translated(message, content)
    except Exception:
        words = "[tool.pytheus] has a key or a value that it does not take"  # a key that looks like msgspec's own words
    raise ConfigurationError(f"{path}: {words}")  # not chained, because msgspec's error may repeat a value


def _as_wrap_layer(layer: _Layer) -> WrapLayer:
    ((name, value),) = _given(layer).items()
    if isinstance(value, Struct):
        arguments = _given(value)
    elif isinstance(value, dict):
        arguments = value
    else:
        arguments = {} if value is None else {"prefix": value}
    return WrapLayer(name, MappingProxyType(arguments))


def _given(struct: Struct) -> dict[str, object]:
    return {name: value for name, value in structs.asdict(struct).items() if value is not UNSET}


def _check_layers(path: str, table: Table) -> None:
    trial: Registry = NullRegistry()
    for position, layer in enumerate(table.wrap, 1):
        subject = f"{path}: {_layer_subject(position)}"
        given = _given(layer)
        if len(given) != 1:
            raise ConfigurationError(f"{subject} {_not_a_layer(f'a table of {len(given)} keys')}")
        wrap_layer = _as_wrap_layer(layer)
        if not wrap_layer.arguments and wrap_layer.name != "read_only":
            raise ConfigurationError(f"{subject}{_wrong_argument(wrap_layer.name, 'an empty table')}")
        try:
            trial = wrapped(trial, (wrap_layer,))
        except (InvalidNameError, LabelError, NotTextError, OutOfRangeError) as error:
            raise ConfigurationError(f"{subject}, {wrap_layer.name}, is invalid: {error}") from error
        except TypeError as error:
            # The types were checked before, so a required argument is missing.
            example = _EXAMPLES[wrap_layer.name]
            raise ConfigurationError(f"{subject}, {wrap_layer.name}, lacks an argument; write {example}") from error


# The words of errors --------------------------------------------------------------------------------------------------


def _translated(message: str, table: dict[str, object]) -> str:
    """The message of msgspec's error about `table` as one of ours: subject, got, expected, remedy."""
    parts = _MESSAGE.fullmatch(message)
    assert parts is not None  # it matches any text
    found, steps = _found(table, parts["path"] or "")
    unknown = _UNKNOWN.fullmatch(parts["problem"])
    key = "" if unknown is None else unknown["key"]
    got = _kind(found)
    match steps:
        case []:
            return f"[tool.pytheus] has the unknown key {_quoted(key)}; {_takes(key, Table)}"
        case ["registry"]:
            tables = "; write [tool.pytheus.registries.NAME] for options" if isinstance(found, dict) else ""
            return f"'registry' in [tool.pytheus] must be a string, a registry's name or URL, but is {got}{tables}"
        case [("strict" | "created_lines") as setting]:
            return f"{setting!r} in [tool.pytheus] must be true or false but is {got}; write {setting} = true"
        case ["names"]:
            return f'\'names\' in [tool.pytheus] must be "legacy" or "utf8" but is {got}; write names = "utf8"'
        case ["plugins", *item]:
            is_or_has = f"has an item that is {got}" if item else f"is {got}"
            return (
                f"'plugins' in [tool.pytheus] must be an array of strings but {is_or_has};"
                ' write plugins = ["no:NAME"]'
            )
        case ["registries"]:
            return f"'registries' in [tool.pytheus] must be a table but is {got}; write [tool.pytheus.registries.NAME]"
        case ["registries", name]:
            return (
                f"{_quoted(str(name))} in [tool.pytheus.registries] must be a table of that registry's options but is"
                f" {got}; write [tool.pytheus.registries.{name if re.fullmatch(_SHOWN_KEY, str(name)) else 'NAME'}]"
            )
        case [("run" | "lint") as name]:
            if key:
                takes = _takes(key, _Run if name == "run" else _Lint)
                return f"[tool.pytheus.{name}] has the unknown key {_quoted(key)}; {takes}"
            return f"{name!r} in [tool.pytheus] must be a table but is {got}; write [tool.pytheus.{name}]"
        case [("run" | "lint") as name, str(option), *item]:
            expected = _EXPECTED.get(option, "a string")
            got = (
                f"an array with {got}"
                if item
                else "another string"
                if option == "fail_on" and got == "a string"
                else got
            )
            return f"{option!r} in [tool.pytheus.{name}] must be {expected} but is {got}"
        case ["wrap"]:
            return (
                f"'wrap' in [tool.pytheus] must be an array of layers but is {got};"
                f" write wrap = [{_EXAMPLES['prefixed']}]"
            )
        case ["wrap", int(index), *inner]:
            return _layer_subject(index + 1) + _translated_layer(inner, key, got)
    raise AssertionError(f"no words for {message!r}")  # each key of `Table` has a case


def _translated_layer(inner: list[str | int], unknown: str, got: str) -> str:
    match inner:
        case []:
            if not unknown:
                return f" {_not_a_layer(got)}"
            layers = _Layer.__struct_fields__
            hint = suggestion(unknown, layers)
            return f" is the unknown {_quoted(unknown)}; {hint}there are: {', '.join(layers)}"
        case [str(layer)]:
            if not unknown:
                return _wrong_argument(layer, got)
            why = "a predicate cannot come from a file; " if (layer, unknown) == ("filtered", "predicate") else ""
            takes = _takes(unknown, _Filtered if layer == "filtered" else _Limited)
            return f", {layer}, has the unknown key {_quoted(unknown)}; {why}{takes}"
        case [str(layer), str(key), *item]:
            got = f"an array with {got}" if item else got
            expected = _EXPECTED.get(key, "a string") if layer != "labelled" else "a string"
            return f", {layer}, takes {_quoted(key)} as {expected} but got {got}; write {_EXAMPLES[layer]}"
    raise AssertionError(f"no words for {inner!r}")


def _found(found: object, path: str) -> tuple[object, list[str | int]]:
    """The value at msgspec's `path` in the table `found`, and the keys and indices that lead to it."""
    steps: list[str | int] = []
    for step in _STEP.finditer(path):
        if isinstance(found, list):
            index = int(step["index"])
            steps.append(index)
            found = found[index]
        elif isinstance(found, dict):
            # "[...]" is any key: the first one whose value has a wrong type.
            expected = dict if steps == ["registries"] else str
            key = step["key"] or next(key for key, value in found.items() if not isinstance(value, expected))
            steps.append(key)
            found = found[key]
    return found, steps


def _quoted(key: str) -> str:
    """A key in quotes; not an address, which may contain a password."""
    return repr(key) if re.fullmatch(_SHOWN_KEY, key) else "of another form"


def _layer_subject(position: int) -> str:
    return f"layer {position} of 'wrap' in [tool.pytheus]"


def _not_a_layer(got: str) -> str:
    return (
        f"must be a layer's name, or a table that has the layer's name as its only key, but is {got};"
        f" write {_EXAMPLES['read_only']} or {_EXAMPLES['limited']}"
    )


def _wrong_argument(layer: str, got: str) -> str:
    expected = {"read_only": "nothing", "prefixed": "a string"}.get(layer, "a table of its arguments")
    return f", {layer}, takes {expected} but got {got}; write {_EXAMPLES[layer]}"


def _takes(unknown: str, structure: type[Struct]) -> str:
    fields = structure.__struct_fields__
    return f"{suggestion(unknown, fields)}it takes: {', '.join(fields)}"


def _kind(value: object) -> str:
    """The word for the type of `value` in TOML."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")
