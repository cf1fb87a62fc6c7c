"""The web configuration of the metrics server: who may connect, and how.

    tls_server_config:
      cert_file: server.crt
      key_file: server.key
      client_auth_type: RequireAndVerifyClientCert
      client_ca_file: clients.crt
    basic_auth_users:
      prometheus: $2y$10$...
    bearer_token_files:
      - token

Rules:

- The file is that of Prometheus's exporters:
  https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. `bearer_token_files` is added.
- A key that is unknown, or that this server cannot obey, is an error, because it may protect something.
- Relative paths start in the directory of the file.
- An error names the file, the line and the key; it never contains a password's hash, a key, or a text that may be one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pytheus.exceptions import ConfigurationError
from pytheus.exposition.web_yaml import Table, read_text, read_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Pem", "Requirements", "TlsConfig", "WebConfig", "read_web_config"]

_VERSIONS: Final = ("TLS10", "TLS11", "TLS12", "TLS13")
_VERIFIED: Final = "RequireAndVerifyClientCert"
_CLIENT_AUTH_TYPES: Final = ("NoClientCert", "VerifyClientCertIfGiven", _VERIFIED)  # each requires more
# They ask for a certificate and do not verify it, which OpenSSL's interface in Python cannot do.
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
_CIPHERS: Final = {
    f"TLS_{exchange}_WITH_{cipher}": f"{exchange.replace('_', '-')}-{openssl}"
    for exchange in ("ECDHE_ECDSA", "ECDHE_RSA")
    for cipher, openssl in {
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305": "CHACHA20-POLY1305",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
        "AES_128_CBC_SHA": "AES128-SHA",
        "AES_256_CBC_SHA": "AES256-SHA",
    }.items()
}
_TLS13_CIPHERS: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_HEADERS: Final[Mapping[str, Sequence[str]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_HASH: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
# https://www.rfc-editor.org/rfc/rfc6750#section-2.1
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class Pem(NamedTuple):
    """Certificates or a key: the path of a file, or the text itself."""

    file: str | None
    text: str | None

    def __repr__(self) -> str:
        return f"<Pem {self.file or 'in the web configuration'}>"  # not the text, which may be a key


class TlsConfig(NamedTuple):
    """The section ``tls_server_config``; `ciphers` and `curve` are OpenSSL's names, None for its defaults."""

    cert: Pem
    key: Pem
    client_auth_type: str = "NoClientCert"
    client_ca: Pem | None = None
    client_allowed_sans: frozenset[str] = frozenset()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: str | None = None
    curve: str | None = None
    prefers_server_ciphers: bool = True


class Requirements(NamedTuple):
    """The requirements that a client must meet."""

    has_tls: bool
    has_credentials: bool
    client_auth_type: str
    has_allowed_sans: bool

    def change_to(self, other: Requirements) -> str | None:
        """Return the words for a change to `other` that a running server must not obey; None if it may."""
        if self.has_tls != other.has_tls:
            return f"tls_server_config was {'added' if other.has_tls else 'removed'}"
        if self.has_credentials and not other.has_credentials:
            return "no user of basic_auth_users and no token of bearer_token_files is left"
        if _CLIENT_AUTH_TYPES.index(self.client_auth_type) > _CLIENT_AUTH_TYPES.index(other.client_auth_type):
            return f"client_auth_type was {self.client_auth_type} and is {other.client_auth_type}"
        if self.has_allowed_sans and not other.has_allowed_sans:
            return "no name of client_allowed_sans is left"
        return None


class WebConfig(NamedTuple):
    """A web configuration that is valid; `files` are all files that it was read from or names.

    `users` has the bcrypt hash of each user's password, `tokens` are the tokens of the files.
    """

    path: str
    tls: TlsConfig | None
    users: Mapping[str, str]
    tokens: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    files: tuple[str, ...]

    @property
    def requirements(self) -> Requirements:
        """The requirements that a client must meet."""
        return Requirements(
            has_tls=self.tls is not None,
            has_credentials=bool(self.users or self.tokens),
            client_auth_type=_CLIENT_AUTH_TYPES[0] if self.tls is None else self.tls.client_auth_type,
            has_allowed_sans=self.tls is not None and bool(self.tls.client_allowed_sans),
        )

    def __repr__(self) -> str:
        return f"<WebConfig {self.path}>"  # nothing else, because it contains secrets


def read_web_config(path: str) -> WebConfig:
    """Return the web configuration in the YAML file `path`.

    Raises `ConfigurationError` if a file cannot be read, if a key or value is not valid, or if PyYAML is missing.
    """
    path = os.path.abspath(path)
    table = read_yaml(path)
    if table is None:  # an empty file
        return WebConfig(path, None, MappingProxyType({}), (), (), (path,))
    table.allow(
        "tls_server_config",
        "http_server_config",
        "basic_auth_users",
        "bearer_token_files",
        rate_limit="the server limits the scrapes that run at once instead (max_scrapes)",
    )
    tls_table = table.table("tls_server_config")
    tls = None if tls_table is None else _tls(tls_table)
    token_files = [table.file(name) for name in table.texts("bearer_token_files", is_secret=True)]
    pems = () if tls is None else (tls.cert, tls.key, tls.client_ca)
    pem_files = [pem.file for pem in pems if pem is not None and pem.file is not None]
    return WebConfig(
        path,
        tls,
        MappingProxyType(_users(table.table("basic_auth_users"))),
        tuple(_token(table, file) for file in token_files),
        _headers(table.table("http_server_config")),
        (path, *pem_files, *token_files),
    )


def _tls(table: Table) -> TlsConfig:
    table.allow(
        *("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type"),
        *("client_allowed_sans", "min_version", "max_version", "cipher_suites", "curve_preferences"),
        "prefer_server_cipher_suites",
    )
    cert, key, client_ca = (_pem(table, name) for name in ("cert", "key", "client_ca"))
    if cert is None or key is None:
        missing = "cert_file" if cert is None else "key_file"
        raise table.error(f"tls_server_config has no {missing}; TLS needs cert_file and key_file")
    client_auth_type = table.text("client_auth_type") or "NoClientCert"
    if client_auth_type in _UNVERIFIED:
        raise table.error(
            f"client_auth_type {client_auth_type} accepts any certificate without verifying it, which this server"
            f" does not do; write {_VERIFIED}",
            "client_auth_type",
        )
    table.check_choice("client_auth_type", client_auth_type, _CLIENT_AUTH_TYPES)
    if client_ca is None and client_auth_type != "NoClientCert":
        raise table.error(f"client_auth_type {client_auth_type} needs client_ca_file", "client_auth_type")
    if client_ca is not None and client_auth_type == "NoClientCert":
        raise table.error(f"client_ca_file has no effect without client_auth_type; write {_VERIFIED}")
    sans = frozenset(table.texts("client_allowed_sans"))
    if sans and client_auth_type != _VERIFIED:
        raise table.error(f"client_allowed_sans needs client_auth_type {_VERIFIED}", "client_allowed_sans")
    min_version, max_version = table.text("min_version") or "TLS12", table.text("max_version") or "TLS13"
    table.check_choice("min_version", min_version, _VERSIONS)
    table.check_choice("max_version", max_version, _VERSIONS)
    if min_version > max_version:
        raise table.error(f"min_version {min_version} is later than max_version {max_version}", "min_version")
    return TlsConfig(
        cert,
        key,
        client_auth_type,
        client_ca,
        sans,
        min_version,
        max_version,
        _ciphers(table),
        _curve(table),
        table.boolean("prefer_server_cipher_suites", default=True),
    )


def _pem(table: Table, name: str) -> Pem | None:
    file, text = table.text(f"{name}_file"), table.text(name, is_secret=True)
    if file and text:
        raise table.error(f"both {name} and {name}_file are given; keep one of them", name)
    if not file and not text:
        return None
    return Pem(table.file(file) if file else None, text or None)


def _ciphers(table: Table) -> str | None:
    names = table.texts("cipher_suites")
    for name in names:
        table.check_choice("cipher_suites", name, (*_CIPHERS, *_TLS13_CIPHERS))
    # Those of TLS 1.3 are all on, as in Go.
    chosen = [_CIPHERS[name] for name in names if name in _CIPHERS]
    return ":".join(dict.fromkeys(chosen)) or None


def _curve(table: Table) -> str | None:
    names = table.texts("curve_preferences")
    for name in names:
        table.check_choice("curve_preferences", name, tuple(_CURVES))
    if len(names) > 1:
        raise table.error(
            f"curve_preferences has {len(names)} curves, but this server takes one; without the key, all are allowed",
            "curve_preferences",
        )
    return _CURVES[names[0]] if names else None


def _users(table: Table | None) -> dict[str, str]:
    users: dict[str, str] = {}
    if table is None:
        return users
    for name in table:
        if not name or ":" in name:
            raise table.error("the name of a user is empty or contains ':', which basic authentication forbids")
        hashed = table.text(name, is_secret=True) or ""
        if _HASH.fullmatch(hashed) is None:
            raise table.error(
                "the password of a user is not a bcrypt hash; write the output of `htpasswd -nBC 10 NAME` after its"
                " colon, which begins with $2y$",
                name,
            )
        users[name] = hashed
    return users


def _token(table: Table, file: str) -> str:
    token = read_text(file).strip()
    if _TOKEN.fullmatch(token) is None:
        raise ConfigurationError(
            f"{file}, which bearer_token_files names, does not contain one bearer token; write a line of letters,"
            " digits and -._~+/ into it"
        )
    return token


def _headers(table: Table | None) -> tuple[tuple[str, str], ...]:
    if table is None:
        return ()
    table.allow("http2", "headers")
    table.boolean("http2", default=True)  # the server has no HTTP/2 in any case
    headers = table.table("headers")
    if headers is None:
        return ()
    headers.allow(*_HEADERS)
    chosen: list[tuple[str, str]] = []
    for name in headers:
        value = headers.text(name)
        if value:
            if _HEADERS[name]:
                headers.check_choice(name, value, _HEADERS[name])
            elif _HEADER_VALUE.fullmatch(value) is None:
                raise headers.error(f"{name} must be one line of ASCII without spaces around it", name)
            chosen.append((name, value))
    return tuple(chosen)
