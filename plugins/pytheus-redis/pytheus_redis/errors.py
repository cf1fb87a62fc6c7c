"""The one error of the Redis store. It tells a remedy, and shows no credential."""

from __future__ import annotations

import re
from typing import Final

from redis import exceptions

from pytheus.exceptions import ShardStoreError
from pytheus.plugins import hide
from pytheus_redis.options import RedisOptions

__all__ = ["REMEDIES", "RedisStoreError", "translated"]

REMEDIES: Final = {
    "unreachable": "is it running, and is the address right?",
    "timeout": "it is slow, hung, or behind a network that loses packets",
    "credentials": "check the user name and password",
    "permission": "let this user run EVAL, EVALSHA, SCRIPT LOAD and the scripts' commands on the namespace's keys",
    "full": "raise its maxmemory, or free memory",
    "read_only": "this is a replica; name the primary, or use Sentinel",
    "loading": "it is reading its data and will be ready soon",
    "cluster": "the cluster is moving or has lost this cluster slot",
    "data": "another program wrote to these keys, or some of them were evicted",
    "tls": "check the certificates",
    "fork": "call PyOS_AfterFork_Child in the child; uWSGI does if py-call-osafterfork and enable-threads are set",
    "other": "see the message",
}
"""By reason, as the label `reason` of ``pytheus_shard_failures_total`` names it: the remedy."""


class RedisStoreError(ShardStoreError):
    """Redis did not do its part; `reason` is one of `REMEDIES`.

        >>> print(RedisStoreError("full", "OOM command not allowed"))
        OOM command not allowed; raise its maxmemory, or free memory

    `maybe_applied` says that Redis may have applied the command, because only the answer may have been lost.
    """

    def __init__(self, reason: str, message: str, *, maybe_applied: bool = False) -> None:
        super().__init__(reason, f"{message}; {REMEDIES[reason]}")
        self.message = message
        self.maybe_applied = maybe_applied

    def copy(self) -> RedisStoreError:
        """An equal error without a traceback, which would keep objects alive."""
        return RedisStoreError(self.reason, self.message, maybe_applied=self.maybe_applied)


# https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors: the first word is the kind of error.
# In scripts, older servers put words of their own around it.
_CODES: Final = {
    "credentials": ("NOAUTH", "WRONGPASS", "invalid password", "invalid username-password", "Authentication required"),
    "permission": ("NOPERM", "ACLs rules", "No permission", "no permissions"),
    "full": ("OOM ", "command not allowed when used memory", "MISCONF"),
    "read_only": ("READONLY", "against a read only", "NOREPLICAS"),
    "loading": ("LOADING", "loading the dataset", "MASTERDOWN"),
    "timeout": ("BUSY ",),
    "cluster": ("CLUSTERDOWN", "MOVED", "TRYAGAIN", "CROSSSLOT"),
    "data": ("WRONGTYPE",),
}

# redis-py removes the codes from the texts of these. (MovedError is an AskError.)
_CLUSTER_ERRORS: Final = (
    exceptions.AskError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.ClusterCrossSlotError,
)


# A server that does not know a command repeats its arguments, the password of AUTH included, cut at 128 characters.
_ECHO: Final = re.compile(r"(with args beginning with: ).*")


def translated(error: Exception, options: RedisOptions) -> RedisStoreError:
    """The `RedisStoreError` of an error of redis-py, without credentials."""
    text = " ".join(str(error).split()) or type(error).__name__
    secrets = (options.password, options.sentinel_password, options.key_password, options.username)
    text = _ECHO.sub(r"\1***", hide(filter(None, secrets), text))
    reason, maybe_applied = _reason_of(error, text)
    return RedisStoreError(reason, text if len(text) <= 300 else text[:297] + "...", maybe_applied=maybe_applied)


def _reason_of(error: Exception, text: str) -> tuple[str, bool]:
    """The reason, and whether Redis may have applied the command."""
    for reason, codes in _CODES.items():
        if any(code in text for code in codes):
            return reason, False
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return "credentials", False
    if isinstance(error, exceptions.MasterDownError):
        return "loading", False
    if isinstance(error, _CLUSTER_ERRORS):
        return "cluster", False
    if isinstance(error, exceptions.ResponseError):
        return "other", False
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return "timeout", True
    if "SSL" in text or "certificate" in text.lower():
        return "tls", False
    if isinstance(error, exceptions.RedisClusterException):
        return "cluster", False
    return "unreachable" if isinstance(error, exceptions.ConnectionError | OSError) else "other", True
