"""How ``pytheus run`` serves the metrics: options by flag, environment variable and configuration file alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from pytheus.cli.run_options import RunOptions, flags_of, seconds, variables_of
from pytheus.exposition.response import LIMIT_SECONDS
from pytheus.exposition.server import MAX_SCRAPES, MetricsServer, checked_path, start_http_server
from pytheus.plugins.config import load_configuration
from pytheus.registry import REGISTRY

__all__ = ["FLAGS", "SWITCHES", "VARIABLES", "ServingOptions", "has_address", "serving_options"]


class ServingOptions(NamedTuple):
    """The options of the server, whether browsers get no page, and its address is not printed, and the frameworks."""

    port: int = 9464
    addr: str = "127.0.0.1"
    path: str = "/metrics"
    max_scrapes: int = MAX_SCRAPES
    timeout_seconds: float = LIMIT_SECONDS
    web_config: str | None = None
    no_page: bool = False
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
            page=not self.no_page,
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError("a number from 0 (any free port) to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) > 0):
        raise ValueError("a number from 1 to 999999")
    return int(text)


def _path(text: str) -> str:
    try:
        return checked_path(text)
    except ValueError:
        raise ValueError(
            "a path that begins with '/', in plain ASCII without '?', '#', '<', '>', '\"' and spaces"
        ) from None


def _frameworks(text: str) -> str:
    from pytheus.instrumentation.selection import parse

    parse(text)
    return text


def _boolean(text: str) -> bool:
    words = {"1": True, "true": True, "0": False, "false": False}
    if text.lower() not in words:
        raise ValueError("1, 0, true or false")
    return words[text.lower()]


FLAGS: Final = flags_of(ServingOptions._fields)
"""The names of the options by their flags; all but those in `SWITCHES` take a value."""

SWITCHES: Final = ("--no-page", "--quiet")

VARIABLES: Final = variables_of(ServingOptions._fields) | {"instrument": "PYTHEUS_INSTRUMENT"}
"""The environment variables of the options, by their names."""


def serving_options(flags: Mapping[str, str]) -> ServingOptions:
    """Return the options that `flags`, by the names of options, the environment and the configuration file choose.

    Raises `ConfigurationError` for a value that is not valid.

        >>> serving_options({"port": "0", "quiet": "true"}).port
        0
    """
    given = RunOptions(flags, load_configuration(), VARIABLES)
    default = ServingOptions()
    return ServingOptions(
        given.value("port", _port, default.port),
        given.value("addr", str, default.addr),
        given.value("path", _path, default.path),
        given.value("max_scrapes", _count, default.max_scrapes),
        given.value("timeout_seconds", seconds, default.timeout_seconds),
        given.value("web_config", str, default.web_config),
        given.value("no_page", _boolean, default.no_page),
        given.value("quiet", _boolean, default.quiet),
        given.value("instrument", _frameworks, default.instrument),
    )


def has_address(flags: Mapping[str, str]) -> bool:
    """Return whether `flags`, the environment or the configuration file say where to serve."""
    given = RunOptions(flags, load_configuration(), VARIABLES)
    return any(given.find(name)[1] is not None for name in ("port", "addr", "path", "web_config"))
