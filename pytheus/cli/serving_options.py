"""How ``pytheus run`` serves the metrics: options by flag, environment variable and configuration file alike.

    --max-scrapes 80            PYTHEUS_RUN_MAX_SCRAPES=80            [tool.pytheus.run]
                                                                      max_scrapes = 80

Rules:

- A flag decides over the variable, that over the file, that over the default. An empty variable counts as unset.
- Variables begin with ``PYTHEUS_RUN_``, because Kubernetes sets ``PYTHEUS_PORT`` for a service that is named pytheus.
  ``PYTHEUS_INSTRUMENT`` does not, because all processes of the program read it.
- One rule for each option checks its text, wherever it is from. An error names the source.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from pytheus.exceptions import ConfigurationError
from pytheus.exposition.response import LIMIT_SECONDS
from pytheus.exposition.server import MAX_SCRAPES, MetricsServer, checked_path, start_http_server
from pytheus.plugins.config import Configuration, load_configuration
from pytheus.registry import REGISTRY

__all__ = ["FLAGS", "VARIABLES", "ServingOptions", "serving_options"]


T = TypeVar("T")

_SHOWN: Final = re.compile(r"[\w.:/-]{1,40}", re.ASCII)


class ServingOptions(NamedTuple):
    """The options of the server, whether its address is not printed, and the frameworks to instrument."""

    port: int = 9464
    addr: str = "127.0.0.1"
    path: str = "/metrics"
    max_scrapes: int = MAX_SCRAPES
    timeout_seconds: float = LIMIT_SECONDS
    web_config: str | None = None
    quiet: bool = False
    instrument: str | None = None

    def start(self) -> MetricsServer:
        """Serve the metrics of `REGISTRY`; raises as `start_http_server`."""
        return start_http_server(
            self.port,
            self.addr,
            REGISTRY,
            path=self.path,
            timeout_seconds=self.timeout_seconds,
            max_scrapes=self.max_scrapes,
            web_config=self.web_config,
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError("a number from 0 (any free port) to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) > 0):
        raise ValueError("a number from 1 to 999999")
    return int(text)


def _seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII) is None or float(text) == 0:
        raise ValueError("a positive number of seconds")
    return float(text)


def _path(text: str) -> str:
    try:
        return checked_path(text)
    except ValueError:
        raise ValueError("a path that begins with '/', in plain ASCII without '?', '#' and spaces") from None


def _frameworks(text: str) -> str:
    from pytheus.instrumentation.selection import parse

    parse(text)
    return text


def _boolean(text: str) -> bool:
    words = {"1": True, "true": True, "0": False, "false": False}
    if text.lower() not in words:
        raise ValueError("1, 0, true or false")
    return words[text.lower()]


FLAGS: Final = {f"--{name.replace('_', '-')}": name for name in ServingOptions._fields}
"""The names of the options by their flags; all but ``--quiet`` take a value."""

VARIABLES: Final = {name: f"PYTHEUS_RUN_{name.upper()}" for name in ServingOptions._fields} | {
    "instrument": "PYTHEUS_INSTRUMENT"
}
"""The environment variables of the options, by their names."""


def serving_options(flags: Mapping[str, str]) -> ServingOptions:
    """Return the options that `flags`, by the names of options, the environment and the configuration file choose.

    Raises `ConfigurationError` for a value that is not valid.

        >>> serving_options({"port": "0", "quiet": "true"}).port
        0
    """
    given = _Given(flags, load_configuration())
    default = ServingOptions()
    return ServingOptions(
        given.value("port", _port, default.port),
        given.value("addr", str, default.addr),
        given.value("path", _path, default.path),
        given.value("max_scrapes", _count, default.max_scrapes),
        given.value("timeout_seconds", _seconds, default.timeout_seconds),
        given.value("web_config", str, default.web_config),
        given.value("quiet", _boolean, default.quiet),
        given.value("instrument", _frameworks, default.instrument),
    )


class _Given:
    """The texts of options, from the sources in their order."""

    def __init__(self, flags: Mapping[str, str], configuration: Configuration) -> None:
        self._flags: Final = flags
        self._configuration: Final = configuration

    def value(self, name: str, parse: Callable[[str], T], default: T) -> T:
        source, text = self._find(name)
        if text is None:
            return default
        if not text:
            raise ConfigurationError(f"{source} takes a value but got an empty one; leave it out for the default")
        try:
            return parse(text)
        except ValueError as error:
            got = repr(text) if _SHOWN.fullmatch(text) and "://" not in text else "another text"
            raise ConfigurationError(f"{source} takes {error} but got {got}") from None

    def _find(self, name: str) -> tuple[str, str | None]:
        """The words for the source that decides, and the text there, or None."""
        if name in self._flags:
            return f"--{name.replace('_', '-')}", self._flags[name]
        variable = VARIABLES[name]
        if text := os.environ.get(variable, "").strip():
            return variable, text
        path, value = self._configuration.path, self._configuration.run.get(name)
        if value is None or path is None:
            return "", None
        # Like the paths in a web configuration, it starts in the directory of the file that has it.
        text = os.path.join(os.path.dirname(path), str(value)) if name == "web_config" and value else str(value)
        return f"{name!r} in [tool.pytheus.run] of {path}", text
