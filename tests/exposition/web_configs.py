"""Web configurations for tests: an authority, certificates, and files that name them."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import bcrypt
import trustme

from pytheus import start_http_server
from pytheus.exposition.server import MAX_SCRAPES, MetricsServer
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import WaitUntil, own_threads

PATIENCE_SECONDS: Final = 120

PASSWORD: Final = "correct horse"
HASH: Final = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


class Scene:
    """A directory with an authority's certificates, and the web configuration `path` in it."""

    def __init__(self, home: Path) -> None:
        self.home: Final = home
        self.path: Final = home / "web.yml"
        self.authority: Final = trustme.CA()
        self.authority.cert_pem.write_to_path(str(home / "ca.crt"))
        self.renew()
        client = self.authority.issue_cert("prometheus.example", "10.0.0.1")
        client.private_key_and_cert_chain_pem.write_to_path(str(home / "client.pem"))

    def renew(self) -> None:
        """Write a new certificate of the server, and its key."""
        issued = self.authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(str(self.home / "server.key"))
        issued.cert_chain_pems[0].write_to_path(str(self.home / "server.crt"))

    def write(self, text: str) -> Path:
        """Write the web configuration; returns its path."""
        replacement = self.home / "web.yml.new"
        replacement.write_text(text)
        os.replace(replacement, self.path)
        return self.path

    def client(self, *, with_certificate: bool = False, authority: trustme.CA | None = None) -> ssl.SSLContext:
        """The context of a client, which trusts the authority; a certificate of `authority` replaces the usual one."""
        context = ssl.create_default_context(cafile=str(self.home / "ca.crt"))
        if authority is not None:
            authority.issue_cert("prometheus.example").configure_cert(context)
        elif with_certificate:
            context.load_cert_chain(self.home / "client.pem")
        return context


TLS: Final = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MUTUAL: Final = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
USERS: Final = f"basic_auth_users:\n  prometheus: {HASH}\n"


def address_of(server: MetricsServer) -> tuple[str, int]:
    return server.addr, server.port


Serve = Callable[..., MetricsServer]


@contextmanager
def serving(shared: Scene, shop: CollectorRegistry, wait_until: WaitUntil) -> Iterator[Serve]:
    """Call it with the text of a web configuration; gives a server. Afterwards, no thread and no descriptor is left."""
    before = _descriptors()
    with ExitStack() as servers:

        def serve(text: str, scene: Scene = shared, *, max_scrapes: int = MAX_SCRAPES) -> MetricsServer:
            return servers.enter_context(
                start_http_server(0, registry=shop, web_config=scene.write(text), max_scrapes=max_scrapes)
            )

        yield serve
    wait_until(lambda: own_threads() == [] and _descriptors() <= before, "threads and sockets to end")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def fetch(
    server: MetricsServer, context: ssl.SSLContext | None = None, path: str = "/metrics", **fields: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, header fields by name in lower case, and body."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    url = f"{server.url.removesuffix('/metrics')}{path}"
    request = urllib.request.Request(url, headers=fields)
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=PATIENCE_SECONDS) as response:
            return response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
