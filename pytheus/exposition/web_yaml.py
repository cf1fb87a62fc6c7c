"""YAML as the web configuration needs it: tables of texts, with the line of each mistake.

Rules:

- Nothing is converted: a text is as in the file, so that a password's hash or a name like "on" stays as written.
- A key that occurs twice is an error, and so is a value of another type.
- PyYAML is an extra, imported when a file is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pytheus.exceptions import ConfigurationError
from pytheus.regular_files import UnfitFileError, read_regular_file

if TYPE_CHECKING:
    from yaml import MappingNode, Node

__all__ = ["Table", "read_text", "read_yaml"]

_MAX_BYTES: Final = 1024 * 1024
_TAG: Final = "tag:yaml.org,2002:"
_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SHOWN: Final = re.compile(r"[A-Za-z][\w-]{0,40}", re.ASCII)


class Table:
    """A mapping in the file `path`, whose keys are texts."""

    def __init__(self, path: str, subject: str, node: MappingNode) -> None:
        self._path: Final = path
        self._subject: Final = subject
        self._node: Final = node
        self._values: Final[dict[str, Node]] = {}
        for key_node, value in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise _error(path, key_node, f"a key of {subject} is not a text")
            if key in self._values:
                raise _error(path, key_node, f"{_named(key)} of {subject} is given twice; keep one of them")
            self._values[key] = value

    def __iter__(self) -> Iterator[str]:
        """Return the keys, in their order."""
        return iter(self._values)

    def allow(self, *names: str, **refused: str) -> None:
        """Raise unless each key is one of `names`; `refused` has the reason for keys that are known and not taken."""
        for name, value in self._values.items():
            if name in refused:
                raise _error(self._path, value, f"this server does not support {name}; {refused[name]}")
            if name not in names:
                message = f"{self._subject} has the unknown key {_named(name)}; it takes: {', '.join(names)}"
                raise _error(self._path, value, message)

    def error(self, message: str, name: str | None = None) -> ConfigurationError:
        """Return the error `message` about the value of the key `name`, or about the table."""
        return _error(self._path, self._node if name is None else self._values.get(name, self._node), message)

    def check_choice(self, name: str, value: str, choices: Sequence[str]) -> None:
        """Raise unless `value`, of the key `name`, is one of `choices`."""
        if value not in choices:
            raise self.error(f"{name} must be one of {', '.join(choices)} but is {_named(value)}", name)

    def table(self, name: str) -> Table | None:
        """Return the mapping of the key `name`; None if it is missing or empty."""
        from yaml import MappingNode

        node = self._values.get(name)
        if node is None or _is_null(node):
            return None
        if not isinstance(node, MappingNode):
            raise _error(self._path, node, f"{name} must be a mapping of keys to values but is {_kind(node)}")
        return Table(self._path, name, node)

    def text(self, name: str, *, is_secret: bool = False) -> str | None:
        """Return the text of the key `name`; None if it is missing or empty."""
        node = self._values.get(name)
        return None if node is None or _is_null(node) else self._text(node, name, is_secret=is_secret)

    def texts(self, name: str, *, is_secret: bool = False) -> list[str]:
        """Return the list of texts of the key `name`; empty if it is missing."""
        from yaml import SequenceNode

        node = self._values.get(name)
        if node is None or _is_null(node):
            return []
        if not isinstance(node, SequenceNode):
            raise _error(self._path, node, f"{name} must be a list but is {_kind(node)}; write each item after '- '")
        return [self._text(item, f"an item of {name}", is_secret=is_secret) for item in node.value]

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return the boolean of the key `name`."""
        node = self._values.get(name)
        if node is None or _is_null(node):
            return default
        if node.tag != _TAG + "bool":
            raise _error(self._path, node, f"{name} must be true or false but is {_kind(node)}")
        return _BOOLEANS[str(node.value).lower()]

    def file(self, name: str) -> str:
        """Return the path of the file `name`, seen from the directory of this one."""
        return os.path.join(os.path.dirname(self._path), name)

    def _text(self, node: Node, name: str, *, is_secret: bool) -> str:
        from yaml import ScalarNode

        if not isinstance(node, ScalarNode):
            raise _error(self._path, node, f"{'a secret' if is_secret else name} must be a text but is {_kind(node)}")
        return str(node.value)


def read_yaml(path: str) -> Table | None:
    """Return the mapping in the YAML file `path`, or None if the file is empty; raises `ConfigurationError`."""
    try:
        import yaml
    except ImportError as error:
        raise ConfigurationError(
            f"the web configuration {path} needs PyYAML, which is not installed; pip install 'pytheus[web]'"
        ) from error
    try:
        node = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        # Not with its text, which repeats a part of the file.
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" line {mark.line + 1}, column {mark.column + 1}"
        raise ConfigurationError(f"{path}{where}: not valid YAML") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: too many levels of YAML") from None
    if node is None or _is_null(node):
        return None
    if not isinstance(node, yaml.MappingNode):
        raise _error(path, node, f"the file must be a mapping of keys to values but is {_kind(node)}")
    return Table(path, "the web configuration", node)


def read_text(path: str) -> str:
    """Return the text of a regular file of at most a megabyte; raises `ConfigurationError`."""
    try:
        content, _ = read_regular_file(path, _MAX_BYTES)
    except UnfitFileError as error:
        raise ConfigurationError(f"{path} is {error.strerror}") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not a text in UTF-8") from None


def _error(path: str, node: Node, message: str) -> ConfigurationError:
    return ConfigurationError(f"{path} line {node.start_mark.line + 1}: {message}")


def _is_null(node: Node) -> bool:
    return node.tag == _TAG + "null"


def _named(text: str) -> str:
    """Return `text` in quotes, unless it may be a secret."""
    return repr(text) if _SHOWN.fullmatch(text) else "of another form"


def _kind(node: Node) -> str:
    kinds = {"map": "a mapping", "seq": "a list", "str": "a text", "int": "a number", "float": "a number"}
    return kinds.get(node.tag.removeprefix(_TAG), "another value")
