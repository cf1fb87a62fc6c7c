"""A real Prometheus scrapes the built-in server over mutual TLS with a password, by its own configuration."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus import start_http_server
from pytheus.registry import CollectorRegistry

if TYPE_CHECKING:
    from tests.conftest import Prometheus, Start

pytest.importorskip("tests.exposition.web_configs", exc_type=ImportError)
from tests.exposition.web_configs import MUTUAL, PASSWORD, USERS, Scene

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

        def up() -> dict[str, float]:
            return {labels["job"]: value for labels, value in prometheus.query("up")}

        wait_until(lambda: len(up()) == len(options), "each job to be scraped")
        assert up() == {job: float(job in ("password", "token")) for job in options}
        scraped = {labels["job"]: value for labels, value in prometheus.query("shop_orders_total")}
        assert scraped == {"password": 1.0, "token": 1.0}

        scene.renew()
        assert {labels["job"] for labels, _ in prometheus.query("shop_orders_total")} == {"password", "token"}
        begun = max(value for _, value in prometheus.query("timestamp(shop_orders_total)"))
        wait_until(
            lambda: all(value > begun + 1 for _, value in prometheus.query("timestamp(shop_orders_total)")),
            "scrapes with the renewed certificate",
        )
        assert up()["password"] == 1.0
