"""A real Prometheus scrapes the built-in server by its own configuration, and obeys the same web configuration."""

from __future__ import annotations

import base64
import http.client
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus import start_http_server
from pytheus.exceptions import ConfigurationError
from pytheus.exposition.access import Access
from pytheus.registry import CollectorRegistry

if TYPE_CHECKING:
    from tests.conftest import Prometheus, Start

pytest.importorskip("tests.exposition.web_configs", exc_type=ImportError)
import trustme

from tests.exposition.web_configs import MUTUAL, PASSWORD, TLS, USERS, Scene

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs prometheus (Debian: apt-get install prometheus)"
)


def test_prometheus_scrapes_over_mutual_tls_with_a_password_or_a_token(
    tmp_path: Path,
    shop: CollectorRegistry,
    start: Start,
    start_prometheus: Callable[..., Prometheus],
    wait_until: Callable[[Callable[[], object], str], None],
) -> None:
    scene = Scene(tmp_path)
    (tmp_path / "token").write_text("the-token\n")
    (tmp_path / "password").write_text(PASSWORD)
    web = scene.write(f"{MUTUAL}  client_allowed_sans: [prometheus.example]\n{USERS}bearer_token_files: [token]\n")
    trust = ["scheme: https", "tls_config:", f"  ca_file: {tmp_path / 'ca.crt'}"]
    known = [*trust, f"  cert_file: {tmp_path / 'client.pem'}", f"  key_file: {tmp_path / 'client.pem'}"]
    password = ["basic_auth:", "  username: prometheus", f"  password_file: {tmp_path / 'password'}"]
    options = {
        "password": [*known, *password],
        "token": [*known, "authorization:", f"  credentials_file: {tmp_path / 'token'}"],
        "nothing": known,
        "wrong": [*known, "basic_auth:", "  username: prometheus", "  password: wrong"],
        "stranger": [*trust, *password],
        "plain": password,
    }
    with start_http_server(0, registry=shop, web_config=web) as server:
        target = f"127.0.0.1:{server.port}"
        prometheus = start_prometheus(start, tmp_path, options=options, **dict.fromkeys(options, target))

        def by_job(query: str) -> dict[str, float]:
            return {labels["job"]: value for labels, value in prometheus.query(query)}

        # A scrape may fail on a busy machine, too.
        ever_up = "max_over_time(up[1h])"
        wait_until(lambda: by_job("count_over_time(up[1h]) > 1").keys() == options.keys(), "scrapes of each job")
        wait_until(lambda: sum(by_job(ever_up).values()) >= 2, "both jobs that may scrape")
        assert by_job(ever_up) == {job: float(job in ("password", "token")) for job in options}
        assert by_job("last_over_time(shop_orders_total[1h])") == {"password": 1.0, "token": 1.0}

        scene.renew()
        begun = time.time()

        def scraped_since() -> set[str]:
            return {job for job, at in by_job("timestamp(shop_orders_total)").items() if at > begun + 1}

        wait_until(lambda: scraped_since() == {"password", "token"}, "scrapes with the renewed certificate")


# Prometheus's own server with the same web configuration --------------------------------------------------------------

_OPTIONAL = TLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n"
_LATEST = TLS + "  min_version: TLS13\n"
_EARLIER = TLS + "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"
_HEADERS = "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n"
_CONFIGURATIONS = (TLS, MUTUAL, _OPTIONAL, _LATEST, _EARLIER, TLS + USERS + _HEADERS, MUTUAL + USERS)


def _outcome(port: int, context: ssl.SSLContext | None, authorization: str) -> str:
    """The status of a request and the headers of the web configuration, or "refused" if there is no response."""
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": authorization} if authorization else {})
        response = connection.getresponse()
        response.read()
        return f"{response.status} {response.headers.get('X-Frame-Options')}"
    except OSError:
        return "refused"
    finally:
        connection.close()


def _outcomes(port: int, scene: Scene, stranger: ssl.SSLContext) -> dict[str, str]:
    """What different clients get."""
    earlier, latest = scene.client(with_certificate=True), scene.client(with_certificate=True)
    earlier.maximum_version = ssl.TLSVersion.TLSv1_2
    latest.minimum_version = ssl.TLSVersion.TLSv1_3
    contexts = {
        "plain": None,
        "without a certificate": scene.client(),
        "with one": scene.client(with_certificate=True),
        "with a stranger's": stranger,
        "TLS 1.2": earlier,
        "TLS 1.3": latest,
    }
    found = {name: _outcome(port, context, "") for name, context in contexts.items()}
    for pair in (f"prometheus:{PASSWORD}", "prometheus:wrong", f"unknown:{PASSWORD}", "prometheus:", ":", "prometheus"):
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        found[pair] = _outcome(port, scene.client(with_certificate=True), authorization)
    for authorization in ("Basic", "Basic !", "Bearer token", "Digest username=prometheus"):
        found[authorization] = _outcome(port, scene.client(with_certificate=True), authorization)
    return found


def test_prometheus_itself_obeys_the_same_file_in_the_same_way(
    tmp_path: Path,
    shop: CollectorRegistry,
    start: Start,
    unused_port: Callable[[], int],
    wait_until: Callable[[Callable[[], object], str], None],
) -> None:
    scene = Scene(tmp_path)
    stranger = scene.client(authority=trustme.CA())
    web = scene.write(TLS)
    (tmp_path / "empty.yml").write_text("")
    port = unused_port()
    program = start(
        "prometheus",
        *(f"--config.file={tmp_path / 'empty.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"),
        *(f"--web.config.file={web}", f"--web.listen-address=127.0.0.1:{port}"),
        cwd=tmp_path,
    )
    program.wait_for("Server is ready")
    for text in _CONFIGURATIONS:
        scene.write(text)  # Prometheus reads it for each connection; ours obeys a weaker one from its start
        theirs = _outcomes(port, scene, stranger)
        with start_http_server(0, registry=shop, web_config=web) as server:
            assert _outcomes(server.port, scene, stranger) == theirs, text
        assert {outcome[:3] for outcome in theirs.values()} >= {"200", "400"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: apt-get install prometheus)")
@pytest.mark.parametrize(
    "text",
    [
        *_CONFIGURATIONS,
        USERS,
        _HEADERS,
        "",
        TLS + "  prefer_server_cipher_suites: false\n  curve_preferences: [CurveP256]\n",
        TLS + "  min_version: TLS14\n",
        TLS + "  client_ca_file: missing.crt\n",
        TLS + "  client_ca_file: ca.crt\n",
        TLS + "  client_auth_type: Sometimes\n",
        TLS + "  cipher_suites: [TLS_NONE]\n",
        TLS + "  curve_preferences: [CurveP1]\n",
        TLS + "  ca_file: ca.crt\n",
        "tls_server_config:\n  cert_file: server.crt\n",
        "tls_server_config:\n  cert_file: missing.crt\n  key_file: server.key\n",
        "tls_server_config:\n  cert_file: ca.crt\n  key_file: server.key\n",
        "basic_auth_user:\n  a: b\n",
        "basic_auth_users:\n  a: a password\n",
        "basic_auth_users: [a]\n",
        "http_server_config:\n  headers:\n    X-Frame-Options: perhaps\n",
        "http_server_config:\n  headers:\n    X-Other: a\n",
        "a: [",
    ],
    ids=map(str, count()),  # not the texts, whose hashes differ between processes
)
def test_promtool_and_the_server_accept_the_same_web_configurations(tmp_path: Path, text: str) -> None:
    """Except for those that the server cannot obey, such as an authority of clients that is any public one."""
    path = Scene(tmp_path).write(text)
    checked = subprocess.run(["promtool", "check", "web-config", path], capture_output=True, text=True, cwd=tmp_path)
    try:
        Access(path)
    except ConfigurationError as error:
        assert checked.returncode != 0, f"promtool accepts it, but the server: {error}"
    else:
        assert checked.returncode == 0, checked.stderr
