"""The fixture and the marker that check the metrics of a test, in real runs of pytest, and the check itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from pytheus import Counter, Gauge, Histogram, Info
from pytheus.compose import prefixed
from pytheus.exceptions import ConfigurationError, InvalidNameError, OutOfRangeError
from pytheus.registry import REGISTRY, Collector, CollectorRegistry, CollectorRegistryProxy
from pytheus.registry.capabilities import HasRows
from pytheus.registry.traversal import definition_of
from pytheus.samples import Family, Sample
from pytheus.testing import MetricsCheck
from pytheus.testing.lint.family import families_of_collector, family_of_rows
from tests.e2e.every_type import every_type

CONFTEST: Final = 'pytest_plugins = ["pytheus.testing.fixtures"]\n'

# Each test is called after its expected outcome.
PROGRAM: Final = """
import unittest

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from pytheus import REGISTRY, Counter, Gauge, Histogram
from pytheus.registry import CollectorRegistry

VISITS = Counter("visits_total", "Visits.", ["user", "page"])
WAIT = Gauge("wait_ms", "Time that orders wait.")
OWN = CollectorRegistry()


def visit(count, user="user-{}", page="/"):
    for number in range(count):
        VISITS.labels(user.format(number), page).inc()


def test_passes_good(pytheus_lint):
    visit(3)


def test_passes_untouched(pytheus_lint):
    pass


def test_passes_unchecked():
    WAIT.set(1)
    visit(200, "unchecked-{}")


def test_fails_name(pytheus_lint):
    WAIT.set(2)


def test_fails_growth(pytheus_lint):
    visit(101, "grown-{}")


def test_passes_old_series(pytheus_lint):
    visit(101, "grown-{}")


def test_fails_registry_first(pytheus_registry, pytheus_lint):
    Gauge("cart_mb", "Size of carts.")


def test_fails_registry_last(pytheus_lint, pytheus_registry):
    Gauge("cart_kb", "Size of carts.")


def test_fails_hidden_module_metric(pytheus_registry, pytheus_lint):
    WAIT.set(3)


@pytest.mark.pytheus_limits(max_new_series_per_metric=2)
def test_fails_marker_alone():
    visit(3, "marked-{}", "/3")


@pytest.mark.pytheus_limits(max_new_series=2, max_new_series_per_metric=None)
def test_fails_in_total():
    visit(3, "total-{}", "/total")


@pytest.mark.pytheus_limits(max_new_series_per_metric=None)
def test_passes_without_bound():
    visit(150, "unbound-{}")


@pytest.mark.pytheus_limits(ignore=["unit-abbreviated"])
def test_passes_ignored():
    WAIT.set(4)


@pytest.mark.pytheus_limits(max_new_series_per_metric=1)
class TestMarked:
    def test_fails_class(self):
        visit(2, "class-{}")

    @pytest.mark.pytheus_limits(max_new_series_per_metric=2)
    def test_passes_nearest(self):
        visit(2, "nearest-{}")


def test_passes_configured(pytheus_lint):
    pytheus_lint.configure(max_new_series_per_metric=200)
    visit(150, "configured-{}")


def test_fails_own_registry(pytheus_lint):
    pytheus_lint.configure(registry=OWN)
    WAIT.set(5)
    Gauge("own_ms", "Own.", registry=OWN)


@pytest.mark.parametrize("count", [1, 200])
def test_parameters(count, pytheus_lint):
    visit(count, f"parameter-{count}-{{}}")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_fails_async(anyio_backend, pytheus_lint):
    WAIT.set(6)


def test_fails_itself(pytheus_lint):
    WAIT.set(7)
    assert False, "its own reason"


@pytest.mark.xfail(strict=True)
def test_xfails(pytheus_lint):
    WAIT.set(8)


def test_skips(pytheus_lint):
    pytest.skip("reason")


@pytest.mark.usefixtures("pytheus_lint")
class CaseTest(unittest.TestCase):
    def test_fails_case(self):
        WAIT.set(9)

    def test_passes_case(self):
        visit(1)


def test_fails_block(pytheus_lint):
    with REGISTRY.use(CollectorRegistry()):
        Gauge("cart_gb", "Size of carts.")


def test_fails_larger_block(pytheus_lint):
    with REGISTRY.use(CollectorRegistry()):
        carts = Counter("carts_total", "Carts.", ["user"])
        for number in range(101):
            carts.labels(f"user-{number}").inc()


def test_passes_block(pytheus_lint):
    for _ in range(2):
        with REGISTRY.use(CollectorRegistry()):
            Gauge("carts", "Carts that are open.")


@pytest.mark.usefixtures("pytheus_lint")
class BlockTest(unittest.TestCase):
    def setUp(self):
        self.registry = self.enterContext(REGISTRY.use(CollectorRegistry()))

    def test_fails_block_of_case(self):
        Gauge("cart_tb", "Size of carts.")

    def test_passes_block_of_case(self):
        Gauge("carts", "Carts that are open.")


@pytest.mark.pytheus_limits(max_new_series_per_metric=5)
@settings(max_examples=5, deadline=None, database=None)
@given(number=st.integers(0, 1))
def test_passes_hypothesis(number):
    visit(1, f"hypothesis-{number}-{{}}")


@pytest.mark.pytheus_limits(max_serie=5)
def test_errors_keyword():
    pass
"""


def run(folder: Path, *arguments: str) -> tuple[dict[str, str], str]:
    """The outcome of each test, and the output."""
    command = [sys.executable, "-W", "error", "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--strict-markers"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=folder)
    found = re.findall(r"^(PASSED|FAILED|ERROR|XFAIL|SKIPPED) (?:\[1\] )?\S+?(?:::|:\d+: )(\S+)", done.stdout, re.M)
    return {name.rpartition("::")[2]: outcome for outcome, name in found}, done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(CONFTEST, "utf-8")
    (tmp_path / "test_shop.py").write_text(PROGRAM, "utf-8")
    return tmp_path


def test_each_test_has_the_outcome_that_its_metrics_deserve(project: Path) -> None:
    found, output = run(project)
    expected = {name: name.split("_")[1] for name in re.findall(r"def (test_\w+)", PROGRAM)}
    words = {"passes": "PASSED", "fails": "FAILED", "xfails": "XFAIL", "skips": "SKIPPED", "errors": "ERROR"}
    for name, outcome in expected.items():
        if name == "test_parameters":
            assert found.get("test_parameters[1]") == "PASSED", output
            assert found.get("test_parameters[200]") == "FAILED", output
        elif name == "test_fails_async":
            assert found.get("test_fails_async[asyncio]") == "FAILED", output
        elif name != "test_skips":
            assert found.get(name) == words[outcome], (name, output)
    assert "its own reason" in output
    assert "got an unexpected keyword argument 'max_serie'" in output


def test_processes_of_xdist_check_alike(project: Path) -> None:
    found, output = run(project, "-n", "2", "-k", "growth or good or marker")
    assert found == {
        "test_passes_good": "PASSED",
        "test_fails_growth": "FAILED",
        "test_fails_marker_alone": "FAILED",
    }, output


def test_the_message_names_metric_label_values_and_remedy(project: Path) -> None:
    _, output = run(project, "-k", "test_fails_growth or test_fails_name")
    assert re.search(
        r"1 fault of the metrics that were made or changed:\n"
        r"  visits_total \(.*test_shop\.py:10\): it has 101 new series, more than 100; the label 'user' has 101 new"
        r" values: 'grown-0', 'grown-1', 'grown-2'\n"
        r"    leave 'user' out, replace its values by a small set, or allow more: max_new_series_per_metric=101\n",
        output,
    ), output
    assert re.search(
        r"  wait_ms \(.*test_shop\.py:11\): 'ms' abbreviates a unit \[unit-abbreviated\]\n"
        r"    use the base unit: 'wait_seconds'\n",
        output,
    ), output


def test_one_line_of_configuration_checks_every_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST, "utf-8")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nusefixtures = ["pytheus_lint"]\n'
        '[tool.pytheus.lint]\nignore = ["wait_ms"]\nmax_new_series_per_metric = 2\n',
        "utf-8",
    )
    (tmp_path / "test_shop.py").write_text(
        "from pytheus import Counter, Gauge\n"
        'def test_passes(): Gauge("wait_ms", "Wait.")\n'
        'def test_fails(): Gauge("cart_mb", "Cart.")\n'
        "def test_fails_too():\n"
        '    visits = Counter("visits_total", "Visits.", ["user"])\n'
        "    for user in 'abc': visits.labels(user).inc()\n",
        "utf-8",
    )
    found, output = run(tmp_path)
    assert found == {"test_passes": "PASSED", "test_fails": "FAILED", "test_fails_too": "FAILED"}, output


# The check itself -----------------------------------------------------------------------------------------------------


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def message(check: MetricsCheck) -> str:
    with pytest.raises(AssertionError) as caught:
        check.check()
    return str(caught.value)


def test_a_change_of_any_type_is_seen(registry: CollectorRegistry) -> None:
    gauge = Gauge("a_ms", "A.", registry=registry)
    histogram = Histogram("b_ms", "B.", registry=registry, native=True)
    info = Info("c_ms_info", "C.", registry=registry)
    counter = Counter("d_ms_total", "D.", registry=registry)
    check = MetricsCheck(registry)
    check.check()
    changes: list[tuple[Callable[[], None], str]] = [
        (lambda: gauge.set(1), "a_ms"),
        (lambda: histogram.observe(1), "b_ms"),
        (lambda: info.info(version="1"), "c_ms_info"),
        (counter.inc, "d_ms_total"),
    ]
    for change, name in changes:
        check = MetricsCheck(registry)
        change()
        assert message(check).splitlines()[0] == "1 fault of the metrics that were made or changed:"
        assert f"  {name} (" in message(check)


def test_names_have_the_prefix_of_their_registry() -> None:
    registry = CollectorRegistry("shop")
    check = MetricsCheck(prefixed(registry, "outer"))
    Gauge("a_ms", "A.", registry=registry)
    assert "  shop_a_ms (" in message(check)


class Elsewhere:
    """A collector of numbers from elsewhere, which counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def collect(self) -> list[Family | Collector]:
        self.calls += 1
        return [Family("a_ms", "gauge", "A.", [Sample("", {}, float(self.calls))])]


def test_a_collector_from_elsewhere_is_called_only_if_it_is_new(registry: CollectorRegistry) -> None:
    old = Elsewhere()
    registry.register(old)
    calls = old.calls
    check = MetricsCheck(registry)
    check.check()
    assert old.calls == calls
    registry.unregister(old)
    registry.register(Elsewhere())
    assert "a_ms: 'ms' abbreviates a unit" in message(check)


class Failing:
    """A collector that always raises."""

    def collect(self) -> list[Family | Collector]:
        raise RuntimeError("no numbers")


def test_a_collector_that_fails_is_left_out(registry: CollectorRegistry) -> None:
    check = MetricsCheck(registry)
    registry.register(Failing())
    Gauge("depth", "Depth of the queue.", registry=registry).set_function(lambda: 1 / 0)
    check.check()


def test_it_chooses_no_registry() -> None:
    proxy = CollectorRegistryProxy("no-such-plugin")
    MetricsCheck(proxy).check()
    assert "not resolved yet" in repr(proxy)


def test_a_wrong_option_changes_nothing(registry: CollectorRegistry) -> None:
    check = MetricsCheck(registry)
    with pytest.raises(
        OutOfRangeError, match="max_new_series must be a whole number of at least 0, or None, but is -1"
    ):
        check.configure(max_new_series=-1, ignore=["unit-abbreviated"])
    with pytest.raises(InvalidNameError, match="there is no rule 'no-hlp'; did you mean 'no-help'"):
        check.configure(max_new_series=0, ignore=["no-hlp"])
    Gauge("a_ms", "A.", registry=registry)
    assert message(check).count("\n  a_ms") == 1
    assert "new series" not in message(check)


def test_a_configuration_that_is_not_valid_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pytheus.toml"
    path.write_text('[tool.pytheus.lint]\nignore = ["no-hlp"]\n', "utf-8")
    monkeypatch.setenv("PYTHEUS_CONFIG", str(path))
    with pytest.raises(
        ConfigurationError, match=r"pytheus\.toml: \[tool\.pytheus\.lint\] is not valid: there is no rule"
    ):
        MetricsCheck(REGISTRY)


@pytest.mark.filterwarnings("ignore:counter .* has no suffix")
def test_the_series_of_rows_are_those_of_a_scrape() -> None:
    registry, _ = every_type()
    count = 0
    for collector in registry.collect():
        definition = definition_of(collector)
        if definition is None or not isinstance(collector, HasRows) or definition.native is not None:
            continue
        count += 1
        (scraped,) = families_of_collector(collector, "shop_")
        made = family_of_rows(definition, collector.rows(), "shop_")
        assert (made.name, made.type, made.labels, made.unit) == (
            scraped.name,
            scraped.type,
            scraped.labels,
            scraped.unit,
        )
        assert [repr(sample[:3]) for sample in made.samples] == [repr(sample[:3]) for sample in scraped.samples]
    assert count > 7


def test_only_the_series_that_changed_are_checked(registry: CollectorRegistry) -> None:
    visits = Counter("visits_total", "Visits.", ["user"], registry=registry)
    for number in range(50):
        visits.labels(f"user{number}@example.org").inc()
    check = MetricsCheck(registry)
    visits.labels("user1@example.org").inc()
    visits.labels("user2@example.org").inc()
    check.check()
    visits.labels("user3@example.org").inc()
    assert "label 'user' has 3 values that are e-mail addresses" in message(check)
