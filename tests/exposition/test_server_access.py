"""The built-in server with a web configuration: TLS, client certificates, passwords and bearer tokens."""

from __future__ import annotations

import base64
import hmac
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from pytheus import start_http_server
from pytheus.exceptions import ConfigurationError
from pytheus.exposition import arrivals as arrivals_module
from pytheus.exposition import authentication as authentication_module
from pytheus.exposition.authentication import Credentials
from pytheus.exposition.http1 import parse_head
from pytheus.exposition.negotiation import OVERVIEW_TYPE
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import Gate, WaitUntil, add_queues, open_to, own_threads, read

web_configs = pytest.importorskip("tests.exposition.web_configs", exc_type=ImportError)
from tests.exposition.web_configs import (  # noqa: E402
    HASH,
    MUTUAL,
    PASSWORD,
    PATIENCE_SECONDS,
    TLS,
    USERS,
    Scene,
    Serve,
    address_of,
    basic,
    fetch,
    serving,
)


@pytest.fixture(scope="module")
def shared_scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("web"))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """For tests that change the files."""
    return Scene(tmp_path)


@pytest.fixture
def serve(shared_scene: Scene, shop: CollectorRegistry, wait_until: WaitUntil) -> Iterator[Serve]:
    with serving(shared_scene, shop, wait_until) as serve:
        yield serve


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_metrics_are_served_with_tls(
    serve: Serve, shared_scene: Scene, shop: CollectorRegistry, version: ssl.TLSVersion
) -> None:
    add_queues(shop)
    server = serve(TLS)
    context = shared_scene.client()
    context.minimum_version = context.maximum_version = version

    status, _, body = fetch(server, context)

    assert server.url.startswith("https://127.0.0.1:")
    assert status == 200
    assert b"\nshop_orders_total 1.0\n" in body


def test_the_end_of_a_response_is_announced(serve: Serve, shared_scene: Scene) -> None:
    """Without it, a client could not tell a whole response from one that an attacker has cut."""
    server = serve(TLS)
    with (
        socket.create_connection(address_of(server), timeout=PATIENCE_SECONDS) as plain,
        shared_scene.client().wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as connection,
    ):
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.endswith(b"shop_orders_total 1.0\n")


def test_inline_certificates_leave_no_file(
    serve: Serve, shared_scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    texts = {"cert": "server.crt", "key": "server.key", "client_ca": "ca.crt"}
    lines = ["tls_server_config:", "  client_auth_type: RequireAndVerifyClientCert"]
    for key, file in texts.items():
        lines.append(f"  {key}: |")
        lines += [f"    {line}" for line in (shared_scene.home / file).read_text().splitlines()]

    server = serve("\n".join(lines))

    assert list(tmp_path.iterdir()) == []
    assert fetch(server, shared_scene.client(with_certificate=True))[0] == 200


def test_mutual_tls(serve: Serve, shared_scene: Scene, wait_until: WaitUntil) -> None:
    server = serve(MUTUAL)

    assert fetch(server, shared_scene.client(with_certificate=True))[0] == 200
    for context in (shared_scene.client(), shared_scene.client(authority=web_configs.trustme.CA())):
        with pytest.raises(OSError, match=r"(?i)certificate|unknown ca|reset|EOF|pipe"):
            fetch(server, context)
    assert fetch(server, shared_scene.client(with_certificate=True))[0] == 200
    wait_until(lambda: not list(server._arrivals), "the refused connections to end")


@pytest.mark.parametrize(
    ("names", "is_allowed"),
    [(["prometheus.example"], True), (["other", "10.0.0.1"], True), (["example"], False), (["10.0.0.10"], False)],
)
def test_names_of_certificates(serve: Serve, shared_scene: Scene, names: list[str], is_allowed: bool) -> None:
    server = serve(f"{MUTUAL}  client_allowed_sans: [{', '.join(names)}]\n")
    context = shared_scene.client(with_certificate=True)

    if is_allowed:
        assert fetch(server, context)[0] == 200
    else:
        with pytest.raises(OSError, match=r"EOF|reset|closed|Remote end|pipe"):
            fetch(server, context)


def test_versions_and_ciphers_are_obeyed(serve: Serve, shared_scene: Scene) -> None:
    server = serve(
        f"{TLS}  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,"
        " TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305]\n  curve_preferences: [CurveP384]\n"
    )
    with (
        socket.create_connection(address_of(server), timeout=PATIENCE_SECONDS) as plain,
        shared_scene.client().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        assert connection.version() == "TLSv1.2"
        cipher = connection.cipher()
        assert cipher is not None
        assert cipher[0].endswith("CHACHA20-POLY1305")


def test_a_client_without_tls_is_told(serve: Serve) -> None:
    headers = "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=60\n"
    server = serve(TLS + headers)
    with open_to(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: shop\r\n\r\n")
        response = read(connection)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert response.endswith(b"this server needs HTTPS; write https:// instead of http://\n")
    assert b"Strict-Transport-Security" not in response  # RFC 6797 section 7.2


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x16\x03\x01",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600),
        b"\x16\x03\x01\x00\x05nonse",
        b"\x80\x2e\x01\x00\x02",
        bytes(16384),
        b"\xff" * 70_000,
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x17\x03\x03\x40\x00" + bytes(16384),
    ],
)
def test_bad_tls_costs_only_itself(serve: Serve, shared_scene: Scene, sent: bytes, wait_until: WaitUntil) -> None:
    server = serve(TLS)
    for _ in range(5):
        with open_to(server) as connection, suppress(OSError):  # the server may have closed it already
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            read(connection)

    assert fetch(server, shared_scene.client())[0] == 200
    wait_until(lambda: not list(server._arrivals), "the broken connections to end")


def test_clients_that_stop_in_their_handshake_keep_no_scrape_out(
    serve: Serve, shared_scene: Scene, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    server = serve(TLS)
    hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        shared_scene.client().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
    begun = hello.read()
    with ExitStack() as idle:
        for _ in range(2 * arrivals_module._ARRIVALS):
            idle.enter_context(open_to(server)).sendall(begun)

        assert fetch(server, shared_scene.client())[0] == 200


def test_a_handshake_has_a_limit_of_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals_module, "_HEAD_SECONDS", 0.1)
    with open_to(serve(TLS)) as connection:
        connection.sendall(b"\x16")
        assert read(connection) == b""


def test_a_client_that_leaves_is_noticed(
    serve: Serve, shared_scene: Scene, shop: CollectorRegistry, wait_until: WaitUntil
) -> None:
    """It announces its end before it closes, so that its last bytes are not those of TCP."""
    gate = Gate()
    shop.register(gate)
    server = serve(TLS)
    plain = socket.create_connection(address_of(server), timeout=PATIENCE_SECONDS)
    connection = shared_scene.client().wrap_socket(plain, server_hostname="127.0.0.1")
    try:
        connection.sendall(b"GET /metrics HTTP/1.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 100\r\n\r\n")
        assert gate.waiting.acquire(timeout=PATIENCE_SECONDS)
        connection.settimeout(0.01)
        with suppress(TimeoutError, ssl.SSLError):
            connection.unwrap()
        connection.close()
        wait_until(lambda: "pytheus-scrape" not in own_threads(), "the scrape to end")
    finally:
        gate.open.set()
        connection.close()


# Passwords and tokens ------------------------------------------------------------------------------------------------


def test_a_password_is_needed(serve: Serve) -> None:
    server = serve(USERS)

    status, fields, body = fetch(server)
    assert (status, fields["www-authenticate"], body) == (401, 'Basic realm="metrics"', b"authentication is required\n")
    for _ in range(2):  # hashed, and remembered
        assert fetch(server, Authorization=basic("prometheus", PASSWORD))[0] == 200


@pytest.mark.parametrize("accept", ["text/html", OVERVIEW_TYPE])
def test_the_page_needs_it_too(serve: Serve, accept: str) -> None:
    server = serve(USERS)

    assert fetch(server, Accept=accept)[::2] == (401, b"authentication is required\n")
    status, fields, _ = fetch(server, Accept=accept, Authorization=basic("prometheus", PASSWORD))
    assert (status, fields["content-type"].partition(";")[0]) == (200, accept)


WRONG = [
    "",
    "Basic",
    "Basic ",
    "Basic !!!!",
    "Basic " + base64.b64encode(b"prometheus").decode(),
    "Bearer " + PASSWORD,
    "Digest username=prometheus",
    basic("prometheus", "wrong"),
    basic("prometheus", ""),
    basic("", PASSWORD),
    basic("Prometheus", PASSWORD),
    basic("prometheus", PASSWORD + " "),
    basic("prometheus", PASSWORD + "\0"),
    basic("prometheus", "x" * 73),
    basic("prometheus", HASH),
    basic("\u00e9", "\u00e9"),
    basic("prometheus", PASSWORD) + ", " + basic("prometheus", PASSWORD),
    "Basic \u00e9",
]


@pytest.mark.parametrize("authorization", WRONG)
@pytest.mark.parametrize("path", ["/metrics", "/", "/nowhere"])
def test_wrong_credentials_are_refused(serve: Serve, authorization: str, path: str) -> None:
    server = serve(USERS)
    with open_to(server) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: {authorization}\r\n\r\n"
        connection.sendall(head.encode("latin-1"))
        assert read(connection).startswith(b"HTTP/1.1 401 ")


def test_probes_need_no_password(serve: Serve) -> None:
    assert fetch(serve(USERS), path="/-/healthy")[0] == 200


def test_a_bearer_token_is_enough(serve: Serve, scene: Scene) -> None:
    (scene.home / "one").write_text("first-token\n")
    (scene.home / "two").write_text("second-token")
    server = serve("bearer_token_files: [one, two]\n", scene)

    assert fetch(server)[1]["www-authenticate"] == 'Bearer realm="metrics"'
    assert fetch(server, Authorization="Bearer first-token")[0] == 200
    assert fetch(server, Authorization="bearer second-token")[0] == 200
    for wrong in ("", "first", "first-token-", "FIRST-TOKEN", "first-token, second-token", "\u00e9"):
        assert fetch(server, Authorization=f"Bearer {wrong}")[0] == 401
    (scene.home / "one").write_text("third-token")
    assert fetch(server, Authorization="Bearer first-token")[0] == 401
    assert fetch(server, Authorization="Bearer third-token")[0] == 200


def test_headers_are_sent(serve: Serve) -> None:
    server = serve("http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n")
    assert fetch(server)[1]["x-frame-options"] == "deny"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /-/healthy HTTP/1.0\r\n\r\n", 200),
        (b"DELETE /-/healthy HTTP/1.0\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 401),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000, 431),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET /metr", 408),
    ],
)
def test_each_response_has_the_headers(serve: Serve, sent: bytes, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if status == 408:
        monkeypatch.setattr(arrivals_module, "_HEAD_SECONDS", 0.1)
    headers = "X-Frame-Options: deny\n    X-Content-Type-Options: nosniff"
    server = serve(f"http_server_config:\n  headers:\n    {headers}\n{USERS}")
    with open_to(server) as connection:
        connection.sendall(sent)
        response = read(connection)
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nX-Frame-Options: deny\r\nX-Content-Type-Options: nosniff\r\n" in response


def test_a_request_that_gets_no_scrape_gets_the_headers(
    serve: Serve, shop: CollectorRegistry, wait_until: WaitUntil
) -> None:
    gate = Gate()
    shop.register(gate)
    server = serve("http_server_config:\n  headers:\n    X-Frame-Options: deny\n", max_scrapes=1)
    with open_to(server) as first, open_to(server) as second:
        first.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert gate.waiting.acquire(timeout=PATIENCE_SECONDS)
        second.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        response = read(second)
        gate.open.set()
        assert b"\r\nX-Frame-Options: deny\r\n" in read(first)
    assert response.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nX-Frame-Options: deny\r\n" in response


def test_guesses_leave_scrapes_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed one at a time; of more than a few, others are told to try again."""
    monkeypatch.setattr(authentication_module, "_CHECKS", 1)
    credentials = Credentials({"prometheus": HASH}, [])
    right = parse_head(f"GET / HTTP/1.0\r\nAuthorization: {basic('prometheus', PASSWORD)}".encode())
    wrong = parse_head(f"GET / HTTP/1.0\r\nAuthorization: {basic('prometheus', 'guess')}".encode())
    assert credentials.refusal(right) is None
    refusals: list[int] = []
    with credentials._one_at_a_time:
        guess = threading.Thread(target=lambda: refusals.append(getattr(credentials.refusal(wrong), "status", 0)))
        guess.start()
        while credentials._places.acquire(blocking=False):
            credentials._places.release()
        busy = credentials.refusal(wrong)
        assert busy is not None
        assert (busy.status, dict(busy.headers)["Retry-After"]) == (503, "1")
        assert credentials.refusal(right) is None  # remembered
    guess.join()
    assert refusals == [401]


def test_comparisons_take_the_same_time_for_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shown by the comparisons: each token is compared, and an unknown user's password is hashed as a known one's."""
    compared: list[bytes] = []
    hashed: list[bytes] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return real(one, other)

    def check(password: bytes, against: bytes) -> bool:
        hashed.append(against)
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    credentials = Credentials({"prometheus": HASH}, ["a", "b", "c"])
    monkeypatch.setattr(credentials, "_check_password", check)

    for token in ("a", "c", "none"):
        compared.clear()
        credentials.refusal(parse_head(f"GET / HTTP/1.0\r\nAuthorization: Bearer {token}".encode()))
        assert len(compared) == 3
    for name in ("prometheus", "unknown"):
        hashed.clear()
        credentials.refusal(parse_head(f"GET / HTTP/1.0\r\nAuthorization: {basic(name, 'guess')}".encode()))
        assert hashed == [HASH.encode()]


def test_a_web_config_that_is_not_valid_starts_nothing(scene: Scene, shop: CollectorRegistry) -> None:
    with pytest.raises(ConfigurationError, match="unknown key 'basic_auth_user'"):
        start_http_server(0, registry=shop, web_config=scene.write("basic_auth_user: {}"))
    assert own_threads() == []
