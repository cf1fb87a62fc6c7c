"""What can go wrong on the way to Redis, in one kind of error that tells what to do and shows no credential."""

from __future__ import annotations

from typing import Final

from pytheus.exceptions import PytheusError

__all__ = ["KINDS", "Trouble"]

KINDS: Final = {
    "unreachable": "is it running, and is the address right?",
    "timeout": "it is slow, hung, or behind a network that loses packets",
    "credentials": "check the user name and password",
    "permission": "let this user run EVAL, EVALSHA, SCRIPT LOAD and what they call on the namespace's keys",
    "full": "raise its maxmemory, or make room",
    "read_only": "this is a replica; name the primary, or use Sentinel",
    "loading": "it is reading its data and will be there soon",
    "cluster": "the cluster is moving or has lost this slot",
    "data": "something else wrote to these keys, or some of them were evicted",
    "tls": "check the certificates",
    "other": "see the message",
}
"""Every kind of trouble, as the label `reason` names it, and what helps."""


class Trouble(PytheusError):
    """Redis did not do what it was asked; `kind` is one of `KINDS`.

        >>> Trouble("full", "OOM command not allowed").remedy
        'raise its maxmemory, or make room'

    `unsure` tells that it may have done it nevertheless, and that only the answer was lost.
    """

    def __init__(self, kind: str, message: str, *, unsure: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.unsure = unsure

    @property
    def remedy(self) -> str:
        """What helps."""
        return KINDS[self.kind]
