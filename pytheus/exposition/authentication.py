"""Who may scrape: passwords by basic authentication, and bearer tokens.

Rules:

- The time of an answer tells nothing about the secrets: digests are compared in constant time, all tokens are compared,
  and the password of a user that does not exist is hashed as well.
- A hash costs a tenth of a second of a processor on purpose. A password that was verified is remembered as a digest
  with a key of this process. Others wait for one another, and only few may wait, so guesses cannot take all scrapes.
- https://www.rfc-editor.org/rfc/rfc7617 and https://www.rfc-editor.org/rfc/rfc6750. One of both is enough.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import threading
from collections.abc import Collection, Mapping
from typing import Final

from pytheus.exceptions import ConfigurationError
from pytheus.exposition.http1 import Request
from pytheus.exposition.response import Response, answer_text, overload_response

__all__ = ["Credentials"]

_CHECKS: Final = 8
_LONGEST_PASSWORD_BYTES: Final = 72  # bcrypt takes no more
_REMEMBERED: Final = 1000


class Credentials:
    """The users, by name the bcrypt hashes of their passwords, and the tokens. May be used from any thread.

    Raises `ConfigurationError` if there are users and bcrypt is not installed.
    """

    def __init__(self, users: Mapping[str, str], tokens: Collection[str]) -> None:
        self._hashes: Final = {name.encode(): hashed.encode() for name, hashed in users.items()}
        self._key: Final = os.urandom(32)
        self._tokens: Final = [self._digest(token.encode()) for token in tokens]
        self._verified: Final[set[bytes]] = set()
        self._places: Final = threading.BoundedSemaphore(_CHECKS)
        self._one_at_a_time: Final = threading.Lock()
        schemes = (("Basic", bool(users)), ("Bearer", bool(tokens)))
        self._challenge: Final = ", ".join(f'{scheme} realm="metrics"' for scheme, is_used in schemes if is_used)
        if users:
            try:
                import bcrypt
            except ImportError as error:
                raise ConfigurationError(
                    "basic_auth_users needs bcrypt, which is not installed; pip install 'pytheus[web]'"
                ) from error
            self._check_password = bcrypt.checkpw
            # For users that do not exist: as expensive as the dearest one that does.
            self._no_hash: Final = max(self._hashes.values(), key=lambda hashed: hashed.split(b"$")[2])

    def refusal(self, request: Request) -> Response | None:
        """Return the response to a request that is not allowed; None if it is."""
        scheme, _, value = request.fields.get("authorization", "").partition(" ")
        value = value.strip(" ")
        if scheme.lower() == "bearer" and self._is_token(value):
            return None
        if scheme.lower() == "basic" and self._hashes:
            is_allowed = self._is_user(value)
            if is_allowed:
                return None
            if is_allowed is None:
                return overload_response(request.method)
        response = answer_text(request.method, 401, "authentication is required\n")
        return response.with_header("WWW-Authenticate", self._challenge)

    def _is_token(self, value: str) -> bool:
        digest = self._digest(value.encode("latin-1"))
        # `sum` and not `any`, so that each of them is compared.
        return sum(hmac.compare_digest(digest, token) for token in self._tokens) > 0

    def _is_user(self, value: str) -> bool | None:
        """Return whether the credentials are right; None if too many others are being checked."""
        try:
            name, colon, password = base64.b64decode(value, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        if not colon or len(password) > _LONGEST_PASSWORD_BYTES or b"\0" in password:
            return False
        hashed = self._hashes.get(name)
        # The first part has a length that is fixed, so no two pairs give the same bytes.
        digest = self._digest(self._digest(name) + password)
        if digest in self._verified:
            return True
        if not self._places.acquire(blocking=False):
            return None
        try:
            with self._one_at_a_time:
                is_right = self._check_password(password, self._no_hash if hashed is None else hashed)
        finally:
            self._places.release()
        if not is_right or hashed is None:
            return False
        if len(self._verified) < _REMEMBERED:
            self._verified.add(digest)
        return True

    def _digest(self, secret: bytes) -> bytes:
        return hmac.new(self._key, secret, hashlib.sha256).digest()
