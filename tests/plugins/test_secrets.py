"""No credential is shown, wherever in an address, an option or a file it is."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytheus.exceptions import PluginLoadError, PytheusError
from pytheus.plugins import RegistryOptions, configured_strict, hide, resolve_registry
from pytheus.plugins.address import parse_address, redact
from pytheus.plugins.config import choose, load_configuration
from pytheus.plugins.plan import plan, tables_without_effect
from tests.plugins.conftest import Site
from tests.plugins.secret_places import ADDRESSES, SECRET, TEMPLATES, assert_hidden

THOROUGHLY = settings(max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclasses.dataclass(frozen=True)
class Declared:
    host: str = ""
    port: int = 0
    path: str | None = None
    db: int = 0
    prefix: str | None = None
    mode: Literal["a", "b"] = "a"
    hidden: str = dataclasses.field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.path is not None or self.prefix is not None or self.hidden:
            raise ValueError(f"{self.path!r:.40}, {self.prefix!r} and {self.hidden} of {self.host} do not fit")


@contextlib.contextmanager
def shown(errors: list[object]) -> Iterator[None]:
    try:
        yield
    except PytheusError as error:
        errors.append(error)


@THOROUGHLY
@given(ADDRESSES)
def test_an_address_shows_no_secret_at_any_place(address: str) -> None:
    seen: list[object] = [redact(address)]
    with shown(seen):
        seen.append(parse_address(address))
    with shown(seen):
        planned = plan(address)
        seen += [planned, planned.options.describe(), planned.problems, planned.subject]
    seen.append(choose(address, load_configuration()))
    for text in seen:
        assert_hidden(text)


@THOROUGHLY
@given(ADDRESSES)
def test_options_show_no_secret_at_any_place(address: str) -> None:
    seen: list[object] = []
    with shown(seen):
        options = RegistryOptions(address)
        seen += [options, options.describe(), options.scrub(address), options.url]
        for key in [*options.given, "password"]:
            seen.append(options.error(key, "something else") if key in ("prefix", "db", "password", "pw") else "")
        with shown(seen):
            options.refuse_unread()
        with shown(seen):
            options.parse(Declared)
        seen += [options, options.describe()]
    for text in seen:
        assert_hidden(text)


@THOROUGHLY
@given(
    st.sampled_from(["password", "pw", "foo", "prefix", "upstream", "hidden", "mode", "db", "path", "sentinels"]),
    st.sampled_from(["{}", "redis://:{}@h", "u:{}@h", "x={}", "/u:{}@h"]),
    st.sampled_from([lambda value: value, lambda value: [value, [value]], lambda value: {"inner": {"x": value}}]),
)
def test_the_options_of_a_file_show_no_secret(key: str, template: str, wrap: object) -> None:
    assert callable(wrap)
    if key in ("prefix", "mode", "db", "path") and template == "{}":
        return  # a plain value of such an option is shown
    seen: list[object] = []
    options = RegistryOptions("redis", table={key: wrap(template.format(SECRET))})
    seen += [options, options.describe(), options.error(key, "something else")]
    with shown(seen):
        options.parse(Declared)
    for text in seen:
        assert_hidden(text)


LEAKING = """
import logging

@hookimpl
def pytheus_make_registry(options):
    values = dict(options.values)
    everything = [options.password, options.username, options.path, values]
    try:
        raise LookupError("first", everything)
    except LookupError as error:
        {how}

@hookimpl
def pytheus_shared_path(options):
    raise ValueError(f"no place for {{options.password}} {{options.values}}")
"""
HOWS = {
    "raised": "raise ValueError(f'cannot use {everything}')",
    "chained": "raise ValueError('cannot use it') from error",
    "from None": "raise ValueError('cannot use it') from None",
    "as attribute": "failure = ValueError('x'); failure.values = everything; raise failure",
    "as a note": "failure = ValueError('x'); failure.add_note(str(everything)); raise failure",
    "encoded": "from urllib.parse import quote; raise ValueError(quote(str(everything)) + quote(str(everything), ''))",
    "cut": "raise ValueError(str(options.password)[:12])",
}


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
@pytest.mark.parametrize(
    "address", ["leaky://shop:{}@h/0", "leaky://:{}@h?foo=1", "leaky://h?password={}", "leaky://h?foo={}"]
)
def test_an_error_of_the_plugin_shows_no_secret(
    how: str, address: str, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.plugin("leaky", LEAKING.format(how=how))
    seen: list[object] = []
    with caplog.at_level(logging.DEBUG), shown(seen):
        resolve_registry(address.format(SECRET))
    assert isinstance(seen[0], PluginLoadError)
    logging.getLogger("shop").error("it failed", exc_info=seen[0])
    seen.append(caplog.text)
    for text in seen:
        assert_hidden(text)


def test_an_error_without_a_secret_is_chained(site: Site) -> None:
    site.plugin("leaky", LEAKING.format(how="raise ValueError('cannot use it') from None").replace("everything)", "1)"))
    with pytest.raises(PluginLoadError) as caught:
        resolve_registry(f"leaky://shop:{SECRET}@h/0")
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_shared_path_shows_no_secret(site: Site) -> None:
    from pytheus.plugins.resolve import shared_address

    site.plugin("leaky", LEAKING.format(how="pass"))
    for address in (f"leaky://u:{SECRET}@h", f"leaky://h?foo={SECRET}"):
        with pytest.raises(PluginLoadError) as caught, shared_address(plan(address)):
            pass
        assert_hidden(caught.value)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_setting_shows_no_secret(template: str, pyproject: Path, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    address = template.format(SECRET)
    if "\udc80" in address:
        return  # no file or variable has it
    seen: list[object] = []
    quoted = address.replace("\\", "\\\\").replace('"', '\\"')
    contents = [
        f'[tool.pytheus]\nregistry = "{quoted}"\n',
        f'[tool.pytheus]\nregistry = ["{quoted}"]\n',
        f'[tool.pytheus]\nplugins = ["{quoted}"]\n',
        f'[tool.pytheus]\nwrap = ["{quoted}"]\n',
        f'[tool.pytheus]\nwrap = [{{ "{quoted}" = 1 }}]\n',
        f'[tool.pytheus]\n"{quoted}" = 1\n',
        f'[tool.pytheus.registries]\n"{quoted}" = 1\n',
        f'[tool.pytheus.registries."{quoted}"]\nx = 1\n',
        f'[tool.pytheus.registries.redis]\n"{quoted}" = 1\n' if "pw=" in address else "[tool.pytheus]\n",
    ]
    for content in contents:
        pyproject.write_text(content, "utf-8")
        with shown(seen):
            configuration = load_configuration()
            seen.append(configuration)
            planned = plan()
            seen += [planned, tables_without_effect(planned)]
    pyproject.unlink()
    for variable in ("PYTHEUS_REGISTRY", "PYTHEUS_PLUGINS", "PYTHEUS_STRICT", "PYTHEUS_CONFIG"):
        if variable == "PYTHEUS_CONFIG" and "://" not in address:
            continue  # it is the path of a file
        monkeypatch.setenv(variable, address)
        with warnings.catch_warnings(record=True) as caught, shown(seen):
            resolve_registry()
            configured_strict()
        seen += [str(warning.message) for warning in caught]
        monkeypatch.delenv(variable)
    for text in seen:
        assert_hidden(text)


def test_secrets_are_taken_out_in_every_spelling() -> None:
    secret = "pa ss/w@rd'\n"
    for spelling in (secret, repr(secret), "pa%20ss%2Fw%40rd%27%0A", "pa%20ss%2fw%40rd%27%0a", "pa+ss%2Fw%40rd%27%0A"):
        assert hide([secret], f"<{spelling.strip(chr(34))}>") in ("<***>", "<'***'>")
    assert hide([SECRET], f"AUTH {SECRET[:10]}...") == "AUTH ***..."
    assert hide(["", SECRET], "nothing") == "nothing"
