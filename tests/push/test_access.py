"""Credentials and certificates for receivers, before a request."""

from __future__ import annotations

import os
import pickle
import ssl
from pathlib import Path

import pytest

from pytheus.exceptions import InvalidReceiverError
from pytheus.push import Access
from pytheus.push.client import HttpClient
from tests.push.receivers import closed_port


@pytest.mark.parametrize(
    "arguments",
    [
        {"username": "a", "password": "b", "password_file": "c"},
        {"bearer_token": "a", "bearer_token_file": "c"},
        {"username": "a", "bearer_token": "b"},
        {"password": "hunter2"},
        {"username": "a:b"},
        {"key_file": "a"},
        {"tls": ssl.create_default_context(), "ca_file": "a"},
        {"bearer_token": "hunter2\r\nX: y"},
        {"headers": {"X-A": "hunter2\r\nX: y"}},
        {"headers": {"X A": "hunter2"}},
        {"headers": {"Content-Length": "0"}},
        {"headers": {"Authorization": "hunter2"}, "username": "a"},
    ],
)
def test_access_that_contradicts_itself_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidReceiverError) as caught:
        Access(**arguments)  # type: ignore[arg-type]  # arguments of several types
    assert "hunter2" not in str(caught.value)


def test_access_reaches_another_process() -> None:
    access = pickle.loads(pickle.dumps(Access(bearer_token="abc", headers={"X-A": "b"})))
    assert (access.bearer_token, access.headers) == ("abc", {"X-A": "b"})


def test_credentials_are_given_once() -> None:
    with pytest.raises(InvalidReceiverError, match=r"both in its URL http://a:\*\*\*@b and in access"):
        HttpClient("http://a:b@b", Access(bearer_token="c"))


@pytest.mark.parametrize("access", [Access(ca_file="/nowhere"), Access(cert_file=__file__)])
def test_a_file_of_certificates_that_cannot_be_used_is_named(access: Access) -> None:
    client = HttpClient(f"https://127.0.0.1:{closed_port()}", access)
    with pytest.raises(InvalidReceiverError, match=r"cannot use (ca|cert)_file /.*; write PEM without a passphrase"):
        client.request("GET")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("option", ["ca_file", "cert_file", "key_file", "bearer_token_file", "password_file"])
@pytest.mark.parametrize("path", ["pipe", "/dev/zero"])
def test_a_file_that_is_waited_for_is_refused(option: str, path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    files = {option: tmp_path / path}
    if option == "key_file":
        files["cert_file"] = Path(__file__)
    access = Access(username="shop" if option == "password_file" else "", **files)  # type: ignore[arg-type]  # by name
    client = HttpClient(f"https://127.0.0.1:{closed_port()}", access)
    with pytest.raises(InvalidReceiverError, match=rf"cannot (use|read) {option} .*{path}: not a regular file"):
        client.request("GET")


def test_a_file_of_a_secret_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    client = HttpClient("http://127.0.0.1:9", Access(bearer_token_file=tmp_path / "token"))
    with pytest.raises(InvalidReceiverError, match=r"cannot read bearer_token_file .*token: No such file"):
        client.request("GET")
