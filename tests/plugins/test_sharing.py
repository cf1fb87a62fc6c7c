"""A plugin that declares that processes share its registry, and the address by which they do."""

from __future__ import annotations

import sys

import pytest

from pytheus.exceptions import PluginLoadError, SelectionError, UnknownRegistryError
from pytheus.plugins.plan import plan
from pytheus.plugins.resolve import shared_address
from tests.plugins.conftest import Site

SHARES = """
from contextlib import contextmanager

events = []


@hookimpl
@contextmanager
def pytheus_shared_path(options):
    events.append("begins")
    try:
        yield None if "path" in options.given else "/run/a b"
    finally:
        events.append("ends")
"""


@pytest.mark.parametrize(
    ("choice", "address"),
    [
        ("memory", "memory:///run/a%20b"),
        ("memory@memory-dist://?size=2", "memory@memory-dist:///run/a%20b?size=2"),
        ("memory://me:pw@host/?size=2", "memory://me:pw@host/run/a%20b?size=2"),
        ("memory:///here?a=%20", "memory:///here?a=%20"),
    ],
)
def test_the_path_is_put_into_the_url_while_the_context_lasts(choice: str, address: str, site: Site) -> None:
    site.plugin("memory", SHARES)
    with shared_address(plan(choice)) as shared:
        assert shared == address
        events = sys.modules["memory_module"].events
        assert events == ["begins"]
    assert events == ["begins", "ends"]


def refused(choice: str, kind: type[SelectionError]) -> str:
    with pytest.raises(kind) as caught, shared_address(plan(choice)):
        pass
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_registry_that_cannot_be_created_is_refused_with_its_reason() -> None:
    assert "is not installed" in refused("surely_not_installed", UnknownRegistryError)


def test_a_built_in_registry_is_refused(site: Site) -> None:
    site.plugin("memory", SHARES)
    message = refused("default", SelectionError)
    assert message.startswith(
        "registry plugin 'default' (as argument) is in the memory of one process, where no other can read it;"
        " choose one that processes share; installed: "
    )
    assert "memory" in message.partition("installed: ")[2].split(", ")


def test_a_plugin_that_does_not_declare_it_is_refused(site: Site) -> None:
    site.plugin("memory")
    assert refused("memory", PluginLoadError) == (
        "registry plugin 'memory' (as argument) cannot be shared by several processes: entry point 'memory ="
        " memory_module' of memory-dist 1.0 does not implement pytheus_shared_path; choose a registry that processes"
        " share"
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise OSError('no disk')", "could not be shared by several processes: "),
        ("return 3", "returned 3 from pytheus_shared_path, which is not a context manager"),
        ("return nullcontext(3)", "provides 3 in pytheus_shared_path, which is neither a str nor None"),
        ("return Broken()", "raised OSError: no disk"),
    ],
)
def test_an_error_of_the_plugin_is_its_own(body: str, words: str, site: Site) -> None:
    broken = "class Broken(nullcontext):\n    def __enter__(self): raise OSError('no disk')\n"
    hook = f"@hookimpl\ndef pytheus_shared_path():\n    {body}\n"
    site.plugin("memory", f"from contextlib import nullcontext\n{broken}{hook}")
    assert words in refused("memory", PluginLoadError)
