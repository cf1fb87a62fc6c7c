"""The pytest plugin: fixtures for an application's tests, loaded by ``pytest_plugins = ["pytheus.testing.fixtures"]``.

It imports nothing that a test does not use. It is not an entry point of the group ``pytest11``, which was tried and
measured (CPython 3.11, pytest 9.2, an otherwise empty run, best of nine):

- Every run of pytest beside it imported pytheus, before coverage tools start: 295 ms instead of 204 ms. As a module
  outside of the package it cost nothing there, but in a run that imports pytheus 254 ms instead of 213 ms, and 347 ms
  where ``__pycache__`` cannot be written, because pytest rewrites the assertions of all modules of such a distribution.
- A run that imported pytheus before, such as ``pytheus run -m pytest``, warns of that import
  (`PytestAssertRewriteWarning`), and does not start if warnings are errors.
- Tests that name this module in ``pytest_plugins`` do not start, because it is already registered under another name.

A separate distribution would avoid all of these, should the one line ever be too much.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pytheus.plugins.config import Configuration
    from pytheus.registry import CollectorRegistry
    from pytheus.testing.metrics_check import MetricsCheck

__all__ = ["pytheus_lint", "pytheus_registry"]

_MARKER: Final = "pytheus_limits"
_CONFIGURATION: Final[pytest.StashKey[Configuration]] = pytest.StashKey()
_CHECK: Final[pytest.StashKey[MetricsCheck]] = pytest.StashKey()


@pytest.fixture
def pytheus_registry() -> Iterator[CollectorRegistry]:
    """A new registry that `pytheus.REGISTRY` uses during the test.

    Metrics that the test makes go there and nowhere else. Those that were made before, such as a module's at its
    import, stay where they are and do not show in it; they keep counting, so compare their values before and after
    (`pytheus.testing.assert_increments`). Example: docs/how-to/test-an-application.md.

    A label value that is neither a str nor an int raises during the test, as with ``PYTHEUS_STRICT=1``.
    """
    from pytheus.registry import REGISTRY, CollectorRegistry
    from pytheus.settings import set_strict

    registry = CollectorRegistry()
    previous = set_strict(True)
    try:
        with REGISTRY.use(registry):
            yield registry
    finally:
        set_strict(previous)


@pytest.fixture
def pytheus_lint(request: pytest.FixtureRequest) -> Iterator[MetricsCheck]:
    """A check of the metrics that the test makes or changes; they are those of `pytheus.REGISTRY`.

    Those in a registry of `REGISTRY.use` count as well, as they are when its block ends.

    The test fails if they break Prometheus's conventions (`pytheus.testing.lint`), or if it adds more series than it
    may: by default 100 to one metric and 1000 in total. The marker ``pytheus_limits`` takes the keywords of
    `MetricsCheck.configure`, which the test can also call. Example: docs/how-to/test-an-application.md.
    """
    from pytheus.plugins.config import load_configuration
    from pytheus.testing.metrics_check import MetricsCheck

    stash = request.config.stash
    if _CONFIGURATION not in stash:
        stash[_CONFIGURATION] = load_configuration()
    check = MetricsCheck(configuration=stash[_CONFIGURATION])
    for marker in reversed(list(request.node.iter_markers(_MARKER))):  # the one that is nearest to the test decides
        if marker.args:
            raise pytest.UsageError(f"the marker {_MARKER} takes keywords but got {marker.args!r:.80}")
        check.configure(**marker.kwargs)
    request.node.stash[_CHECK] = check
    yield check
    check.stop()
    del request.node.stash[_CHECK]


@pytest.fixture(autouse=True)
def _pytheus_lint_first(request: pytest.FixtureRequest) -> None:
    """Begin the check before other fixtures of the test, and also for a test that only has the marker."""
    if "pytheus_lint" in request.fixturenames or request.node.get_closest_marker(_MARKER) is not None:
        request.getfixturevalue("pytheus_lint")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(**bounds): check the test's metrics with these keywords of MetricsCheck.configure"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Check the metrics after the test, while its fixtures are in place."""
    result = yield
    check = item.stash.get(_CHECK, None)
    if check is not None:
        try:
            check.check()
        except AssertionError as error:
            pytest.fail(
                f"{error}\nAllow it by @pytest.mark.{_MARKER}(...) with keywords such as ignore=[RULE], or in"
                " [tool.pytheus.lint] of pyproject.toml",
                pytrace=False,
            )
    return result
