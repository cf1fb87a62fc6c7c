from __future__ import annotations

import pytest

from pytheus.exceptions import ConfigurationError
from pytheus.plugins.config import NO_CONFIGURATION, NamedPlugin, load_switches

FILE = NO_CONFIGURATION._replace(path="/a/pyproject.toml", plugins=("no:redis", "audit"))


def test_without_a_setting_nothing_is_switched() -> None:
    assert load_switches(NO_CONFIGURATION) == ((), {})


def test_the_variable_blocks_and_selects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", " no:redis, audit ,,")
    switches = load_switches(NO_CONFIGURATION)
    assert switches.named == (NamedPlugin("audit", None, "'audit' in PYTHEUS_PLUGINS"),)
    assert switches.blocked == {"redis": "'no:redis' in PYTHEUS_PLUGINS"}


def test_the_file_blocks_and_selects() -> None:
    switches = load_switches(FILE)
    assert [named.name for named in switches.named] == ["audit"]
    assert switches.blocked == {"redis": "'no:redis' in 'plugins' in [tool.pytheus] of /a/pyproject.toml"}


def test_both_count_and_the_variable_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "redis,no:push")
    switches = load_switches(FILE)
    assert {named.name for named in switches.named} == {"redis", "audit"}
    assert set(switches.blocked) == {"push"}


@pytest.mark.parametrize("entry", ["no:", "no:a b", "a:b", "-x", "no:redis@pytheus-redis"])
def test_an_entry_that_names_no_plugin_is_refused(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", entry)
    with pytest.raises(ConfigurationError) as caught:
        load_switches(NO_CONFIGURATION)
    assert str(caught.value).startswith(
        f"PYTHEUS_PLUGINS has the entry '{entry}', which is neither NAME, NAME@DISTRIBUTION nor no:NAME of a plugin;"
    )


def test_a_distribution_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "audit@acme-audit")
    (named,) = load_switches(NO_CONFIGURATION).named
    assert (named.name, named.distribution, str(named)) == ("audit", "acme-audit", "audit@acme-audit")


def test_those_of_the_file_come_first_and_those_of_the_variable_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "zoo,bar,zoo")
    assert [named.name for named in load_switches(FILE).named] == ["audit", "zoo", "bar"]


@pytest.mark.parametrize("entries", ["audit,audit@acme", "audit@acme,audit@other", "audit@acme,no:audit"])
def test_one_setting_says_one_thing_about_a_name(entries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", entries)
    first, second = entries.split(",")
    with pytest.raises(ConfigurationError) as caught:
        load_switches(NO_CONFIGURATION)
    assert str(caught.value) == f"PYTHEUS_PLUGINS has both {first!r} and {second!r}; keep one of them"


def test_an_entry_and_its_opposite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "redis,no:redis")
    with pytest.raises(ConfigurationError) as caught:
        load_switches(NO_CONFIGURATION)
    assert str(caught.value) == "PYTHEUS_PLUGINS has both 'redis' and 'no:redis'; keep one of them"
