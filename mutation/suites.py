"""Which tests are meant to notice a defect in which part."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["COMPOSE", "COLLECTOR_REGISTRY", "EVERYTHING", "LOOKUP", "PROXY", "Suite"]

Suite: TypeAlias = tuple[str, ...]
"""Paths of tests, the quick ones first."""

_KIT = "tests/conformance/test_our_registries.py"

COLLECTOR_REGISTRY: Suite = (
    "tests/unit/test_collector_registry.py",
    "tests/unit/test_sharing.py",
    "tests/pitfalls/test_registry.py",
    f"{_KIT}::TestCollectorRegistry",
    f"{_KIT}::TestCollectorRegistryThatWarns",
    "tests/unit/test_atomic.py",
    "tests/property/test_registry_machine.py",
)

LOOKUP: Suite = ("tests/unit/test_lookup.py", "tests/unit/test_sharing.py", "tests/unit/test_proxy.py")

PROXY: Suite = (
    "tests/unit/test_proxy.py",
    "tests/unit/test_migration.py",
    "tests/plugins/test_proxy_resolution.py",
    "tests/compose/test_proxied.py",
    "tests/compose/test_limited.py",
    "tests/pitfalls",
    f"{_KIT}::TestProxy",
    f"{_KIT}::TestProxyThatIsResolvedByName",
    "tests/threads/test_interruptions.py::test_a_fork_while_another_thread_changes_the_registry",
    "tests/threads/test_interruptions.py::test_a_fork_while_another_thread_empties_the_former_registry",
    "tests/threads/test_interruptions.py::test_a_fork_while_another_thread_holds_the_proxys_lock",
    "tests/threads/test_writes.py::test_blocks_that_begin_and_end_at_the_same_time",
)

COMPOSE: Suite = ("tests/compose", "tests/docs/test_doctests.py", _KIT)

EVERYTHING: Suite = (
    "tests/threads/test_writes.py",
    "tests/threads/test_scrapes.py",
    "tests/threads/test_interruptions.py",
    "tests/compose",
    "tests/pitfalls",
    "tests/plugins/test_proxy_resolution.py",
    "tests/plugins/test_resolution.py",
    "tests/exposition/test_response.py",
    "tests/docs/test_doctests.py",
    _KIT,
    "tests/conformance/test_kit.py",
    "tests/property/test_registry_machine.py",
    "tests/unit",
)
"""What a mutant is held to that the tests meant for it let pass."""
