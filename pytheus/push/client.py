"""The HTTP client of everything that sends or asks for metrics: one request within a limit of time.

Rules:

- The limit covers the whole request: name, connection, TLS, sending and response. Each request has a connection of its
  own, so nothing has to survive a fork.
- A response has any status. Of its body, the beginning is kept, for messages, or as much as the caller asks for.
- Redirects are not followed, because credentials and metrics are for the receiver that was named. Proxies are not used,
  and no variable of the environment is read.
- The head of a response tells the outcome. A body that does not end in time only cuts the words, unless the caller
  needs all of it.
- An error names the receiver, the failure and the remedy, and contains no credential.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple

from pytheus.exceptions import InvalidReceiverError, PushError
from pytheus.plugins.redaction import hide
from pytheus.push.access import Access
from pytheus.push.address import LEAST_SECRET, parse_receiver
from pytheus.push.deadline import Deadline, TimedSocket, checked_seconds, connect
from pytheus.version import __version__

__all__ = ["USER_AGENT", "HttpClient", "HttpResponse", "Timings"]

USER_AGENT: Final = f"pytheus/{__version__}"

_MAX_BODY_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 256 * 1024
_MAX_SAID_CHARACTERS: Final = 400


class Timings(NamedTuple):
    """When each step of a request was complete, in seconds since the beginning of its limit of time.

    The steps are the address of the name, the connection, TLS (at once without it), the head of the response, and its
    body.
    """

    resolved: float
    connected: float
    secured: float
    answered: float
    ended: float


class HttpResponse(NamedTuple):
    """A response: its status, its headers by name in lower case, and its body, or the beginning of that."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    timings: Timings


class HttpClient:
    """Sends requests to the receiver at `url`. May be used from any thread, by several at once, and after a fork.

        >>> HttpClient("http://shop:hunter2@127.0.0.1:9091", timeout_seconds=5)
        <HttpClient http://shop:***@127.0.0.1:9091>

    `access` has credentials, unless `url` has them, and certificates. `timeout_seconds` limits a whole request.
    `subject` names the receiver in errors: "the Pushgateway". Raises `InvalidReceiverError`.
    """

    def __init__(
        self, url: str, access: Access | None = None, *, timeout_seconds: float = 10.0, subject: str = "the receiver"
    ) -> None:
        self._address: Final = parse_receiver(url, f"the URL of {subject}")
        self._access: Final = self._complete(Access() if access is None else access, subject)
        self.timeout_seconds: Final = checked_seconds(timeout_seconds, subject)
        self._subject: Final = subject
        # With the stamps of the files that it was made from.
        self._context: tuple[tuple[object, ...], ssl.SSLContext] | None = None

    def __repr__(self) -> str:
        return f"<HttpClient {self.shown}>"

    @property
    def shown(self) -> str:
        """The receiver's URL without credentials."""
        return self._address.shown

    def request(
        self,
        method: str,
        path: str = "",
        body: bytes = b"",
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        gzip: bool = False,
        timeout_seconds: float | None = None,
        deadline: Deadline | None = None,
        max_response_bytes: int | None = None,
    ) -> HttpResponse:
        """Send `body` to the receiver's URL with `path` and `query` added, percent-encoded; returns the response.

        Returns a response of any status; `refusal` makes an error of one. With `gzip`, compresses the body and says so.
        `timeout_seconds` replaces that of the client, and `deadline` both, for several requests. Of the response's
        body, at most `max_response_bytes` are read, and that of a success has to arrive in time; without them, the
        beginning that arrives in time is enough. Raises `PushError` if there is no valid response in time, and
        `InvalidReceiverError` if a file with a credential or certificate cannot be used.
        """
        if deadline is None:
            deadline = Deadline(self.timeout_seconds if timeout_seconds is None else timeout_seconds)
        address = self._address
        authorization, credentials = self._access.authorization()
        secrets = self._secrets(credentials)
        target = f"{address.path}{path}" or "/"
        queries = "&".join(filter(None, (address.query, query)))
        if queries:
            target += f"?{queries}"
        sent = {
            "Host": address.authority,
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
            "Connection": "close",
            **self._access.headers,
            **(headers or {}),
        }
        if gzip:
            from pytheus.exposition.compression import compressed

            body = b"".join(compressed([body], "gzip"))
            sent["Content-Encoding"] = "gzip"
        if authorization:
            sent["Authorization"] = authorization
        if body or method != "DELETE":
            sent["Content-Length"] = str(len(body))
        context = self._tls_context() if address.is_tls else None
        try:
            connection = connect(address.host, address.port, deadline, context)
        except OSError as error:
            raise self._failure(error, deadline, secrets) from error
        try:
            return _exchange(connection, deadline, method, target, sent, body, max_response_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failure(error, deadline, secrets) from error
        finally:
            connection.close()

    def refusal(self, response: HttpResponse, remedy: str = "") -> PushError:
        """Return the error for a response that tells a failure: it contains the words of the receiver, and `remedy`."""
        status = response.status
        reason = http.client.responses.get(status, "")
        message = f"{self._subject} at {self.shown} refused the request with status {status} {reason}".rstrip()
        said = self.shown_words(response.body.decode("utf-8", "replace"))
        if said:
            message += f", and said: {said}"
        return PushError(f"{message}; {remedy or self._remedy(response)}", reason="status", status=status)

    def _remedy(self, response: HttpResponse) -> str:
        status = response.status
        if status in (401, 403):
            given = self._access.authorization_is_given or "authorization" in map(str.lower, self._access.headers)
            return "check the credentials" if given else "pass credentials in the URL or in access=Access(...)"
        if 300 <= status < 400:
            location = response.headers.get("location", "")
            try:
                shown = self.shown_words(parse_receiver(location).shown)
            except InvalidReceiverError:
                shown = "another address"
            return f"it redirects to {shown}, and redirects are not followed; name the right URL"
        if status in (404, 405):
            return "check the path of the URL"
        if status == 413:
            return "raise the receiver's limit, or send fewer metrics"
        if status >= 500 or status == 429:
            return "try again later, and look into the receiver's log"
        return "correct the metrics that the receiver rejects"

    def shown_words(self, words: str) -> str:
        """Return words of the receiver as an error may show them: in one line, cut, and without credentials."""
        try:
            secrets = self._secrets(self._access.authorization()[1])
        except InvalidReceiverError:
            return ""
        text = hide(secrets, _printable(words))
        return text if len(text) <= _MAX_SAID_CHARACTERS else f"{text[:_MAX_SAID_CHARACTERS]}..."

    def _secrets(self, credentials: tuple[str, ...]) -> tuple[str, ...]:
        """Return all that no error may show; `credentials` are those of the access."""
        access = self._access
        # Alone, a user name is most often a token.
        is_alone = not access.password and access.password_file is None and len(access.username) >= LEAST_SECRET
        return (
            *credentials,
            *self._address.secrets,
            *access.headers.values(),
            *([access.username] if is_alone else ()),
        )

    def _complete(self, access: Access, subject: str) -> Access:
        """Return `access` with the credentials of the URL."""
        address = self._address
        if not address.username:
            return access
        if access.authorization_is_given:
            raise InvalidReceiverError(
                f"{subject} got credentials both in its URL {address.shown} and in access; keep one of them"
            )
        from dataclasses import replace

        return replace(access, username=address.username, password=address.password)

    def _tls_context(self) -> ssl.SSLContext:
        stamps = self._access.stamps()
        known = self._context
        if known is not None and known[0] == stamps:
            return known[1]
        context = self._access.context()
        self._context = (stamps, context)
        return context

    def _failure(self, error: Exception, deadline: Deadline, secrets: tuple[str, ...]) -> PushError:
        subject = f"{self._subject} at {self.shown}"
        if isinstance(error, TimeoutError):
            message = f"{subject} did not answer within {deadline.seconds:g} seconds"
            return PushError(f"{message}; check the address and the receiver, or allow more time", reason="timeout")
        if isinstance(error, ssl.SSLCertVerificationError):
            return PushError(
                f"{subject} has a certificate that is not trusted: {error.verify_message}; name its authority by"
                " ca_file, or correct the certificate",
                reason="tls",
            )
        if isinstance(error, ssl.SSLError):
            detail = (error.reason or "the connection ended").replace("_", " ").lower()
            remedy = (
                "the receiver may speak HTTP without TLS: write http://"
                if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
                else "check the TLS settings of both sides, and cert_file if the receiver asks for a certificate"
            )
            return PushError(f"{subject} failed in TLS: {detail}; {remedy}", reason="tls")
        if isinstance(error, socket.gaierror):
            detail = (error.strerror or str(error)).lower()
            return PushError(f"{subject} has a name without an address: {detail}; check the host", reason="name")
        if isinstance(error, OSError):
            detail = (error.strerror or str(error) or type(error).__name__).lower()
            return PushError(
                f"{subject} cannot be reached: {hide(secrets, detail)}; check that it runs there", reason="connection"
            )
        if isinstance(error, http.client.IncompleteRead):
            return PushError(f"{subject} ended its response too early; look into its log", reason="response")
        detail = hide(secrets, _printable(f"{type(error).__name__} {error}")[:80])
        return PushError(f"{subject} sent another response than HTTP: {detail}; check the address", reason="response")


def _exchange(
    connection: TimedSocket,
    deadline: Deadline,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    max_response_bytes: int | None,
) -> HttpResponse:
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    refused: OSError | None = None
    try:
        connection.sendall(f"{head}\r\n".encode("ascii"))
        connection.sendall(body)
    except (BrokenPipeError, ConnectionResetError) as error:
        # It may have answered before it read everything.
        refused = error
    # Its constructor takes a socket only for `makefile`.
    response = http.client.HTTPResponse(connection, method=method)  # type: ignore[arg-type]  # as said above
    try:
        response.begin()
        answered = deadline.elapsed()
        is_needed = max_response_bytes is not None and 200 <= response.status < 300
        limit = _MAX_BODY_BYTES if max_response_bytes is None else max_response_bytes
        content = _beginning(response, limit, is_needed=is_needed)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError) or refused is None:
            raise
        raise refused from None
    finally:
        response.close()
    fields = {name.lower(): value for name, value in response.getheaders()}
    return HttpResponse(response.status, fields, content, Timings(*connection.moments, answered, deadline.elapsed()))


def _printable(text: str) -> str:
    """Return `text` in one line, without characters that change a terminal or the direction of writing."""
    return " ".join("".join([character if character.isprintable() else " " for character in text]).split())


def _beginning(response: http.client.HTTPResponse, limit: int, *, is_needed: bool) -> bytes:
    """Return at most `limit` bytes of the body; if it is not needed, those that arrive before the connection fails."""
    pieces: list[bytes] = []
    size = 0
    limit = limit if response.length is None else min(limit, response.length)
    try:
        while size < limit:
            # Not `read`, which loses all that it has read if the time is over.
            piece = response.read1(min(limit - size, _READ_BYTES))
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
    except OSError:
        if is_needed:
            raise
    return b"".join(pieces)
