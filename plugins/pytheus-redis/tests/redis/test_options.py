"""The options of a Redis registry, none of which shows a credential or makes anything wait."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions

from pytheus.exceptions import OptionError
from pytheus.plugins import RegistryOptions
from pytheus_redis import RedisOptions, pytheus_make_registry
from pytheus_redis.client import Call, RedisClient
from pytheus_redis.errors import translated
from pytheus_redis.scripts import Script

SECRET = "hunter2swordfish"


def refused(address: str) -> OptionError:
    with pytest.raises(OptionError) as caught:
        pytheus_make_registry(RegistryOptions(address))
    return caught.value


@pytest.mark.parametrize(
    "address",
    [
        "redis:///u:{}@h",
        "redis://h/u%3A{}%40h",
        "redis://h/{}",
        "redis+unix:///u:{}@run/redis.sock",
        "redis+sentinel://h/service?sentinels=u:{}@h",
        "redis+sentinel://h/service?sentinels=:{}",
        "redis+sentinel://h/service?sentinels=h1,h2:{}",
        "redis://h?namespace=u:{}@h",
        "redis://h?db={}",
        "redis://h?verify={}",
        "redis://h?interval_seconds={}",
        "redis://h?foo={}",
        "redis://h?password=pa&{}=1",
        "rediss://h?key_password={}&ca_file=/nowhere",
    ],
)
def test_no_error_shows_a_credential(address: str) -> None:
    error = refused(address.format(SECRET))
    if address not in ("redis://h?db={}", "redis://h?verify={}", "redis://h?interval_seconds={}"):
        assert SECRET not in "".join(traceback.format_exception(error)) + repr(error.__context__)


def test_no_repr_shows_a_credential() -> None:
    options = RedisOptions(username=SECRET, password=SECRET, key_password=SECRET)
    assert SECRET not in f"{options!r} {options.redacted_url}"


@pytest.mark.parametrize("secret", [SECRET, "p@ss/wörd", "a" * 200])
def test_no_error_of_the_client_shows_a_credential(secret: str) -> None:
    options = RedisOptions(password=secret)
    for text in (
        f"invalid password {secret}",
        f"invalid password {secret!r}",
        f"unknown command 'AUTH', with args beginning with: '{secret[:100]}",
    ):
        error = translated(exceptions.ResponseError(text), options)
        assert secret[:8] not in str(error)


def test_an_error_of_the_client_is_not_chained() -> None:
    client = RedisClient(RedisOptions(port=1, password=SECRET, timeout_seconds=1))
    call = Call(Script("nothing", "return 1"), [], [])
    acts: list[Callable[[], object]] = [lambda: client.run(call), lambda: client.run_all([call])]
    for act in acts:
        with pytest.raises(Exception, match="refused") as caught:
            act()
        assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("db=-1", "db must be from 0 to 2147483647"),
        ("db=2147483648", "db must be from 0 to 2147483647"),
        ("db=99999999999999999999", "must be int"),
        ("timeout_seconds=1e9", "timeout_seconds must be at most 1000000"),
        ("scrape_seconds=1e10", "scrape_seconds must be a number of seconds above 0"),
        ("interval_seconds=nan", "interval_seconds must be a number of seconds above 0"),
        ("port=0", "port must be from 1 to 65535"),
    ],
)
def test_each_number_is_bounded(query: str, words: str) -> None:
    assert words in str(refused(f"redis://?{query}"))


@pytest.mark.parametrize("path", ["/2147483648", "/" + "9" * 5000, "/-1", "/1.5"])
def test_a_database_in_the_path_is_bounded(path: str) -> None:
    assert "db must be from 0" in (text := str(refused(f"redis://h{path}"))) or "must be the number of a" in text


@pytest.mark.parametrize("option", ["ca_file", "cert_file", "key_file"])
def test_a_special_file_is_refused_and_not_waited_for(option: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero", tmp_path / "nowhere"):
        assert f"{option} must be the path of a file" in str(refused(f"rediss://h?{option}={path}"))


@pytest.mark.parametrize(
    "options",
    [
        {"scheme": f"redis://:{SECRET}@h"},
        {"host": f"redis://:{SECRET}@h"},
        {"host": f"u:{SECRET}@h"},
        {"path": f"/u:{SECRET}@h"},
        {"scheme": "rediss", "key_file": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n" + "x" * 5000},
        {"scheme": "rediss", "key_file": f"{SECRET}\0"},
        {"scheme": "redis+sentinel", "path": "/s", "sentinels": (f"u:{SECRET}@h",)},
    ],
)
def test_options_in_code_show_no_credential_in_another_place(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|has an '@'") as caught:
        RedisOptions(**options)
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
