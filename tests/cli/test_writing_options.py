"""The options of ``pytheus run`` for writing: from flags, the environment, the file, and OpenTelemetry's variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytheus.cli.writing_options import (
    WRITING_FLAGS,
    WRITING_VARIABLES,
    OtlpVariables,
    WritingOptions,
    otlp_variables,
    writing_options,
)
from pytheus.exceptions import ConfigurationError
from tests.cli.programs import refused

VALUES = {
    "remote_write": ("http://prometheus:9090", "http://prometheus:9090"),
    "remote_write_labels": ("job=shop, instance=a", {"job": "shop", "instance": "a"}),
    "remote_write_token_file": ("/run/token", "/run/token"),
    "remote_write_ca_file": ("/run/ca.pem", "/run/ca.pem"),
    "otlp": ("env", "env"),
    "write_interval_seconds": ("2.5", 2.5),
}
OTHER = {
    "remote_write": "http://other:1",
    "remote_write_labels": "a=b",
    "otlp": "http://other:1",
    "write_interval_seconds": "1",
}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for variable in WRITING_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def _write(directory: Path, **options: str) -> None:
    lines = [f"{name} = {text if text[0].isdigit() else repr(text)}" for name, text in options.items()]
    (directory / "pyproject.toml").write_text("\n".join(["[tool.pytheus.run]", *lines, ""]))


def test_each_option_has_a_case() -> None:
    assert set(VALUES) == set(WRITING_FLAGS.values()) == set(WritingOptions._fields)
    assert writing_options({}) == WritingOptions()
    assert not WritingOptions().has_receiver


@pytest.mark.parametrize("name", VALUES)
def test_a_flag_decides_over_a_variable_and_that_over_the_file(
    name: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = VALUES[name]
    assert getattr(writing_options({name: text}), name) == value
    _write(directory, **{name: text})
    assert getattr(writing_options({}), name) == value
    monkeypatch.setenv(f"PYTHEUS_RUN_{name.upper()}", OTHER.get(name, "/other"))
    assert getattr(writing_options({}), name) != value
    assert getattr(writing_options({name: text}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("remote_write", "prometheus:9090", "the URL of the receiver begins with http:// or https://"),
        ("otlp", "environment", "the URL of the receiver begins with http:// or https://"),
        ("remote_write_labels", "job", "takes labels, each once"),
        ("write_interval_seconds", "0", "takes a positive number of seconds"),
    ],
)
def test_values_that_are_not_valid(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        writing_options({name: text})
    assert str(caught.value).startswith(f"--{name.replace('_', '-')}")


def test_variables_of_opentelemetry() -> None:
    found = otlp_variables(
        "env",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20a%3Db, x-tenant = shop",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "cert.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "key.pem",
            "OTEL_METRIC_EXPORT_INTERVAL": "15000",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,service.namespace=e%2Cu",
        },
    )
    assert found == OtlpVariables(
        "http://collector:4318/v1/metrics",
        {"authorization": "Bearer a=b", "x-tenant": "shop"},
        {"service.name": "shop", "service.namespace": "e,u"},
        2.5,
        15.0,
        False,
        "ca.pem",
        "cert.pem",
        "key.pem",
    )


def test_a_variable_for_metrics_decides_over_that_for_all_signals() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:4318",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://metrics:1/path",
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "1",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "gzip",
    }
    found = otlp_variables("env", environ)
    assert (found.url, found.timeout_seconds, found.gzip) == ("http://metrics:1/path", 0.001, True)
    assert otlp_variables("http://own:1", environ).url == "http://own:1"


@pytest.mark.parametrize(
    ("variable", "text", "url"),
    [
        ("ENDPOINT", "http://a:1", "http://a:1/v1/metrics"),
        ("ENDPOINT", "http://a:1/x?token=1", "http://a:1/x/v1/metrics?token=1"),
        ("ENDPOINT", "http://a:1?token=/1/", "http://a:1/v1/metrics?token=/1/"),
        ("METRICS_ENDPOINT", "http://a:1", "http://a:1/"),
        ("METRICS_ENDPOINT", "http://a:1/", "http://a:1/"),
        ("METRICS_ENDPOINT", "http://a:1?token=/1", "http://a:1/?token=/1"),
        ("METRICS_ENDPOINT", "http://a:1/x?token=1", "http://a:1/x?token=1"),
    ],
)
def test_the_address_in_a_variable(variable: str, text: str, url: str) -> None:
    """https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp"""
    assert otlp_variables("env", {f"OTEL_EXPORTER_OTLP_{variable}": text}).url == url


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "set OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"ENDPOINT": "collector"}, "the URL in OTEL_EXPORTER_OTLP_ENDPOINT begins with"),
        ({"ENDPOINT": "http://a:1", "PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL chooses another protocol"),
        ({"ENDPOINT": "http://a:1", "HEADERS": "hunter2"}, "OTEL_EXPORTER_OTLP_HEADERS takes names and values"),
        ({"ENDPOINT": "http://a:1", "TIMEOUT": "10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT takes a positive number"),
    ],
)
def test_variables_that_are_not_valid(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        otlp_variables("env", {f"OTEL_EXPORTER_OTLP_{name}": text for name, text in environ.items()})
    assert "hunter2" not in str(caught.value)


def test_a_program_is_not_started_with_an_option_that_is_not_valid(directory: Path) -> None:
    line = refused(directory, "--remote-write", "http://a:hunter2@b:70000", "program.py")
    assert line.startswith("--remote-write: the URL of the receiver does not have the form http://HOST")
    assert "hunter2" not in line
    assert "needs an address" in refused(directory, "--otlp", "env", "program.py")
    # As a variable has bytes that are not UTF-8.
    line = refused(directory, "--otlp", "http://a:1", "program.py", OTEL_SERVICE_NAME="\udcff")
    assert line.startswith("the attribute 'service.name' of a resource contains a lone surrogate")
