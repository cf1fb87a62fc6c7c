"""Who sends, and whom it trusts: the credentials and certificates for a receiver.

Rules:

- Secrets are never shown: neither by `repr` nor in errors.
- Files are read again when they are used, because tokens and certificates are renewed while a program runs.
- https://www.rfc-editor.org/rfc/rfc7617 and https://www.rfc-editor.org/rfc/rfc6750. One of both at most.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytheus.exceptions import InvalidReceiverError
from pytheus.regular_files import MAX_PEM_BYTES, check_regular_file, read_regular_file

if TYPE_CHECKING:
    import ssl

__all__ = ["Access"]

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2 and section 5.5
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
# They describe the message, which only the client knows.
_OWN_HEADERS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "expect", "transfer-encoding", "upgrade"}
)
_MAX_FILE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Access:
    """The credentials for a receiver, and the certificates of both sides.

        >>> Access(username="shop", password="hunter2", ca_file="gateway-ca.pem")
        Access(username='shop', ca_file='gateway-ca.pem')

    `username` and `password` are sent by basic authentication, `bearer_token` as such. A file's content is used without
    white space around it, and read at each request. `headers` are sent with each request, such as a tenant's name.
    `ca_file` has the authorities that may vouch for the receiver, in place of those of the system. `cert_file` and
    `key_file` are the certificate that this side shows, PEM without a passphrase. `tls` replaces these three for other
    wishes. Relative paths start in the working directory. All files are regular ones: pipes are refused.

    Immutable. Raises `InvalidReceiverError` if the parts contradict each other or cannot be sent.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str | os.PathLike[str] | None = None
    bearer_token: str = field(default="", repr=False)
    bearer_token_file: str | os.PathLike[str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | os.PathLike[str] | None = None
    cert_file: str | os.PathLike[str] | None = None
    key_file: str | os.PathLike[str] | None = None
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        passwords = bool(self.password) + (self.password_file is not None)
        tokens = bool(self.bearer_token) + (self.bearer_token_file is not None)
        if passwords > 1:
            raise InvalidReceiverError("Access(...) got both password and password_file; keep one of them")
        if tokens > 1:
            raise InvalidReceiverError("Access(...) got both bearer_token and bearer_token_file; keep one of them")
        if tokens and (passwords or self.username):
            raise InvalidReceiverError(
                "Access(...) got both a bearer token and a user name or password; a request has one of them"
            )
        if passwords and not self.username:
            raise InvalidReceiverError("Access(...) got a password without a user name; pass username, too")
        if ":" in self.username:
            raise InvalidReceiverError("Access(...) got a user name with ':', which basic authentication cannot send")
        if self.key_file is not None and self.cert_file is None:
            raise InvalidReceiverError("Access(...) got key_file without cert_file; pass the key's certificate, too")
        if self.tls is not None and (self.ca_file is not None or self.cert_file is not None):
            raise InvalidReceiverError("Access(...) got both tls and ca_file or cert_file; load the files into tls")
        if self.bearer_token and not _TOKEN.fullmatch(self.bearer_token):
            raise InvalidReceiverError(
                "Access(...) got a bearer token that cannot be sent; it consists of printable ASCII without spaces"
            )
        object.__setattr__(self, "headers", dict(self.headers))  # which pickle can copy, unlike a proxy
        for name, value in self.headers.items():
            _check_header(name, value)
        if self.authorization_is_given and any(name.lower() == "authorization" for name in self.headers):
            raise InvalidReceiverError("Access(...) got credentials and the header 'Authorization'; keep one of them")

    def __repr__(self) -> str:
        shown = ("username", "password_file", "bearer_token_file", "ca_file", "cert_file", "key_file")
        given = [f"{name}={value!r}" for name in shown if (value := getattr(self, name)) not in (None, "")]
        return f"Access({', '.join(given)})"

    @property
    def authorization_is_given(self) -> bool:
        """Whether a user name or a token is given."""
        return bool(self.username or self.bearer_token or self.bearer_token_file is not None)

    def authorization(self) -> tuple[str, tuple[str, ...]]:
        """Return the value of ``Authorization``, or "", and the secrets that no error may show.

        Reads the files. Raises `InvalidReceiverError` if one cannot be read or its content cannot be sent.
        """
        if self.bearer_token or self.bearer_token_file is not None:
            token = self.bearer_token or _content("bearer_token_file", self.bearer_token_file)
            if not _TOKEN.fullmatch(token):
                raise InvalidReceiverError(
                    f"bearer_token_file {os.fspath(self.bearer_token_file or '')} has another content than a token;"
                    " write one token of printable ASCII without spaces"
                )
            return f"Bearer {token}", (token,)
        if not self.username:
            return "", ()
        password = self.password
        if self.password_file is not None:
            password = _content("password_file", self.password_file)
        import base64

        encoded = base64.b64encode(f"{self.username}:{password}".encode()).decode()
        return f"Basic {encoded}", (password, encoded)

    def context(self) -> ssl.SSLContext:
        """Return the TLS settings, newly loaded; raises `InvalidReceiverError` if a file cannot be used."""
        if self.tls is not None:
            return self.tls
        import ssl

        subject = "ca_file"
        path = self.ca_file
        try:
            for name, file in self._pem_files():
                subject, path = name, file
                if path is not None:
                    check_regular_file(path, MAX_PEM_BYTES)  # because OpenSSL would wait for a pipe
            subject, path = "ca_file", self.ca_file
            context = ssl.create_default_context(cafile=None if path is None else os.fspath(path))
            if self.cert_file is not None:
                subject = "cert_file" if self.key_file is None else "cert_file and key_file"
                path = self.cert_file
                key = None if self.key_file is None else os.fspath(self.key_file)
                # With a password, so that the terminal is not asked for one.
                context.load_cert_chain(os.fspath(path), key, password="")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not in the expected form"
            raise InvalidReceiverError(
                f"cannot use {subject} {os.fspath(path or '')}: {reason}; write PEM without a passphrase"
            ) from error
        context.set_alpn_protocols(["http/1.1"])
        return context

    def stamps(self) -> tuple[object, ...]:
        """Return a value that changes when a file of certificates does."""
        stamps: list[object] = []
        for _, path in self._pem_files():
            try:
                status = None if path is None else os.stat(path)
            except OSError:
                status = None
            stamps.append(None if status is None else (status.st_mtime_ns, status.st_ino, status.st_size))
        return tuple(stamps)

    def _pem_files(self) -> tuple[tuple[str, str | os.PathLike[str] | None], ...]:
        return (("ca_file", self.ca_file), ("cert_file", self.cert_file), ("key_file", self.key_file))


def _check_header(name: str, value: str) -> None:
    if not isinstance(name, str) or not isinstance(value, str) or not _HEADER_NAME.fullmatch(name):
        raise InvalidReceiverError("Access(...) takes headers as texts by name, but got another name or value")
    if not _HEADER_VALUE.fullmatch(value):
        raise InvalidReceiverError(f"the value of the header {name!r} cannot be sent; it consists of printable ASCII")
    if name.lower() in _OWN_HEADERS:
        raise InvalidReceiverError(f"Access(...) got the header {name!r}, which pytheus sets itself; leave it out")


def _content(subject: str, path: str | os.PathLike[str] | None) -> str:
    assert path is not None  # the caller asks only where one is given
    try:
        content, _ = read_regular_file(path, _MAX_FILE_BYTES)
        return content.decode("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its content is not UTF-8"
        raise InvalidReceiverError(f"cannot read {subject} {os.fspath(path)}: {reason}") from error
