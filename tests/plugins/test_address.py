"""Names and URLs of registries, and redaction of credentials."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.exceptions import RegistryAddressError
from pytheus.plugins.address import (
    MAX_ADDRESS_CHARACTERS,
    normalized_distribution,
    parse_address,
    redact,
)
from pytheus.plugins.redaction import hide, is_secret

NAMES = ["multiprocess", "my_reg", "_reg", "2fast", "my-reg", "my.reg", "a+b", "Redis"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_an_address_and_a_urls_scheme(name: str) -> None:
    assert parse_address(name)[:-1] == (name, None, None, None, None, None, None, ())
    assert parse_address(f"{name}://h:1/p?a=b")[:-1] == (name, None, "h", 1, "/p", None, None, (("a", "b"),))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("my_reg@Some.Dist", ("my_reg", "Some.Dist", None, None, None, None, None, ())),
        ("my_reg@some-dist://us:pw@h", ("my_reg", "some-dist", "h", None, None, "us", "pw", ())),
        ("multiprocess:///run/shop", ("multiprocess", None, None, None, "/run/shop", None, None, ())),
        ("r://?token=a+b", ("r", None, None, None, None, None, None, (("token", "a+b"),))),
        ("r://?a=&b=c==", ("r", None, None, None, None, None, None, (("a", ""), ("b", "c==")))),
    ],
    ids=["distribution", "distribution of a URL", "path without a host", "plus sign", "empty value and equals signs"],
)
def test_an_address_has_parts(text: str, parts: tuple[object, ...]) -> None:
    assert parse_address(text)[:-1] == parts


@pytest.mark.parametrize("text", ["redis://", "redis:///", "redis://?", "redis:///?"])
def test_a_url_may_say_nothing(text: str) -> None:
    assert parse_address(text)[:-1] == ("redis", None, None, None, None, None, None, ())


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "[::1]", "db-1.example"])
def test_a_host_is_a_name_or_an_ip_address(host: str) -> None:
    address = parse_address(f"redis://{host}:6379")
    assert (address.host, address.port) == (host, 6379)


@given(username=st.text("aé:@/?#% +&=", min_size=1), password=st.text("aé:@/?#% +&="), value=st.text("aé:@/?#% +&="))
def test_every_part_is_percent_decoded(username: str, password: str, value: str) -> None:
    address = parse_address(
        f"r://{quote(username, '')}:{quote(password, '')}@h/{quote(value)}?a%5Fb={quote(value, '')}"
    )
    assert (address.username, address.password) == (username, password)
    assert address.path == (f"/{value}" if value else None)
    assert address.query == (("a_b", value),)


def test_neither_repr_nor_str_shows_a_credential() -> None:
    address = parse_address("redis://shop:hunter2@h?token=hunter2")
    assert "hunter2" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "registry (from X) is empty; name a registry, such as 'default'"),
        (
            "my reg",
            r"registry (from X) contains the character ' ', which is allowed neither in a name nor in a URL",
        ),
        ("redis\n", r"contains the character '\n'"),
        ("redis\udc80", r"contains the character '\udc80'"),
        ("/redis", "a name consists of letters, digits, '_', '.', '-' and '+'"),
        ("redis@", "is neither a plugin's name, NAME or NAME@DISTRIBUTION, nor a URL that begins with one"),
        ("rédis", "is neither a plugin's name"),
        ("://h", "is neither a plugin's name"),
        ("redis:/h", "is neither a plugin's name"),
        ("redis?prefix=app", "has options but is not a URL; write NAME://?KEY=VALUE"),
        ("redis://h#x", "contains a '#', and a registry's URL has no fragment; if it is part of a value, write %23"),
        ("redis://h:x", "does not write its host as [USER[:PASSWORD]@]HOST[:PORT] with a port from 0 to 65535"),
        ("redis://h:65536", "does not write its host"),
        ("redis://:6379/0", "does not write its host"),
        ("redis://::1/0", "put an IPv6 address in brackets"),
        ("redis://h?db=1&db=2", "gives the option 'db' twice; give it once, several values separated by commas"),
        ("redis://h?prefix", "has no value for the option 'prefix'; options are written KEY=VALUE"),
        ("redis://h?=1", "has an option without a name"),
        ("redis://h?a=1&", "has an option without a name"),
        ("redis://h?db=%2", "has a '%' in its value of the option 'db' that is not followed by two hexadecimal digits"),
        ("redis://h/%zz", "has a '%' in its path that"),
        ("redis://h/%ff", "has escapes in its path that are not UTF-8"),
    ],
)
def test_what_does_not_follow_the_grammar_is_refused(text: str, message: str) -> None:
    with pytest.raises(RegistryAddressError) as caught:
        parse_address(text, "from X")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["shop.metrics:registry", "os:system", "a_b:c.d"])
def test_what_names_a_modules_attribute_is_refused_with_the_way_to_do_it(text: str) -> None:
    with pytest.raises(RegistryAddressError) as caught:
        parse_address(text, "from PYTHEUS_REGISTRY")
    assert str(caught.value) == (
        "registry (from PYTHEUS_REGISTRY) looks like MODULE:ATTRIBUTE, but a setting can only name an"
        " installed plugin, because otherwise anyone who can set a variable could import any code; in Python code,"
        " import the object and pass it to REGISTRY.set_registry(the_object)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "redis://shop:hunter2/x@h:y/0",
        "redis://shop:hunter2@h#x",
        "redis://shop:hunter2@h/%zz",
        "redis:shop:hunter2@h",
        "redis://shop:hunter2%ff@h",
        "shop:hunter2@redis://h",
        "redis://shop:hunter2 @h",
    ],
)
def test_no_error_shows_a_credential(text: str) -> None:
    with pytest.raises(RegistryAddressError) as caught:
        parse_address(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("multiprocess:/run/x", "multiprocess:///run/x"),
        ("multiprocess:/run/x?prefix=app", "multiprocess:///run/x?prefix=app"),
        ("multiprocess/run/shop", "multiprocess:///run/shop"),
        ("default://prefix=shop", "default://?prefix=shop"),
        ("default://prefix=shop&on_conflict=warn", "default://?prefix=shop&on_conflict=warn"),
        ("default:prefix=shop", "default://?prefix=shop"),
        ("default?prefix=shop", "default://?prefix=shop"),
        ("default:?prefix=shop", "default://?prefix=shop"),
        ("default:/?prefix=shop", "default://?prefix=shop"),
        ("redis//db.example/0/x", "redis://db.example/0/x"),
        ("redis@acme-redis:/run/x", "redis@acme-redis:///run/x"),
        ("redis://pw=hunter2", "redis://?pw=***"),
        ("redis:/x/:hunter2@h", "redis:///***"),
        ("redis//u:hunter2@h", "redis://u:***@h"),
    ],
)
def test_the_address_that_was_meant_is_suggested(text: str, meant: str) -> None:
    with pytest.raises(RegistryAddressError) as caught:
        parse_address(text)
    assert str(caught.value).endswith(f"; did you mean {meant!r}?")


@pytest.mark.parametrize(
    "text",
    ["redis:hunter2", "redis:/hunter2", "redis:u:hunter2@h", "redis://:hunter2", "redis://u:hunter2/x", "?", "/x"],
)
def test_without_a_plain_address_nothing_is_suggested(text: str) -> None:
    with pytest.raises(RegistryAddressError) as caught:
        parse_address(text)
    assert "did you mean" not in str(caught.value)


def test_an_address_has_a_greatest_length() -> None:
    with pytest.raises(RegistryAddressError, match=f"at most {MAX_ADDRESS_CHARACTERS} are allowed"):
        parse_address("r://?a=" + "a" * MAX_ADDRESS_CHARACTERS)


def test_a_distributions_spellings_are_one() -> None:
    assert normalized_distribution("Pytheus__Redis") == normalized_distribution("pytheus.redis") == "pytheus-redis"


# Redaction ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis", "redis"),
        ("redis@pytheus-redis", "redis@pytheus-redis"),
        ("redis://127.0.0.1:6379/0?namespace=shop", "redis://127.0.0.1:6379/0?namespace=shop"),
        ("redis://:hunter2@h/0", "redis://:***@h/0"),
        ("redis://shop:hunter2@h:1/0", "redis://shop:***@h:1/0"),
        ("redis@pytheus-redis://shop:hunter2@[::1]:1/0", "redis@pytheus-redis://shop:***@[::1]:1/0"),
        ("multiprocess:///run/a@b", "multiprocess:///***"),
        ("redis:///u:hunter2@h", "redis:///***"),
        ("redis:///u%3Ahunter2%40h", "redis:///***"),
        ("redis://h/0&password=hunter2", "redis://h/***"),
        ("redis://hunter2@h", "redis://***@h"),
        ("redis://hunter2:@h", "redis://***@h"),
        ("redis://u%3Ahunter2:x@h", "redis://***:***@h"),
        ("redis://h?foo=hunter2&ttl_seconds=5", "redis://h?foo=***&ttl_seconds=5"),
        ("redis://h?pw=pa&hun=ter2&prefix=app", "redis://h?pw=***&prefix=app"),
        ("redis://h?prefix=redis://u:hunter2@h", "redis://h?prefix=***"),
        ("redis://:hunter2", "***"),
        ("redis://h?password=pa#hunter2", "***"),
        ("redis:hunter2", "***"),
        ("multiprocess:///C:/run/shop", "multiprocess:///C:/run/shop"),
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


@pytest.mark.parametrize(
    ("keys", "secret"),
    [
        (["password", "Token", "client_secret", "api-key", "key", "access_token", "sig", "pw", "apiKey"], True),
        (["namespace", "prefix", "keyspace", "monkey", "design"], False),
    ],
)
def test_an_option_that_is_named_like_a_credential_is_secret(keys: list[str], secret: bool) -> None:
    assert {key: is_secret(key) for key in keys} == dict.fromkeys(keys, secret)


def test_secrets_are_taken_out_of_a_text() -> None:
    assert hide({"hunter2", ""}, "no login with hunter2") == "no login with ***"
