"""The options of ``pytheus run`` by flag, environment variable and configuration file alike.

    --max-scrapes 80            PYTHEUS_RUN_MAX_SCRAPES=80            [tool.pytheus.run]
                                                                      max_scrapes = 80

Rules:

- A flag decides over the variable, that over the file, that over the default. An empty variable counts as unset.
- Variables begin with ``PYTHEUS_RUN_``, because Kubernetes sets ``PYTHEUS_PORT`` for a service that is named pytheus.
- One rule for each option checks its text, wherever it is from. An error names the source, and shows no text that may
  be a credential.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from pytheus.exceptions import ConfigurationError, InvalidReceiverError
from pytheus.plugins.config import Configuration

__all__ = ["RunOptions", "flags_of", "seconds", "variables_of"]


T = TypeVar("T")

_SHOWN: Final = re.compile(r"[\w.:/-]{1,40}", re.ASCII)
_PATHS: Final = ("web_config", "textfile")


def flags_of(names: Iterable[str]) -> dict[str, str]:
    """Return the names of options by their flags."""
    return {f"--{name.replace('_', '-')}": name for name in names}


def variables_of(names: Iterable[str]) -> dict[str, str]:
    """Return the environment variables of options by their names."""
    return {name: f"PYTHEUS_RUN_{name.upper()}" for name in names}


def seconds(text: str) -> float:
    """Return `text` as a number of seconds; raises `ValueError` with the words for the expected text."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII) is None or float(text) == 0:
        raise ValueError("a positive number of seconds")
    return float(text)


class RunOptions:
    """The texts of options, from the sources in their order; `variables` has those of the environment by option."""

    def __init__(self, flags: Mapping[str, str], configuration: Configuration, variables: Mapping[str, str]) -> None:
        self._flags: Final = flags
        self._configuration: Final = configuration
        self._variables: Final = variables

    def value(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Return the value of the option `name`; raises `ConfigurationError` for a text that `parse` does not take."""
        source, text = self.find(name)
        if text is None:
            return default
        if not text:
            raise ConfigurationError(f"{source} takes a value but got an empty one; leave it out for the default")
        try:
            return parse(text)
        except InvalidReceiverError as error:
            raise ConfigurationError(f"{source}: {error}") from None
        except ValueError as error:
            got = repr(text) if _SHOWN.fullmatch(text) and "://" not in text else "another text"
            raise ConfigurationError(f"{source} takes {error} but got {got}") from None

    def find(self, name: str) -> tuple[str, str | None]:
        """Return the words for the source that decides, and the text there, or None."""
        if name in self._flags:
            return f"--{name.replace('_', '-')}", self._flags[name]
        variable = self._variables[name]
        if text := os.environ.get(variable, "").strip():
            return variable, text
        path, value = self._configuration.path, self._configuration.run.get(name)
        if value is None or path is None:
            return "", None
        # Like the paths in a web configuration, it starts in the directory of the file that has it.
        is_path = name in _PATHS or name.endswith("_file")
        text = os.path.join(os.path.dirname(path), str(value)) if is_path and value else str(value)
        return f"{name!r} in [tool.pytheus.run] of {path}", text
