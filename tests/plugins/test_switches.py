from __future__ import annotations

import pytest

from pytheus.exceptions import ConfigurationError
from pytheus.plugins.configuration import NO_CONFIGURATION
from pytheus.plugins.switches import load_switches

FILE = NO_CONFIGURATION._replace(path="/a/pyproject.toml", plugins=("no:redis", "audit"))


def test_without_a_setting_nothing_is_switched() -> None:
    assert load_switches(NO_CONFIGURATION) == ((), {})


def test_the_variable_blocks_and_selects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", " no:redis, audit ,,")
    switches = load_switches(NO_CONFIGURATION)
    assert switches.selected == ("audit",)
    assert switches.blocked == {"redis": "'no:redis' in PYTHEUS_PLUGINS"}


def test_the_file_blocks_and_selects() -> None:
    switches = load_switches(FILE)
    assert switches.selected == ("audit",)
    assert switches.blocked == {"redis": "'no:redis' in 'plugins' in [tool.pytheus] of /a/pyproject.toml"}


def test_both_count_and_the_variable_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "redis,no:push")
    switches = load_switches(FILE)
    assert set(switches.selected) == {"redis", "audit"}
    assert set(switches.blocked) == {"push"}


@pytest.mark.parametrize("entry", ["no:", "no:a b", "a:b", "-x", "no:redis@pytheus-redis"])
def test_an_entry_that_names_no_plugin_is_refused(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", entry)
    with pytest.raises(ConfigurationError) as caught:
        load_switches(NO_CONFIGURATION)
    assert str(caught.value).startswith(
        f"PYTHEUS_PLUGINS has the entry '{entry}', which is neither NAME nor no:NAME of a plugin;"
    )


def test_an_entry_and_its_opposite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "redis,no:redis")
    with pytest.raises(ConfigurationError) as caught:
        load_switches(NO_CONFIGURATION)
    assert str(caught.value) == "PYTHEUS_PLUGINS has both 'redis' and 'no:redis'; keep one of them"
