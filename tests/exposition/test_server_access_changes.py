"""Changes of the web configuration of a running server: which take effect at once, and which open nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import WaitUntil

pytest.importorskip("tests.exposition.web_configs", exc_type=ImportError)
from tests.exposition.web_configs import (
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


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def serve(scene: Scene, shop: CollectorRegistry, wait_until: WaitUntil) -> Iterator[Serve]:
    with serving(scene, shop, wait_until) as serve:
        yield serve


def test_a_certificate_that_is_renewed_is_used_at_once(
    serve: Serve, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    def served() -> str:
        with (
            socket.create_connection(address_of(server), timeout=PATIENCE_SECONDS) as plain,
            scene.client().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            certificate = connection.getpeercert()
            assert certificate is not None
            return str(certificate["serialNumber"])

    server = serve(TLS)
    first = served()
    key = (scene.home / "server.key").read_text()
    scene.renew()
    renewed = (scene.home / "server.key").read_text()

    (scene.home / "server.key").write_text(key)  # the certificate is written before its key
    assert served() == first
    assert served() == first
    assert caplog.text.count("the previous web configuration stays in force") == 1
    (scene.home / "server.key").write_text(renewed)
    assert served() != first


def test_a_user_who_is_removed_is_refused_at_once(serve: Serve, scene: Scene) -> None:
    server = serve(USERS)
    assert fetch(server, Authorization=basic("prometheus", PASSWORD))[0] == 200

    scene.write(USERS.replace("prometheus", "grafana"))

    assert fetch(server, Authorization=basic("prometheus", PASSWORD))[0] == 401
    assert fetch(server, Authorization=basic("grafana", PASSWORD))[0] == 200


@pytest.mark.parametrize("change", ["basic_auth_users: [", "{}: nothing", TLS], ids=["broken", "unknown", "TLS added"])
def test_a_change_that_is_not_valid_leaves_the_access_as_it_was(
    serve: Serve, scene: Scene, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(USERS)
    scene.write(change)
    assert fetch(server)[0] == 401
    assert fetch(server, Authorization=basic("prometheus", PASSWORD))[0] == 200
    scene.path.unlink()
    assert fetch(server)[0] == 401
    assert caplog.text.count("the previous web configuration stays in force") == 2


_SANS = f"{MUTUAL}  client_allowed_sans: [prometheus.example]\n"
_TWO_USERS = f"{USERS}  grafana: {HASH}\n"


@pytest.mark.parametrize("change", ["", "basic_auth_users:\n", "http_server_config:\n"], ids=["empty", "cut", "other"])
@pytest.mark.parametrize("text", [USERS, "bearer_token_files: [token]\n"], ids=["users", "tokens"])
def test_credentials_stay_needed_when_none_is_left(
    serve: Serve, scene: Scene, text: str, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    (scene.home / "token").write_text("first-token\n")
    server = serve(text)

    scene.write(change)

    assert [fetch(server)[0] for _ in range(2)] == [401, 401]
    assert caplog.text.count("no user of basic_auth_users and no token of bearer_token_files is left, which takes") == 1
    scene.write("bearer_token_files: [token]\n")
    assert fetch(server)[0] == 401
    assert fetch(server, Authorization="Bearer first-token")[0] == 200


def test_a_file_that_is_being_written_never_opens_the_server(serve: Serve, scene: Scene) -> None:
    text = f"http_server_config:\n  headers:\n    X-Frame-Options: deny\n{_TWO_USERS}"
    server = serve(text)

    for length in range(len(text)):
        scene.path.write_text(text[:length])
        assert fetch(server)[0] == 401, text[:length]


def test_one_of_several_users_is_removed_at_once(serve: Serve, scene: Scene) -> None:
    server = serve(_TWO_USERS)
    assert fetch(server, Authorization=basic("grafana", PASSWORD))[0] == 200

    scene.write(USERS)

    assert fetch(server, Authorization=basic("grafana", PASSWORD))[0] == 401
    assert fetch(server, Authorization=basic("prometheus", PASSWORD))[0] == 200


@pytest.mark.parametrize(
    ("text", "change", "words"),
    [
        (MUTUAL, TLS, "client_auth_type was RequireAndVerifyClientCert and is NoClientCert"),
        (
            MUTUAL,
            MUTUAL.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"),
            "client_auth_type was RequireAndVerifyClientCert and is VerifyClientCertIfGiven",
        ),
        (_SANS, MUTUAL, "no name of client_allowed_sans is left"),
        (MUTUAL, "", "tls_server_config was removed"),
    ],
    ids=["none", "if given", "any name", "no TLS"],
)
def test_certificates_of_clients_stay_needed(
    serve: Serve,
    scene: Scene,
    text: str,
    change: str,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those of another name, or no certificate at all, are refused after the change, too."""
    server = serve(text)
    stranger = scene.client()
    if text == _SANS:
        scene.authority.issue_cert("stranger.example").configure_cert(stranger)

    scene.write(change)

    for _ in range(2):
        with pytest.raises(OSError, match=r"(?i)certificate|reset|EOF|closed|pipe"):
            fetch(server, stranger)
    assert fetch(server, scene.client(with_certificate=True))[0] == 200
    assert caplog.text.count(f"{words}, which takes effect when the server starts; start it again") == 1


def test_more_may_be_required_of_certificates_at_once(serve: Serve, scene: Scene) -> None:
    server = serve(TLS)
    assert fetch(server, scene.client())[0] == 200

    scene.write(MUTUAL)

    with pytest.raises(OSError, match=r"(?i)certificate|reset|EOF|pipe"):
        fetch(server, scene.client())
    assert fetch(server, scene.client(with_certificate=True))[0] == 200


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["server.crt", "server.key", "ca.crt"])
def test_a_pipe_in_place_of_a_certificate_stops_no_server(
    serve: Serve, scene: Scene, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(MUTUAL)
    context = scene.client(with_certificate=True)
    (scene.home / name).unlink()
    os.mkfifo(scene.home / name)

    assert fetch(server, context)[0] == 200
    assert f"_file {scene.home / name}: not a regular file" in caplog.text
