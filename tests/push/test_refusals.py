"""The words of a receiver in errors: whose they are, how much of them, and without credentials."""

from __future__ import annotations

import base64
import socket
from pathlib import Path
from urllib.parse import unquote

import pytest

from pytheus.exceptions import PushError
from pytheus.push import Access
from pytheus.push.client import HttpClient
from tests.push.receivers import Received, Receiver, answering, closed_port


@pytest.mark.parametrize(
    ("status", "headers", "remedy"),
    [
        (400, {}, "correct the metrics that the receiver rejects"),
        (401, {}, "pass credentials in the URL or in access=Access(...)"),
        (404, {}, "check the path of the URL"),
        (413, {}, "raise the receiver's limit, or send fewer metrics"),
        (503, {}, "try again later, and look into the receiver's log"),
        (
            307,
            {"Location": "http://a:secret@other.example/"},
            "it redirects to http://a:***@other.example, and redirects are not followed; name the right URL",
        ),
    ],
)
def test_a_refusal_has_the_words_of_the_receiver(status: int, headers: dict[str, str], remedy: str) -> None:
    with Receiver(answering(status, b"pushed metrics are\n invalid\x1b[31m", **headers)) as receiver:
        client = HttpClient(receiver.url, subject="the Pushgateway")
        error = client.refusal(client.request("POST"))
    assert (error.reason, error.status) == ("status", status)
    assert str(error).startswith(f"the Pushgateway at {receiver.url} refused the request with status {status} ")
    assert str(error).endswith(f", and said: pushed metrics are invalid [31m; {remedy}")
    assert len(receiver.requests) == 1


def test_what_the_receiver_says_is_cut() -> None:
    with Receiver(answering(500, b"x" * 10_000)) as receiver:
        client = HttpClient(receiver.url)
        assert len(str(client.refusal(client.request("POST")))) < 700


def test_no_credential_is_shown(tmp_path: Path) -> None:
    def echo(connection: socket.socket, request: Received) -> None:
        answering(403, f"bad: {request.headers}".encode())(connection, request)

    token = tmp_path / "token"
    token.write_text("tok-hunter2-en")
    accesses = [
        Access(username="shop", password="hunter2"),
        Access(bearer_token="hunter2-token"),
        Access(bearer_token_file=token),
        Access(headers={"X-Key": "hunter2"}),
    ]
    for access in accesses:
        assert "hunter2" not in repr(access)
        with Receiver(echo) as receiver:
            client = HttpClient(receiver.url, access)
            shown = str(client.refusal(client.request("POST")))
        assert "bad: " in shown
        assert "hunter2" not in shown
        assert base64.b64encode(b"shop:hunter2").decode() not in shown
        with pytest.raises(PushError) as caught:
            HttpClient(f"http://127.0.0.1:{closed_port()}", access).request("POST")
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "access"),
    [
        ("http://{}/?token=hunter2%2Bab", Access()),
        ("http://{}/?namespace=shop&extra=hunter2", Access()),
        ("http://{}/hunter2@/push", Access()),
        ("http://hunter2@{}", Access()),
        ("http://{}", Access(username="hunter2")),
    ],
)
def test_no_credential_of_the_url_is_shown(url: str, access: Access) -> None:
    def echo(connection: socket.socket, request: Received) -> None:
        named = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        words = f"bad: {request.target} or {unquote(request.target)} of {named} in shop"
        answering(403, words.encode())(connection, request)

    with Receiver(echo) as receiver:
        client = HttpClient(url.format(f"127.0.0.1:{receiver.port}"), access)
        shown = str(client.refusal(client.request("POST", "/metrics")))
    assert "bad: " in shown
    assert "in shop" in shown
    assert "hunter2" not in shown


def test_words_are_left_alone_by_short_values_of_a_query() -> None:
    with Receiver(answering(400, b"samples are late")) as receiver:
        client = HttpClient(f"{receiver.url}?precision=s")
        assert "and said: samples are late;" in str(client.refusal(client.request("POST")))
