"""The options of commands that read an exposition: how long, how much, and with which credentials."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar

import click

from pytheus.cli.exposition_source import Reading
from pytheus.push.access import Access

__all__ = ["TARGET_METAVAR", "reading_options"]

R = TypeVar("R")

TARGET_METAVAR: Final = "URL|FILE|-"
"""How a command shows the argument from which it reads."""

_DEFAULT: Final = Reading()
_OPTIONS: Final = (
    click.option(
        "--timeout-seconds",
        type=click.FloatRange(min=0, max=86_400, min_open=True),
        default=_DEFAULT.timeout_seconds,
        show_default=True,
        metavar="S",
        help="The longest time that a scrape, or the wait for a pipe, may take.",
    ),
    click.option(
        "--max-bytes",
        type=click.IntRange(min=1),
        default=_DEFAULT.max_bytes,
        show_default=True,
        metavar="N",
        help="The largest body, also without its compression.",
    ),
    click.option(
        "--token-file", metavar="FILE", help="A bearer token; passwords are in the URL: http://USER:PASSWORD@HOST"
    ),
    click.option("--ca-file", metavar="FILE", help="The authorities to trust, PEM."),
    click.option("--cert-file", metavar="FILE", help="The certificate to show, PEM."),
    click.option("--key-file", metavar="FILE", help="Its key, PEM."),
)


def reading_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options to a command, which gets them as its first argument, a `Reading`."""

    @wraps(function)
    def with_reading(
        *,
        timeout_seconds: float,
        max_bytes: int,
        token_file: str | None,
        ca_file: str | None,
        cert_file: str | None,
        key_file: str | None,
        **others: object,
    ) -> R:
        access = Access(bearer_token_file=token_file, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
        return function(Reading(access, timeout_seconds, max_bytes), **others)

    decorated: Callable[..., R] = with_reading
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
