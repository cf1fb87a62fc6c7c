"""Addresses with a secret at every place where a person may write one, rightly or by mistake."""

from __future__ import annotations

import contextlib
import pickle
import re
import traceback
from collections.abc import Iterator
from urllib.parse import quote, unquote

from hypothesis import strategies as st

__all__ = ["ADDRESSES", "SECRET", "TEMPLATES", "assert_hidden", "texts_of"]

SECRET = "hunter2swordfish"

TEMPLATES = [
    # where a password belongs
    "redis://shop:{}@h:1/0?namespace=shop",
    "redis://:{}@h",
    "redis://:{}@[::1]:1",
    "redis@acme-redis://:{}@h",
    "redis+unix://:{}@/run/redis.sock",
    "redis://h?password={}",
    "redis://h?password={}&prefix=app",
    "redis://h?prefix=app&api_key={}",
    "redis://h?client%5Fsecret={}",
    "redis://h?TOKEN={}",
    # where it does not
    "redis://{}@h",
    "redis://{}:@h",
    "redis://:{}",
    "redis://u:{}",
    "redis://u:{}/0",
    "redis://u:{}h",
    "redis:///u:{}@h",
    "redis:///:{}@h",
    "redis://h/u:{}@i",
    "redis://h/0&password={}",
    "redis://h/0;password={}",
    "redis://h/0?password=pa#{}",
    "redis://h#{}",
    "redis://h/%zz{}",
    "redis://h?{}",
    "redis://h?a&{}",
    "redis://h?password=pa&{}",
    "redis://h?password=pa&{}=1",
    "redis://h?password=pa&x={}",
    "redis://h?password=pa=x{}",
    "redis://h?pw={}",
    "redis://h?foo={}",
    "redis://h?prefix=x&prefix={}",
    "redis://h?foo=1&foo={}",
    "redis://h?prefix=u:p@{}",
    "redis://h?prefix=redis://:{}@h",
    "redis://h?sentinels=u:{}@h",
    "redis://h?db=%{}",
    "redis://pw={}",
    "redis://pw={}@h",
    "redis://h:{}",
    "redis://h:99999/{}:x@y",
    "redis:{}",
    "redis:u:{}@h",
    "redis:/:{}@h",
    "redis:/u:{}@h",
    "redis//:{}@h",
    "redis?password={}",
    "redis:password={}",
    ":{}@redis://h",
    "u:{}@redis://h",
    "u:{}://h",
    "redis ://:{}@h",
    " redis://:{}@h x",
    "redis://:{} @h",
    "redis://:{}\udc80@h",
    "redis://:{}%ff@h",
    "redis://:{}@h@i",
    "redis://:a/{}@h",
    "redis://:a?{}@h",
    "redis://:a#{}@h",
    "redis://:a@{}:b@h",
    "http://u:{}@h/x",
    "-redis://:{}@h",
    "?password={}",
    "password={}",
]


def _spellings(before: str, after: str) -> Iterator[str]:
    password = f"{before}{SECRET}{after}"
    yield password
    yield quote(password, safe="")
    yield "".join(f"%{byte:02x}" for byte in password.encode())


def _is_ambiguous(address: str) -> bool:
    """Whether a person, too, would take the secret for a host, a user or an option's name."""
    lowered = unquote(address).lower()
    as_name = re.search(rf"[?&][^?&=]*{SECRET}[^&=]*=", lowered) is not None and "password=" not in lowered
    as_host = re.match(rf"[\w.@+-]+://([^/?#]*@)?[\w.-]*{SECRET}[\w.-]*(:\d+)?([/?#]|$)", lowered) is not None
    as_user = re.match(rf"[\w.@+-]+://[^/?#@:]*{SECRET}[^/?#@:]*:[^/@]+@", lowered) is not None
    return as_name or as_host or as_user


_odd = st.text("ab1:@/?#&=;%+. \\'\"é[]", max_size=4)
ADDRESSES = st.builds(
    lambda template, spellings, position: template.format(spellings[position]),
    st.sampled_from(TEMPLATES),
    st.builds(lambda before, after: list(_spellings(before, after)), _odd, _odd),
    st.integers(0, 2),
).filter(lambda address: not _is_ambiguous(address))
"""Every template with the secret inside a password of odd characters, as it is or percent-encoded."""


def texts_of(shown: object) -> Iterator[str]:
    """Everything that a program, a log or a debugger may show of `shown`; of an error, also of its chain."""
    yield from (str(shown), repr(shown))
    if isinstance(shown, BaseException):
        yield "".join(traceback.format_exception(shown))
        remaining: list[BaseException | None] = [shown]
        while remaining:
            error = remaining.pop()
            if error is not None:
                yield f"{error} {error!r} {error.args!r} {vars(error)!r}"
                remaining += [error.__cause__, error.__context__]
        with contextlib.suppress(pickle.PicklingError):
            yield pickle.dumps(shown, 0).decode("latin-1")


def assert_hidden(shown: object) -> None:
    """Nothing of `shown` has the secret, or a half of it, in any spelling."""
    encoded = "".join(f"%{byte:02x}" for byte in SECRET.encode())
    halves = [SECRET[:8], SECRET[8:], encoded[:24], encoded[24:]]
    for text in texts_of(shown):
        for half in halves:
            assert half not in text.lower(), text
