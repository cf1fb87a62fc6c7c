"""Who may connect to the metrics server now: its web configuration, as it is on the disk.

Rules:

- The file and all that it names are looked at for each connection, so that a certificate that is renewed, or a user who
  is removed, takes effect at once and without a signal.
- A change that is not valid leaves the previous configuration in force and is logged once, because a certificate and
  its key cannot be replaced in one step. The next change is read again.
- A mistake in a file must not open a running server, and a file that is being written is empty or cut for a moment. So
  TLS is turned on or off, the last user and token are removed, and less is required of client certificates only when
  the server starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pytheus.exceptions import ConfigurationError
from pytheus.exposition.channel import Channel
from pytheus.lazy import logger

if TYPE_CHECKING:
    from pytheus.exposition.http1 import Request
    from pytheus.exposition.own_socket import OwnSocket
    from pytheus.exposition.response import Response
    from pytheus.exposition.web_config import Requirements

__all__ = ["OPEN_POLICY", "Access", "Policy"]


def _refuse_none(request: Request, /) -> Response | None:
    return None


class Policy(NamedTuple):
    """How a connection is opened, which requests are refused, and the headers that each response gets.

    Only the response to a client without TLS, where the server needs it, has none of these headers.
    """

    open_channel: Callable[[OwnSocket], Channel] = Channel
    refusal: Callable[[Request], Response | None] = _refuse_none
    headers: tuple[tuple[str, str], ...] = ()
    has_tls: bool = False


OPEN_POLICY: Final = Policy()
"""Without a web configuration: no TLS, and no authentication."""


class Access:
    """The policy of a web configuration; raises `ConfigurationError` if it is not valid. Used by one thread."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path: Final = os.path.abspath(path)
        self._files: tuple[str, ...] = (self._path,)
        self._seen = self._signatures()
        self._policy, self._requirements = self._load()

    def current(self) -> Policy:
        """Return the policy for a new connection."""
        signatures = self._signatures()
        if signatures != self._seen:
            # Those from before it is read: a file that changes meanwhile is read again for the next connection.
            self._seen = signatures
            try:
                policy, requirements = self._load()
                change = self._requirements.change_to(requirements)
                if change is not None:
                    raise ConfigurationError(
                        f"{self._path}: {change}, which takes effect when the server starts; start it again, or correct"
                        " the file"
                    )
            except ConfigurationError as error:
                logger("pytheus.exposition").error("the previous web configuration stays in force: %s", error)
            else:
                self._policy, self._requirements = policy, requirements
        return self._policy

    def _load(self) -> tuple[Policy, Requirements]:
        from pytheus.exposition.web_config import read_web_config

        config = read_web_config(self._path)
        if config.files != self._files:
            # Looked at before they are used, because they may change meanwhile.
            self._files = config.files
            self._seen = self._signatures()
            config = read_web_config(self._path)
        requirements = config.requirements
        policy = Policy(headers=config.headers, has_tls=requirements.has_tls)
        if requirements.has_credentials:
            from pytheus.exposition.authentication import Credentials

            policy = policy._replace(refusal=Credentials(config.users, config.tokens).refusal)
        if config.tls is not None:
            from pytheus.exposition.tls import TlsChannel, allowed_names, server_context

            context, names = server_context(config.tls, config.path), allowed_names(config.tls)
            policy = policy._replace(open_channel=lambda connection: TlsChannel(connection, context, names))
        return policy, requirements

    def _signatures(self) -> tuple[object, ...]:
        return tuple(map(_signature, self._files))


def _signature(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
