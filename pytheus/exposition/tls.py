"""TLS for the connections of the metrics server.

Rules:

- OpenSSL works on buffers in memory, never on a descriptor: all bytes pass the socket of the channel, which checks that
  the descriptor still is its own (`pytheus.exposition.own_socket`).
- No sessions are resumed, because each connection must show its certificate again.
- A client that fails is told by an alert, and costs only itself.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from pytheus.exceptions import ConfigurationError
from pytheus.exposition.channel import Channel
from pytheus.exposition.http1 import BadRequestError, PlainRequestError
from pytheus.exposition.own_socket import OwnSocket
from pytheus.exposition.web_config import Pem, TlsConfig
from pytheus.regular_files import MAX_PEM_BYTES, check_regular_file

__all__ = ["TlsChannel", "allowed_names", "server_context"]

_READ_BYTES: Final = 16 * 1024
_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENT_AUTH_TYPES: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


class TlsChannel(Channel):
    """A connection with TLS; `allowed_sans` are those of which the client's certificate has one, if there are any."""

    def __init__(
        self, connection: OwnSocket, context: ssl.SSLContext, allowed_sans: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(connection)
        self._incoming: Final = ssl.MemoryBIO()
        self._encrypted: Final = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = context.wrap_bio(self._incoming, self._encrypted, server_side=True)
        self._allowed_sans: Final = allowed_sans
        self._is_established = False

    def receive(self) -> bytes | None:
        """As for `Channel`; raises `PlainRequestError` for a client that speaks HTTP without TLS."""
        data = super().receive()
        if self._tls is None or data is None:
            return data
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        try:
            return self._decrypted(self._tls)
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._tls = None
                raise PlainRequestError("this server needs HTTPS; write https:// instead of http://") from None
            # The alert for the client.
            super().queue(self._encrypted.read())
            with suppress(OSError):
                self.flush()
            raise

    def queue(self, data: bytes | memoryview) -> None:
        """As for `Channel`; raises ConnectionError before the handshake is done."""
        if self._tls is None:
            super().queue(data)
            return
        if not self._is_established:
            raise ConnectionAbortedError("the client has not finished the handshake")
        super().queue(self._encoded(memoryview(data)))

    def end(self) -> None:
        """As for `Channel`."""
        super().queue(self._closing())
        super().end()

    def has_left(self) -> bool:
        """As for `Channel`; a client that announces the end of its direction has left, too."""
        if super().has_left():
            return True
        try:
            self.socket.setblocking(False)
            return self.receive() == b""
        except (OSError, BadRequestError):
            return True

    def _decrypted(self, tls: ssl.SSLObject) -> bytes | None:
        """Return the client's data as `receive` does, and queue the messages of the protocol itself."""
        received = bytearray()
        try:
            if not self._is_established:
                tls.do_handshake()
                self._check_sans(tls)
                self._is_established = True
            while piece := tls.read(_READ_BYTES):
                received += piece
        except ssl.SSLWantReadError:
            return bytes(received) or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        finally:
            super().queue(self._encrypted.read())
        return bytes(received)

    def _check_sans(self, tls: ssl.SSLObject) -> None:
        if not self._allowed_sans:
            return
        certificate = tls.getpeercert() or {}
        names = certificate.get("subjectAltName", ())
        if not self._allowed_sans & {_normal(str(name[1])) for name in names}:
            raise ConnectionAbortedError("the client's certificate has no name that is allowed")

    def _encoded(self, piece: memoryview) -> bytes | memoryview:
        if self._tls is None:
            return piece
        while piece:
            piece = piece[self._tls.write(piece) :]
        return self._encrypted.read()

    def _closing(self) -> bytes:
        if self._tls is None:
            return b""
        with suppress(ssl.SSLError):
            self._tls.unwrap()  # writes the announcement, and does not wait for the client's
        return self._encrypted.read()


def server_context(config: TlsConfig, path: str) -> ssl.SSLContext:
    """Return the context for the section ``tls_server_config`` of the web configuration `path`.

    Raises `ConfigurationError` if a certificate or a key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if not config.prefers_server_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    with _loading(path, "cipher_suites"):
        if config.ciphers is not None:
            context.set_ciphers(config.ciphers)
    with _loading(path, "curve_preferences"):
        if config.curve is not None:
            context.set_ecdh_curve(config.curve)
    for name, pem in (("cert", config.cert), ("key", config.key), ("client_ca", config.client_ca)):
        if pem is not None and pem.file is not None:
            with _loading(path, _source(name, pem)):
                check_regular_file(pem.file, MAX_PEM_BYTES)  # because OpenSSL would wait for a pipe
    subject = f"{_source('cert', config.cert)} and {_source('key', config.key)}"
    with _loading(path, subject), _as_file(config.cert) as cert, _as_file(config.key) as key:
        # With a password, so that the terminal is not asked for one.
        context.load_cert_chain(cert, key, password="")
    if config.client_ca is not None:
        with _loading(path, _source("client_ca", config.client_ca)):
            context.load_verify_locations(config.client_ca.file, cadata=config.client_ca.text)
    context.verify_mode = _CLIENT_AUTH_TYPES[config.client_auth_type]
    return context


def allowed_names(config: TlsConfig) -> frozenset[str]:
    """Return the names of which a client's certificate must have one, as they are compared."""
    return frozenset(map(_normal, config.client_allowed_sans))


def _normal(name: str) -> str:
    """Return an IP address in its shortest form, and any other name unchanged."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name


def _source(name: str, pem: Pem) -> str:
    return name if pem.file is None else f"{name}_file {pem.file}"


@contextmanager
def _loading(path: str, subject: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = (
            getattr(error, "reason", None) or getattr(error, "strerror", None) or "not in the form that is expected"
        )
        raise ConfigurationError(f"{path}: cannot use {subject}: {reason}; write PEM without a passphrase") from error


@contextmanager
def _as_file(pem: Pem) -> Iterator[str]:
    """The path of `pem`; a text is in a file for this process's user while it is loaded, because OpenSSL needs one."""
    if pem.file is not None:
        yield pem.file
        return
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="pytheus-") as directory:
        path = os.path.join(directory, "pem")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(pem.text or "")
        yield path
