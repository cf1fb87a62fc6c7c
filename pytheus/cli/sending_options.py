"""How ``pytheus run`` sends the metrics of a program when it ends: to a Pushgateway, or into a file for node_exporter.

Rules:

- A program that sends its metrics is also served if an option says where, because several such programs run on one
  machine, and only one of them could have the default port.
- Credentials are in the URL, or in files, never in other options.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from pytheus.cli.run_options import RunOptions, flags_of, seconds, variables_of
from pytheus.exceptions import ConfigurationError
from pytheus.plugins.config import load_configuration

__all__ = ["SENDING_FLAGS", "SENDING_VARIABLES", "SendingOptions", "parse_grouping", "sending_options"]

TIMEOUT_SECONDS: Final = 10.0


class SendingOptions(NamedTuple):
    """The receivers, the group in the Pushgateway, and the limits and files of the connection."""

    push_gateway: str | None = None
    job: str | None = None
    grouping: Mapping[str, str] = MappingProxyType({})
    textfile: str | None = None
    push_timeout_seconds: float = TIMEOUT_SECONDS
    push_token_file: str | None = None
    push_ca_file: str | None = None
    push_cert_file: str | None = None
    push_key_file: str | None = None

    @property
    def has_receiver(self) -> bool:
        """Whether the metrics are sent anywhere."""
        return self.push_gateway is not None or self.textfile is not None


SENDING_FLAGS: Final = flags_of(SendingOptions._fields)
"""The names of the options by their flags; each takes a value."""

SENDING_VARIABLES: Final = variables_of(SendingOptions._fields)
"""The environment variables of the options, by their names."""


def parse_grouping(text: str) -> Mapping[str, str]:
    """Return the labels in `text`.

    >>> parse_grouping("instance=db1,zone=a")
    {'instance': 'db1', 'zone': 'a'}
    """
    labels: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip() or name.strip() in labels:
            raise ValueError("labels, each once, as in instance=db1,zone=a")
        labels[name.strip()] = value.strip()
    return labels


def sending_options(flags: Mapping[str, str]) -> SendingOptions:
    """Return the options that `flags`, by the names of options, the environment and the configuration file choose.

    Raises `ConfigurationError` for a value that is not valid, and for a receiver without a job.

        >>> sending_options({"push_gateway": "http://127.0.0.1:9091", "job": "nightly"}).has_receiver
        True
    """
    given = RunOptions(flags, load_configuration(), SENDING_VARIABLES)
    chosen = SendingOptions(
        given.value("push_gateway", _url, None),
        given.value("job", str, None),
        given.value("grouping", parse_grouping, MappingProxyType({})),
        given.value("textfile", str, None),
        given.value("push_timeout_seconds", seconds, TIMEOUT_SECONDS),
        given.value("push_token_file", str, None),
        given.value("push_ca_file", str, None),
        given.value("push_cert_file", str, None),
        given.value("push_key_file", str, None),
    )
    if chosen.has_receiver and chosen.job is None:
        source = given.find("push_gateway" if chosen.push_gateway is not None else "textfile")[0]
        raise ConfigurationError(f"{source} needs the job's name, too; add --job NAME, or PYTHEUS_RUN_JOB")
    return chosen


def _url(text: str) -> str:
    from pytheus.push.address import parse_receiver

    parse_receiver(text, "the URL of the Pushgateway")
    return text
