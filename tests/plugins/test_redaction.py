from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.plugins.address import hide, is_secret, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis", "redis"),
        ("redis@pytheus-redis", "redis@pytheus-redis"),
        ("redis://127.0.0.1:6379/0?namespace=shop", "redis://127.0.0.1:6379/0?namespace=shop"),
        ("redis://:hunter2@h/0", "redis://:***@h/0"),
        ("redis://shop:hunter2@h:1/0", "redis://shop:***@h:1/0"),
        ("redis@pytheus-redis://shop:hunter2@[::1]:1/0", "redis@pytheus-redis://shop:***@[::1]:1/0"),
        ("multiprocess:///run/a@b", "multiprocess:///run/a@b"),
        ("redis://h?password=hunter2&prefix=app", "redis://h?password=***&prefix=app"),
        ("redis://h?prefix=app&api_key=hunter2", "redis://h?prefix=app&api_key=***"),
        ("redis://h?TOKEN=hunter2", "redis://h?TOKEN=***"),
        ("redis://h?client%5Fsecret=hunter2", "redis://h?client%5Fsecret=***"),
    ],
)
def test_credentials_are_hidden_and_nothing_else_is(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "redis://shop:hunter2/more@h/0",
        "redis://shop:hunter2?more@h/0",
        "redis://shop:hunter2@more@h/0",
        "redis://shop:hunter2#more@h/0",
        "redis:shop:hunter2more@h",
    ],
)
def test_a_password_that_was_not_escaped_is_hidden_whole(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "more" not in redact(text)


@given(st.text(min_size=4), st.sampled_from(["redis://shop:{}@h/0", "redis://:{}@h?a=b", "redis:shop:{}@h"]))
def test_no_password_is_ever_shown(password: str, pattern: str) -> None:
    password = f"<{password}>"
    assert password not in redact(pattern.format(password))


@pytest.mark.parametrize("key", ["password", "Token", "client_secret", "api-key", "key", "access_token", "sig"])
def test_an_option_that_is_named_like_a_credential_is_secret(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["namespace", "prefix", "keyspace", "monkey", "design"])
def test_an_option_that_only_sounds_like_one_is_not(key: str) -> None:
    assert not is_secret(key)


def test_secrets_are_taken_out_of_a_text() -> None:
    assert hide({"hunter2", ""}, "no login with hunter2") == "no login with ***"
