"""The HTTP client: requests, responses, and each way to fail within the limit of time."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.exceptions import InvalidReceiverError, PushError
from pytheus.push import Access
from pytheus.push.client import USER_AGENT, HttpClient
from tests.push.receivers import Answer, Received, Receiver, answering, closed_port

# Short, because each of these tests waits for it; what it limits would otherwise last until the test's own timeout.
_SHORT_SECONDS = 0.2


def failure(client: HttpClient, body: bytes = b"x") -> PushError:
    with pytest.raises(PushError) as caught:
        client.request("POST", "/metrics", body)
    return caught.value


# Requests ------------------------------------------------------------------------------------------------------------


def test_a_request_has_body_headers_and_the_path_below_the_url() -> None:
    with Receiver(answering(202, b"stored", X_Written="5")) as receiver:
        client = HttpClient(f"{receiver.url}/push/?tenant=shop", Access(headers={"X-Scope-OrgID": "shop"}))
        response = client.request("PUT", "/metrics/job/a", b"a 1\n", headers={"Content-Type": "text/plain"})

    assert (response.status, response.body, response.headers["x-written"]) == (202, b"stored", "5")
    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("PUT", "/push/metrics/job/a?tenant=shop", b"a 1\n")
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": USER_AGENT,
        "accept-encoding": "identity",
        "connection": "close",
        "x-scope-orgid": "shop",
        "content-type": "text/plain",
        "content-length": "4",
    }


def test_a_body_can_be_compressed() -> None:
    with Receiver(answering(200)) as receiver:
        HttpClient(receiver.url).request("POST", "/", b"a 1\n" * 1000, gzip=True)
    (request,) = receiver.requests
    assert request.body == b"a 1\n" * 1000
    assert int(request.headers["content-length"]) < 200


def test_a_name_is_resolved() -> None:
    with Receiver(answering(200)) as receiver:
        response = HttpClient(f"http://localhost:{receiver.port}").request("DELETE", "/a")
    assert response.status == 200
    assert "content-length" not in receiver.requests[0].headers


def test_only_the_beginning_of_a_body_is_kept() -> None:
    with Receiver(answering(200, b"x" * 1_000_000)) as receiver:
        assert len(HttpClient(receiver.url).request("GET").body) == 65536


@pytest.mark.parametrize(
    ("url", "access", "expected"),
    [
        ("http://shop:p%40ss@{}", Access(), b"Basic " + base64.b64encode(b"shop:p@ss")),
        ("http://{}", Access(username="shop", password="päss"), b"Basic " + base64.b64encode("shop:päss".encode())),
        ("http://{}", Access(bearer_token="abc.def"), b"Bearer abc.def"),
        ("http://{}", Access(headers={"Authorization": "Token abc"}), b"Token abc"),
    ],
)
def test_credentials_are_sent(url: str, access: Access, expected: bytes) -> None:
    with Receiver(answering(200)) as receiver:
        HttpClient(url.format(f"127.0.0.1:{receiver.port}"), access).request("GET")
    assert receiver.requests[0].headers["authorization"].encode() == expected


def test_a_file_of_a_secret_is_read_at_each_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with Receiver(answering(200)) as receiver:
        client = HttpClient(receiver.url, Access(bearer_token_file=token))
        for value in ("first\n", "second\n"):
            token.write_text(value)
            client.request("GET")
    assert [request.headers["authorization"] for request in receiver.requests] == ["Bearer first", "Bearer second"]


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an authority, a server's certificate, and a client's."""
    trustme = pytest.importorskip("trustme")
    home = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(home / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(home / "server.pem"))
    issued = authority.issue_cert("shop.example")
    issued.private_key_pem.write_to_path(str(home / "client.key"))
    issued.cert_chain_pems[0].write_to_path(str(home / "client.crt"))
    return home


def server_context(certificates: Path, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    return context


def test_tls_trusts_the_authority_that_was_named(certificates: Path) -> None:
    with Receiver(answering(200), context=server_context(certificates)) as receiver:
        assert HttpClient(receiver.url, Access(ca_file=certificates / "ca.pem")).request("GET").status == 200
        error = failure(HttpClient(receiver.url))
    assert error.reason == "tls"
    assert "has a certificate that is not trusted" in str(error)
    assert "ca_file" in str(error)


def test_tls_shows_the_certificate_of_this_side(certificates: Path) -> None:
    trusting = Access(ca_file=certificates / "ca.pem")
    showing = Access(
        ca_file=certificates / "ca.pem", cert_file=certificates / "client.crt", key_file=certificates / "client.key"
    )
    with Receiver(answering(200), context=server_context(certificates, asks=True)) as receiver:
        assert HttpClient(receiver.url, showing).request("GET").status == 200
        # Without a certificate, the alert of the receiver may be lost with its connection.
        assert failure(HttpClient(receiver.url, trusting)).reason in ("tls", "connection", "response")


def test_renewed_certificates_are_used(certificates: Path, tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    with Receiver(answering(200), context=server_context(certificates)) as receiver:
        client = HttpClient(receiver.url, Access(ca_file=path))
        assert failure(client).reason == "tls"
        path.unlink()
        path.write_bytes((certificates / "ca.pem").read_bytes())
        assert client.request("GET").status == 200


def test_a_receiver_without_tls_is_told_apart() -> None:
    with Receiver(answering(200)) as receiver:
        error = failure(HttpClient(receiver.url.replace("http:", "https:")))
    assert error.reason in ("tls", "connection")


def test_the_wrong_name_in_a_certificate_is_refused(certificates: Path) -> None:
    with Receiver(answering(200), context=server_context(certificates)) as receiver:
        error = failure(HttpClient(f"https://localhost:{receiver.port}", Access(ca_file=certificates / "ca.pem")))
    assert error.reason == "tls"
    assert "localhost" in str(error)


# Failures ------------------------------------------------------------------------------------------------------------


def test_a_receiver_that_is_down() -> None:
    port = closed_port()
    error = failure(HttpClient(f"http://127.0.0.1:{port}", subject="the Pushgateway"))
    assert error.reason == "connection"
    assert str(error) == (
        f"the Pushgateway at http://127.0.0.1:{port} cannot be reached: connection refused; check that it runs there"
    )


def _drip(connection: socket.socket, request: Received, receiver: list[Receiver]) -> None:
    while not receiver[0].released.wait(_SHORT_SECONDS / 10):
        connection.sendall(b"H")


def _continue_forever(connection: socket.socket, request: Received, receiver: list[Receiver]) -> None:
    while not receiver[0].released.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def _endless_body(connection: socket.socket, request: Received, receiver: list[Receiver]) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not receiver[0].released.wait(_SHORT_SECONDS / 10):
        connection.sendall(b"1\r\nx\r\n")


def _silence(connection: socket.socket, request: Received, receiver: list[Receiver]) -> None:
    receiver[0].released.wait()


@pytest.mark.parametrize("behave", [_drip, _continue_forever, _silence])
def test_the_limit_covers_the_whole_head(behave: object) -> None:
    assert callable(behave)
    place: list[Receiver] = []
    with Receiver(lambda connection, request: behave(connection, request, place)) as receiver:
        place.append(receiver)
        error = failure(HttpClient(receiver.url, timeout_seconds=_SHORT_SECONDS))
    if behave is _continue_forever and error.reason == "response":
        return  # a version of http.client that reads a bounded number of them
    assert error.reason == "timeout"
    assert "did not answer within 0.2 seconds" in str(error)


def test_a_body_that_never_ends_is_cut() -> None:
    place: list[Receiver] = []
    with Receiver(lambda connection, request: _endless_body(connection, request, place)) as receiver:
        place.append(receiver)
        response = HttpClient(receiver.url, timeout_seconds=_SHORT_SECONDS).request("POST")
    assert response.status == 200
    assert set(response.body) <= {ord("x")}


@pytest.mark.parametrize("status", [200, 400, 429])
@pytest.mark.parametrize("length", ["", "Content-Length: 50\r\n"])
def test_a_connection_that_stays_open_after_the_words(status: int, length: str) -> None:
    place: list[Receiver] = []

    def answer(connection: socket.socket, request: Received) -> None:
        connection.sendall(f"HTTP/1.1 {status} Some Reason\r\n{length}\r\nduplicate labels".encode())
        place[0].released.wait()

    with Receiver(answer) as receiver:
        place.append(receiver)
        client = HttpClient(receiver.url, timeout_seconds=_SHORT_SECONDS)
        response = client.request("POST")
        assert (response.status, response.body) == (status, b"duplicate labels")
        if status != 200:
            response = client.request("GET", max_response_bytes=1000)
            assert (response.status, response.body) == (status, b"duplicate labels")
            return
        # Half of an exposition is not enough.
        with pytest.raises(PushError) as caught:
            client.request("GET", max_response_bytes=1000)
        assert caught.value.reason == "timeout"


def test_the_limit_covers_the_sending() -> None:
    place: list[Receiver] = []
    with Receiver(lambda connection, request: _silence(connection, request, place), reads=False) as receiver:
        place.append(receiver)
        error = failure(HttpClient(receiver.url, timeout_seconds=_SHORT_SECONDS), b"x" * 50_000_000)
    assert error.reason == "timeout"


def test_the_limit_covers_the_handshake() -> None:
    place: list[Receiver] = []
    with Receiver(lambda connection, request: _silence(connection, request, place), reads=False) as receiver:
        place.append(receiver)
        error = failure(HttpClient(receiver.url.replace("http:", "https:"), timeout_seconds=_SHORT_SECONDS))
    assert error.reason == "timeout"


def test_the_limit_covers_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver(answering(200)) as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: receiver.released.wait() and [])
        error = failure(HttpClient("http://gateway.example", timeout_seconds=_SHORT_SECONDS))
    assert error.reason == "timeout"


def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    error = failure(HttpClient("http://gateway.example"))
    assert error.reason == "name"
    assert "has a name without an address: name or service not known" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda connection, request: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
        pytest.param(lambda connection, request: None, id="nothing"),
        pytest.param(
            lambda connection, request: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000),
            id="many headers",
        ),
        pytest.param(
            lambda connection, request: connection.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"
            ),
            id="a broken chunk",
        ),
        pytest.param(lambda connection, request: connection.sendall(os.urandom(70_000)), id="garbage"),
    ],
)
def test_garbage_is_no_response(answer: Answer) -> None:
    with Receiver(answer) as receiver:
        error = failure(HttpClient(receiver.url))
    assert error.reason in ("response", "connection")


FRAGMENTS = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 999 \r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffff\r\n",
    b"0\r\n\r\n",
)


@pytest.mark.property
@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=40), max_size=8))
def test_any_bytes_are_a_response_or_an_error(parts: list[bytes]) -> None:
    with Receiver(lambda connection, request: connection.sendall(b"".join(parts))) as receiver:
        try:
            response = HttpClient(receiver.url).request("POST", "/metrics", b"a 1\n")
        except PushError as error:
            assert error.reason in ("response", "connection")
            assert str(error).isprintable()
        else:
            assert 100 <= response.status <= 999
            assert len(response.body) <= 65536
            assert str(HttpClient(receiver.url).refusal(response)).isprintable()


def test_an_answer_before_the_whole_body_is_read() -> None:
    with Receiver(answering(413, b"too large"), reads=False) as receiver:
        client = HttpClient(receiver.url)
        try:
            assert client.request("POST", "/", b"x" * 50_000_000).status == 413
        except PushError as error:
            assert error.reason == "connection"  # the answer was lost with the connection


# Settings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gateway:9091", "begins with http:// or https:// but got another text"),
        ("ftp://hunter2@gateway", "begins with http:// or https:// but got another text"),
        ("http://", "has no host or the port 0"),
        ("http://:hunter2@gateway", "has a password without a user name"),
        ("http://gateway:70000/hunter2", "does not have the form"),
        ("http://gateway/hunter2#a", "has a '#'"),
        ("http://gateway/hunt er2", "contains a character that a URL cannot have"),
        ("http://gateway/hunter2\r\nX: y", "contains a character that a URL cannot have"),
        ("http://gate<way/hunter2", "contains a character that a URL cannot have"),
        ("http://gateway/" + "hunter2" * 1000, "has 7015 characters, but at most 4096 are allowed"),
        ("http://a:hunter2@[::1", "does not have the form"),
        ("http://hunter2@a..example", "has a host that cannot be a name"),
        ("https://hunter2@.example", "has a host that cannot be a name"),
        (f"http://hunter2@{'a' * 64}.example", "has a host that cannot be a name"),
    ],
)
def test_an_invalid_url_is_refused_and_not_shown(url: str, message: str) -> None:
    with pytest.raises(InvalidReceiverError, match="the URL of the receiver ") as caught:
        HttpClient(url)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://gateway:9091/", "http://gateway:9091"),
        ("HTTPS://Gateway/push/", "https://gateway/push"),
        ("http://[::1]:9091", "http://[::1]:9091"),
        ("http://token@gateway", "http://***@gateway"),
        ("http://gateway/a%40b", "http://gateway/***"),
        ("http://gateway/a?key=abc&namespace=shop", "http://gateway/a?key=***&namespace=shop"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    assert HttpClient(url).shown == shown


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), True, "5", float("inf"), 1e11, 10**400])
def test_a_limit_is_a_positive_number_of_at_most_a_day(seconds: float) -> None:
    with pytest.raises(InvalidReceiverError, match="a positive number"):
        HttpClient("http://a", timeout_seconds=seconds)
