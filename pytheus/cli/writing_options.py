"""How ``pytheus run`` writes the metrics of a program while it runs: by remote write, or by OTLP.

Rules:

- A program whose metrics are written is also served if an option says where, as one whose metrics are sent at its end.
- ``--otlp env`` takes the address from OpenTelemetry's variables. Without ``--otlp`` these have no effect, because they
  may be meant for traces. With it, those for headers, limits, certificates and the resource hold as well.
- Credentials are in the URL, in files, or in OpenTelemetry's variable for headers, never in other options.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote

from pytheus.cli.run_options import RunOptions, flags_of, seconds, variables_of
from pytheus.cli.sending_options import parse_grouping
from pytheus.exceptions import ConfigurationError
from pytheus.plugins.config import load_configuration

__all__ = ["WRITING_FLAGS", "WRITING_VARIABLES", "OtlpVariables", "WritingOptions", "otlp_variables", "writing_options"]

_ENVIRONMENT: Final = "env"
_PREFIX: Final = "OTEL_EXPORTER_OTLP_"


class WritingOptions(NamedTuple):
    """The receivers, and the labels, interval and files of the connection."""

    remote_write: str | None = None
    remote_write_labels: Mapping[str, str] | None = None
    remote_write_token_file: str | None = None
    remote_write_ca_file: str | None = None
    otlp: str | None = None
    write_interval_seconds: float | None = None

    @property
    def has_receiver(self) -> bool:
        """Whether the metrics are written anywhere."""
        return self.remote_write is not None or self.otlp is not None


WRITING_FLAGS: Final = flags_of(WritingOptions._fields)
"""The names of the options by their flags; each takes a value."""

WRITING_VARIABLES: Final = variables_of(WritingOptions._fields)
"""The environment variables of the options, by their names."""


def writing_options(flags: Mapping[str, str]) -> WritingOptions:
    """Return the options that `flags`, by the names of options, the environment and the configuration file choose.

    Raises `ConfigurationError` for a value that is not valid.

        >>> writing_options({"remote_write": "http://127.0.0.1:9090"}).has_receiver
        True
    """
    given = RunOptions(flags, load_configuration(), WRITING_VARIABLES)
    return WritingOptions(
        given.value("remote_write", _url, None),
        given.value("remote_write_labels", parse_grouping, None),
        given.value("remote_write_token_file", str, None),
        given.value("remote_write_ca_file", str, None),
        given.value("otlp", _url_or_environment, None),
        given.value("write_interval_seconds", seconds, None),
    )


def _url(text: str) -> str:
    from pytheus.push.address import parse_receiver

    parse_receiver(text, "the URL of the receiver")
    return text


def _url_or_environment(text: str) -> str:
    return text if text == _ENVIRONMENT else _url(text)


class OtlpVariables(NamedTuple):
    """The settings in OpenTelemetry's variables; None and empty ones are not set."""

    url: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    resource: Mapping[str, str] = MappingProxyType({})
    timeout_seconds: float | None = None
    interval_seconds: float | None = None
    gzip: bool | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


def otlp_variables(otlp: str, environ: Mapping[str, str] = os.environ) -> OtlpVariables:
    """Return the settings of `environ` for the option ``--otlp``.

    The URL is `otlp` itself, unless that is "env". Raises `ConfigurationError`, which shows no value.

        >>> otlp_variables("env", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}).url
        'http://collector:4318/v1/metrics'
    """
    url: str | None = otlp
    if otlp == _ENVIRONMENT:
        url = _address(environ)
    resource = _pairs("OTEL_RESOURCE_ATTRIBUTES", environ)
    if name := environ.get("OTEL_SERVICE_NAME", "").strip():
        resource["service.name"] = name
    _, compression = _of_metrics("COMPRESSION", environ)
    return OtlpVariables(
        url,
        _pairs(_of_metrics("HEADERS", environ)[0], environ),
        resource,
        _milliseconds(_of_metrics("TIMEOUT", environ)[0], environ),
        _milliseconds("OTEL_METRIC_EXPORT_INTERVAL", environ),
        None if not compression else compression.lower() != "none",
        _of_metrics("CERTIFICATE", environ)[1] or None,
        _of_metrics("CLIENT_CERTIFICATE", environ)[1] or None,
        _of_metrics("CLIENT_KEY", environ)[1] or None,
    )


def _of_metrics(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the variable that decides, that for metrics or else that for all signals, and its value."""
    for variable in f"{_PREFIX}METRICS_{name}", f"{_PREFIX}{name}":
        if text := environ.get(variable, "").strip():
            return variable, text
    return f"{_PREFIX}{name}", ""


def _address(environ: Mapping[str, str]) -> str:
    variable, text = _of_metrics("ENDPOINT", environ)
    if not text:
        raise ConfigurationError(f"--otlp env needs an address; set {variable}, or write the address in place of env")
    protocol, chosen = _of_metrics("PROTOCOL", environ)
    if chosen and chosen.lower() != "http/protobuf":
        raise ConfigurationError(
            f"{protocol} chooses another protocol than http/protobuf, which is the one of --otlp; write the address of"
            " a receiver of that in place of env"
        )
    from pytheus.push.address import parse_receiver

    parse_receiver(text, f"the URL in {variable}")
    address, mark, query = text.partition("?")
    if "METRICS" not in variable:
        # That for all signals is without the path of one.
        address = f"{address.rstrip('/')}/v1/metrics"
    elif "/" not in address.partition("://")[2]:
        address += "/"
    return f"{address}{mark}{query}"


def _pairs(variable: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return names and values, of which the latter are percent-encoded: https://www.w3.org/TR/baggage/"""
    pairs: dict[str, str] = {}
    for item in environ.get(variable, "").split(","):
        name, equals, value = item.partition("=")
        if item.strip():
            if not equals or not name.strip():
                raise ConfigurationError(f"{variable} takes names and values, as in a=b,c=d, but got another text")
            pairs[unquote(name.strip())] = unquote(value.strip())
    return pairs


def _milliseconds(variable: str, environ: Mapping[str, str]) -> float | None:
    text = environ.get(variable, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise ConfigurationError(f"{variable} takes a positive number of milliseconds but got another text")
    return int(text) / 1000
