"""Uses of metrics and registries that are left to a person: each has a remark with its line."""

from __future__ import annotations

import pytest

pytest.importorskip("libcst", reason="libcst has no wheel for this interpreter")

from pytheus.migrate import rewrite

pytestmark = pytest.mark.once


def subjects(source: str, through: dict[str, str] | None = None) -> list[tuple[int, str]]:
    return [(remark.line, remark.subject) for remark in rewrite(source.encode(), through=through or {}).remarks]


@pytest.mark.parametrize(
    ("source", "line", "subject"),
    [
        (
            "from prometheus_client import Counter as C\nclass A:\n    c = C('a', '')\nA.c.reset()\n",
            4,
            ".reset() of a counter",
        ),
        ("from prometheus_client import REGISTRY\nREGISTRY.restricted_registry([])\n", 2, ".restricted_registry(...)"),
        ("from prometheus_client import REGISTRY\nREGISTRY.set_target_info({})\n", 2, ".set_target_info(...)"),
        ("from prometheus_client import REGISTRY\nlist(REGISTRY._collector_to_names)\n", 2, "._collector_to_names"),
        ("from prometheus_client import REGISTRY as R\nR._lock\n", 2, "._lock, which is private to prometheus_client"),
        (
            "from prometheus_client import Counter as C\ndef f(): return c.labels('x')._value\nc = C('a', '', ['b'])\n",
            2,
            "._value, which is private to prometheus_client",
        ),
        ("from prometheus_client import Summary\nSummary('a', '').observe(amount=1)\n", 2, ".observe(amount=...)"),
        ("from prometheus_client import Gauge\nGauge('a', '').set_function(f=g)\n", 2, ".set_function(f=...)"),
        ("from prometheus_client import Gauge\ng: Gauge = Gauge('a', '')\ng.set('5')\n", 3, ".set(...) of a text"),
        (
            "from prometheus_client import Counter\nCounter('a', '').count_exceptions(exception=E)\n",
            2,
            ".count_exceptions(exception=...)",
        ),
        ("from prometheus_client import Info\nInfo('a', '').info(val={})\n", 2, ".info(val=...)"),
        (
            "from prometheus_client import Counter\nclass A:\n    def f(self):\n        self.c = Counter('a', '')\n"
            "        self.c.clear()\n",
            5,
            ".clear() of a metric without labels",
        ),
        (
            "from prometheus_client import Histogram\nB = [1, '+Inf']\nHistogram('a', '', buckets=B)\n",
            3,
            "buckets=B has texts",
        ),
        (
            "from prometheus_client import Gauge\ng = Gauge('a', '')\ng.set_function(f)\ng.track_inprogress()\n",
            4,
            ".track_inprogress(...) of a gauge with a function",
        ),
        ("from prometheus_client import Counter\nmake(Counter, 'hits')\n", 2, "Counter as a value"),
        ("import prometheus_client as pc\nCounter = pc.Counter\n", 2, "Counter as a value"),
        ("from prometheus_client import Gauge\nclass X:\n    gauge = Gauge\n", 3, "Gauge as a value"),
        ("from prometheus_client import Summary\nfor k in (Summary,): k('x')\n", 2, "Summary as a value"),
        ("from prometheus_client import Info\ndef f(): return Info\n", 2, "Info as a value"),
        ("from prometheus_client import Enum\nKINDS = {'enum': Enum}\n", 2, "Enum as a value"),
        ("from prometheus_client import Counter\ndef f(kind=Counter): kind('x')\n", 2, "Counter as a value"),
        (
            "from prometheus_client import Histogram\nmake = functools.partial(Histogram, namespace='a')\n",
            2,
            "Histogram as a value",
        ),
        (
            "class M:\n    from prometheus_client import Counter\nM.Counter('a', '')\n",
            2,
            "Counter as an attribute of the class M",
        ),
        ("from prometheus_client import Counter\nclass Own(Counter): ...\n", 2, "a subclass of Counter"),
    ],
)
def test_uses_that_are_not_rewritten(source: str, line: int, subject: str) -> None:
    assert (line, subject) in subjects(source)


@pytest.mark.parametrize(
    ("statement", "subject"),
    [("x = Counter", "Counter as a value"), ("class X(Counter): ...", "a subclass of Counter")],
)
def test_a_class_that_another_file_passes_on_has_the_same_remarks(statement: str, subject: str) -> None:
    source = f"from shop.prom import Counter\n{statement}\n"
    assert subjects(source, {"shop.prom.Counter": "prometheus_client.Counter"}) == [(2, subject)]


@pytest.mark.parametrize(
    "statement",
    [
        "isinstance(x, (Counter, int))",
        "def f(x: Counter) -> list[Counter]: ...",
        "type(x) is Counter",
        "Metric = Counter | int",
        "known: dict[str, Counter] = defaultdict[str, Counter](int)",
        "x = typing.cast(Counter, y)",
        "Counter('a', '', ['b']).clear()",
        "x._value.reset()",
        "g = Counter('a', '', ['b'])\ng.labels('c').set_function(f)\ng.labels('d').inc()",
        "self._registry.clear(amount=1)",
    ],
)
def test_uses_that_call_no_class_have_no_remark(statement: str) -> None:
    assert subjects(f"from prometheus_client import Counter\n{statement}\n") == []


def test_a_parameter_with_the_name_of_the_package_keeps_the_call() -> None:
    source = "import prometheus_client\ndef f(pytheus=1):\n    prometheus_client.Counter('a', '')\n"
    assert subjects(source) == [(3, "Counter: the source has another pytheus")]
    assert rewrite(source.encode()).source.decode() == source
