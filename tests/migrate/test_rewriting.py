"""Each row of the tables of names: the source before, the source after, and what is left to a person."""

from __future__ import annotations

import pytest

libcst = pytest.importorskip("libcst", reason="libcst has no wheel for this interpreter")

from pytheus.migrate import rewrite  # noqa: E402
from pytheus.migrate.tables import CALLED, GAUGE_MODES, KEPT, OLD_BUCKETS, RENAMED  # noqa: E402

pytestmark = pytest.mark.once


def rewritten(source: str, **options: dict[str, str]) -> str:
    """`source` as rewritten, which rewriting again does not change."""
    after = rewrite(source.encode(), **options).source
    assert rewrite(after).source == after
    return after.decode()


def subjects(source: str) -> list[tuple[int, str]]:
    return [(remark.line, remark.subject) for remark in rewrite(source.encode()).remarks]


def call(expression: str, *names: str) -> str:
    """`expression` as rewritten, with `names` imported from prometheus_client."""
    listed = ", ".join(names or [expression.partition("(")[0]])
    return rewritten(f"from prometheus_client import {listed}\n{expression}\n").splitlines()[-1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Counter("hits", "Hits.")', 'Counter("hits_total", "Hits.")'),
        ("Counter('hits_total', 'Hits.')", "Counter('hits_total', 'Hits.')"),
        ("Counter('hits', 'Hits.')", "Counter('hits_total', 'Hits.')"),
        ('Counter("hits", "Hits.", ["a"])', 'Counter("hits_total", "Hits.", ["a"])'),
        (
            'Counter("h", documentation="H.", labelnames=["a"])',
            'Counter("h_total", description="H.", required_labels=["a"])',
        ),
        ('Counter("h", "H.", "ab")', 'Counter("h_total", "H.", ["a", "b"])'),
        ('Gauge("h", "H.", labelnames=("ab"))', 'Gauge("h", "H.", required_labels=["a", "b"])'),
        ('Counter(documentation="H.", name="h")', 'Counter(description="H.", name="h_total")'),
        ('Counter("h", "H.", [], "ns", "sub", "bytes")', 'Counter("ns_sub_h_bytes_total", "H.", [], unit="bytes")'),
        ('Counter("h_bytes_total", "H.", unit="bytes")', 'Counter("h_bytes_total", "H.", unit="bytes")'),
        ('Counter("h_total", "H.", unit="bytes")', 'Counter("h_bytes_total", "H.", unit="bytes")'),
        ('Counter("h", "H.", (), "", "", "", None)', 'Counter("h_total", "H.", (), registry=None)'),
        ('Counter("h", "H.", namespace=ns)', 'Counter("_".join(filter(None, (ns, "h_total"))), "H.")'),
        ('Counter(name, "H.")', 'Counter(name.removesuffix("_total") + "_total", "H.")'),
        ('Counter(f"{a}_hits", "H.")', 'Counter(f"{a}_hits_total", "H.")'),
        ('Counter(a + "_hits", "H.")', 'Counter(a + "_hits_total", "H.")'),
        ('Counter("%s_hits_total" % a, "H.")', 'Counter("%s_hits_total" % a, "H.")'),
        ('Counter("%s_hits" % "a", "H.")', 'Counter(("%s_hits" % "a").removesuffix("_total") + "_total", "H.")'),
        ('Counter(f"", "H.")', 'Counter((f"").removesuffix("_total") + "_total", "H.")'),
        ('Counter(f"{a}_hits", "H.", namespace="ns")', 'Counter(f"ns_{a}_hits_total", "H.")'),
        ('Gauge(name, "G.")', 'Gauge(name, "G.")'),
        ('Gauge("g", "G.", namespace="a", subsystem="b")', 'Gauge("a_b_g", "G.")'),
        ('Summary("s", "S.", unit="seconds")', 'Summary("s_seconds", "S.", unit="seconds")'),
        ('Histogram("h", "H.")', 'Histogram("h", "H.", buckets=PROMETHEUS_CLIENT_BUCKETS)'),
        ('Histogram("h", "H.", buckets=[1, 2, float("inf")])', 'Histogram("h", "H.", buckets=[1, 2])'),
        ('Histogram("h", "H.", buckets=(1, "+Inf"))', 'Histogram("h", "H.", buckets=(1,))'),
        ('Histogram("h", "H.", buckets=("1", "2.5"))', 'Histogram("h", "H.", buckets=(1.0, 2.5))'),
        ('Histogram("h", "H.", buckets=bounds)', 'Histogram("h", "H.", buckets=bounds)'),
        ("print(Histogram.DEFAULT_BUCKETS)", """print((*PROMETHEUS_CLIENT_BUCKETS, float("inf")))"""),
        ('Enum("e", "E.", ["a"], states=["x"])', 'StateSet("e", "E.", ["a"], states=["x"])'),
        ('Info("i", "I.")', 'Info("i", "I.")'),
        ("generate_latest()", "generate_metrics().encode()"),
        ("generate_latest(registry)", "generate_metrics(registry).encode()"),
        ("generate_latest(registry=r).decode('utf-8')", "generate_metrics(registry=r)"),
        ("generate_latest(r).decode()", "generate_metrics(r)"),
        ("start_http_server(8000)", 'start_http_server(8000, addr="0.0.0.0")'),
        ("start_http_server(port=8000, registry=r)", 'start_http_server(port=8000, addr="0.0.0.0", registry=r)'),
        ('start_http_server(8000, "127.0.0.1")', 'start_http_server(8000, "127.0.0.1")'),
        ("start_wsgi_server(8000)", 'start_http_server(8000, addr="0.0.0.0")'),
        ("make_wsgi_app()", "make_wsgi_app()"),
        ("make_asgi_app(r, disable_compression=True)", "make_asgi_app(r)"),
        ("CollectorRegistry(auto_describe=True)", "CollectorRegistry()"),
        ("CollectorRegistry(True)", "CollectorRegistry()"),
        ("print(CONTENT_TYPE_LATEST)", "print(CONTENT_TYPE)"),
        ("REGISTRY.register(own)", "REGISTRY.register(own)"),
        ("def f(r: CollectorRegistry) -> None: ...", "def f(r: Registry) -> None: ..."),
        ("class Own(Collector): ...", "class Own(CustomCollector): ..."),
        ('GaugeMetricFamily("g", "G.", value=1)', 'Family.of("g", "gauge", "G.", 1)'),
        ('CounterMetricFamily("c", "C.", n)', 'Family.of("c_total", "counter", "C.", n)'),
        ('UntypedMetricFamily("u", "U.", value=n)', 'Family.of("u", "unknown", "U.", n)'),
        ('UnknownMetricFamily("u", "U.", value=n)', 'Family.of("u", "unknown", "U.", n)'),
    ],
)
def test_calls(before: str, after: str) -> None:
    names = [
        each
        for each in (*RENAMED, *CALLED)
        if "." not in each
        and each in before.replace("(", " ").replace(".", " ").replace(":", " ").replace(")", " ").split()
    ]
    assert call(before, *names) == after


@pytest.mark.parametrize("mode", GAUGE_MODES)
def test_gauge_modes(mode: str) -> None:
    combined, processes = GAUGE_MODES[mode]
    assert call(f'Gauge("g", "G.", multiprocess_mode="{mode}")') == (
        f'Gauge("g", "G.", mode="{combined}", processes="{processes}")'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import prometheus_client\nprometheus_client.REGISTRY\n", "import pytheus\npytheus.REGISTRY\n"),
        ("import prometheus_client as p\np.core.REGISTRY\n", "import pytheus\npytheus.REGISTRY\n"),
        ("import os, prometheus_client as p\np.REGISTRY\n", "import os\nimport pytheus\npytheus.REGISTRY\n"),
        ("import prometheus_client.core\nprometheus_client.core.REGISTRY\n", "import pytheus\npytheus.REGISTRY\n"),
        ("from prometheus_client import core\ncore.REGISTRY\n", "import pytheus\npytheus.REGISTRY\n"),
        ("from prometheus_client import Gauge as G\nG\n", "from pytheus import Gauge as G\nG\n"),
        ("from prometheus_client.metrics import Gauge\n", "from pytheus import Gauge\n"),
        ("from prometheus_client.registry import REGISTRY\n", "from pytheus import REGISTRY\n"),
        (
            "from prometheus_client.exposition import make_wsgi_app as app\n",
            "from pytheus import make_wsgi_app as app\n",
        ),
        (
            "from prometheus_client import Enum\nEnum\nStateSet = 1\n",
            "from pytheus import StateSet as Enum\nEnum\nStateSet = 1\n",
        ),
        (
            "from prometheus_client import Enum\n__all__ = ['Enum']\n",
            "from pytheus import StateSet as Enum\n__all__ = ['Enum']\n",
        ),
        (
            "from prometheus_client import Enum\ndef f(e: 'Enum'): ...\n",
            "from pytheus import StateSet as Enum\ndef f(e: 'Enum'): ...\n",
        ),
        ("import prometheus_client as p; p.REGISTRY\n", "import pytheus\npytheus.REGISTRY\n"),
        (
            "from prometheus_client import CollectorRegistry as R\ndef f(r: 'list[R]', s: R): ...\n",
            "from pytheus import CollectorRegistry as R, Registry\ndef f(r: 'list[R]', s: Registry): ...\n",
        ),
        (
            "try:\n    from prometheus_client import Gauge\nexcept ImportError:\n"
            "    Gauge = None\nif Gauge:\n    Gauge('a', documentation='')\n",
            "try:\n    from pytheus import Gauge\nexcept ImportError:\n"
            "    Gauge = None\nif Gauge:\n    Gauge('a', description='')\n",
        ),
        (
            "if TYPE_CHECKING:\n    from prometheus_client import Gauge, CollectorRegistry\n"
            "def f(g: Gauge, r: CollectorRegistry): ...\n",
            "if TYPE_CHECKING:\n    from pytheus import Gauge, Registry\ndef f(g: Gauge, r: Registry): ...\n",
        ),
        (
            "from prometheus_client import (\n    Gauge,  # one\n    Summary,\n)\n",
            "from pytheus import (\n    Gauge,  # one\n    Summary,\n)\n",
        ),
        (
            "from prometheus_client import (\n    Gauge,  # one\n    push_to_gateway,\n)\nGauge\n",
            "# one\nfrom prometheus_client import (\n    push_to_gateway,\n)\nfrom pytheus import Gauge\nGauge\n",
        ),
        (
            "def f():\n    from prometheus_client import Gauge\n    return Gauge\n",
            "def f():\n    from pytheus import Gauge\n    return Gauge\n",
        ),
        ("import prometheus_client as p\np.disable_created_metrics()\nx = 1\n", "x = 1\n"),
        (
            "from prometheus_client import REGISTRY, GC_COLLECTOR\nREGISTRY.unregister(GC_COLLECTOR)\n",
            "from pytheus import REGISTRY\n",
        ),
    ],
)
def test_imports(before: str, after: str) -> None:
    assert rewritten(before) == after


@pytest.mark.parametrize(
    "source",
    [
        'class Counter:\n    pass\nCounter("hits", documentation="x")\n',
        'from collections import Counter\nCounter("hits")\n',
        "from prometheus_client import *\nCounter('hits', documentation='x')\n",
        "import prometheus_client\nprint(prometheus_client)\n",
        "import prometheus_client\nprometheus_client.nothing\n",
        "def f(prometheus_client):\n    return prometheus_client.Counter('hits', 'x')\n",
        "from prometheus_client import generate_latest\nf = generate_latest\n",
        "from prometheus_client import Histogram\nPROMETHEUS_CLIENT_BUCKETS = 1\nHistogram('a', 'b')\n",
        "try:\n    from prometheus_client import Counter\nexcept ImportError:\n    class Counter:\n"
        "        def __init__(self, name, documentation): ...\nCounter('a', documentation='')\n",
        "from prometheus_client.core import GaugeMetricFamily\nGaugeMetricFamily('a', 'b', labels=['c'])\n",
        "from pytheus import Counter, REGISTRY\nCounter('a_total', 'A.', ['x'], registry=REGISTRY)\n",
        "x = 'prometheus_client.Counter'\n",
        "import prometheus_client\nprometheus_client.REGISTRY = 1\n",
        "",
    ],
)
def test_untouched(source: str) -> None:
    assert rewritten(source) == source


def test_a_name_that_a_function_rebinds_is_another() -> None:
    source = "from prometheus_client import Counter\ndef f(Counter):\n    Counter('a', documentation='')\n"
    assert rewritten(source) == source.replace("prometheus_client", "pytheus")


@pytest.mark.parametrize("name", KEPT)
def test_each_kept_name_has_a_remark_at_its_line(name: str) -> None:
    module, _, last = f"prometheus_client.{name}".rpartition(".") if "pytheus." not in name else name.rpartition(".")
    source = f"import os\nfrom {module} import {last}\nprint({last})\n"
    assert rewritten(source) == source
    assert subjects(source) == [(3, name)]


@pytest.mark.parametrize(
    ("source", "line", "subject"),
    [
        (
            "from prometheus_client import *\n",
            1,
            "from prometheus_client import *: its names cannot be told from others",
        ),
        ("from prometheus_client import Gauge\nGauge(*x)\n", 2, "Gauge(...) with * or ** hides its arguments"),
        (
            "from prometheus_client import Gauge\nGauge('a', '', multiprocess_mode=m)\n",
            2,
            "Gauge(...) has a multiprocess_mode that is not a literal",
        ),
        ("from prometheus_client import Gauge\nclass A(Gauge): ...\n", 2, "a subclass of Gauge"),
        (
            "from prometheus_client import Gauge\nGauge('a', '', unit=u)\n",
            2,
            "Gauge(...) has a unit that is not a literal",
        ),
        (
            "from prometheus_client import Enum\nEnum('a', '', states=['x'])\n",
            2,
            "a new StateSet is in no state, an Enum was in its first",
        ),
        ("from prometheus_client import Counter\nc = Counter('a', '')\nc.reset()\n", 3, ".reset() of a counter"),
        ("from prometheus_client import REGISTRY\nREGISTRY.get_sample_value('a')\n", 2, ".get_sample_value(...)"),
        (
            "from prometheus_client import Counter\nc = Counter('a', '')\nc.remove_by_labels({})\n",
            3,
            ".remove_by_labels(...)",
        ),
        (
            "from prometheus_client import make_wsgi_app\nmake_wsgi_app()\n",
            2,
            "process_*, python_* are not exposed by themselves",
        ),
        (
            "from prometheus_client import start_http_server\ns, t = start_http_server(1, 'a', r)\n",
            2,
            "start_http_server(...) returned a server and a thread",
        ),
        (
            "from prometheus_client import start_http_server\nstart_http_server(1, 'a', r, certfile='x')\n",
            2,
            "start_http_server(...) has certfile",
        ),
        (
            "from prometheus_client import CollectorRegistry\nCollectorRegistry(target_info={})\n",
            2,
            "CollectorRegistry(...) had target_info",
        ),
        (
            "from pytheus.registry import REGISTRY\nREGISTRY.set_registry(r)\n",
            2,
            "set_registry(...) moves the collectors",
        ),
        ("from pytheus.backends import load_backend\nload_backend()\n", 2, "pytheus.backends.load_backend"),
    ],
)
def test_remarks(source: str, line: int, subject: str) -> None:
    assert (line, subject) in subjects(source)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "if x: from prometheus_client import Counter\nc = Counter('a', '', labelnames=['b'])\n",
            "if x: from pytheus import Counter\nc = Counter('a_total', '', required_labels=['b'])\n",
        ),
        (
            "try: import os; from prometheus_client import Gauge, push_to_gateway as p; x = 1\nfinally: p(Gauge)\n",
            "try: import os; from prometheus_client import push_to_gateway as p; from pytheus import Gauge; x = 1\n"
            "finally: p(Gauge)\n",
        ),
        (
            "import prometheus_client as p\nif x: p.disable_created_metrics()\n",
            "if x: pass\n",
        ),
    ],
)
def test_statements_in_the_line_of_a_condition(before: str, after: str) -> None:
    assert rewritten(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from pytheus.exposition import PROMETHEUS_CONTENT_TYPE\nx = PROMETHEUS_CONTENT_TYPE\n",
            "from pytheus.exposition import CONTENT_TYPE\nx = CONTENT_TYPE\n",
        ),
        (
            "import pytheus.exposition\npytheus.exposition.PROMETHEUS_CONTENT_TYPE\n",
            "import pytheus.exposition\npytheus.exposition.CONTENT_TYPE\n",
        ),
        ("from pytheus.exceptions import PytheusException\n", "from pytheus.exceptions import PytheusError\n"),
        ("from pytheus.exceptions import BucketException as E\n", "from pytheus.exceptions import BucketError as E\n"),
        ("from pytheus.exceptions import LabelValidationException\n", "from pytheus.exceptions import LabelError\n"),
        ("from pytheus.exceptions import UnobservableMetricException\n", "from pytheus.exceptions import LabelError\n"),
        (
            "from pytheus.exceptions import InvalidBackendClassException\n",
            "from pytheus.exceptions import SelectionError\n",
        ),
        (
            "from pytheus.exceptions import InvalidBackendConfigException\n",
            "from pytheus.exceptions import SelectionError\n",
        ),
        (
            "from pytheus.metrics import Counter\nCounter('a_total', 'A.', ['x'], None, {'x': '1'}, r)\n",
            "from pytheus.metrics import Counter\n"
            "Counter('a_total', 'A.', ['x'], default_labels={'x': '1'}, registry=r)\n",
        ),
        (
            "from pytheus.metrics import Counter\nCounter('a_total', 'A.', ['x'], labels={'x': '1'})\n",
            "from pytheus.metrics import Counter\nCounter('a_total', 'A.', ['x'], default_labels={'x': '1'})\n",
        ),
    ],
)
def test_pytheus_0_6(before: str, after: str) -> None:
    assert rewritten(before) == after


def test_a_text_that_names_prometheus_client_has_a_remark() -> None:
    assert subjects("x = 1\npatch('prometheus_client.Counter')\n") == [(2, "the text 'prometheus_client.Counter'")]


def test_a_module_that_an_annotation_names_as_text_stays_imported() -> None:
    source = "import prometheus_client as p\n\ndef f(r: 'p.Gauge', g: p.Gauge): ...\n"
    assert rewritten(source) == (
        "import prometheus_client as p\nimport pytheus\n\ndef f(r: 'p.Gauge', g: pytheus.Gauge): ...\n"
    )
    assert subjects(source) == [(1, "p in an annotation that is a text")]


@pytest.mark.parametrize(
    ("argument", "said"), [("", True), ("REGISTRY", True), ("registry=own", False), ("own", False)]
)
def test_the_remark_on_process_metrics_is_for_the_default_registry(argument: str, said: bool) -> None:
    source = f"from prometheus_client import REGISTRY, generate_latest\ngenerate_latest({argument})\n"
    assert bool(subjects(source)) is said


def test_an_unused_import_that_stays_has_a_remark() -> None:
    source = "import os\nfrom prometheus_client import push_to_gateway\n"
    assert rewritten(source) == source
    assert subjects(source) == [(2, "push_to_gateway")]


def test_names_that_another_file_passes_on_are_rewritten_where_they_are_used() -> None:
    source = "from shop.prom import Counter\nCounter('hits', documentation='')\n"
    through = {"shop.prom.Counter": "prometheus_client.Counter"}
    assert rewritten(source, through=through) == (
        "from shop.prom import Counter\nCounter('hits_total', description='')\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from prometheus_client import Counter, Histogram as H\nH('h', '')\n",
            "from pytheus import Counter, Histogram as H\nfrom pytheus.metrics import PROMETHEUS_CLIENT_BUCKETS\n"
            "H('h', '', buckets=PROMETHEUS_CLIENT_BUCKETS)\n",
        ),
        (
            "import prometheus_client as p\np.Histogram('h', '')\nprint(p.Histogram.DEFAULT_BUCKETS)\n",
            "import pytheus\nimport pytheus.metrics\n"
            "pytheus.Histogram('h', '', buckets=pytheus.metrics.PROMETHEUS_CLIENT_BUCKETS)\n"
            'print((*pytheus.metrics.PROMETHEUS_CLIENT_BUCKETS, float("inf")))\n',
        ),
        (
            "from prometheus_client import core\ncore.Histogram('h', '')\n",
            "import pytheus\nimport pytheus.metrics\n"
            "pytheus.Histogram('h', '', buckets=pytheus.metrics.PROMETHEUS_CLIENT_BUCKETS)\n",
        ),
        (
            "from prometheus_client import Histogram\nHistogram('h', '', buckets=[1])\n",
            "from pytheus import Histogram\nHistogram('h', '', buckets=[1])\n",
        ),
    ],
)
def test_the_name_of_the_default_buckets_is_imported_where_it_is_used(before: str, after: str) -> None:
    assert rewritten(before) == after


def test_default_buckets_are_numbers_where_another_file_passes_the_class_on() -> None:
    source = "from shop.prom import Histogram\nHistogram('h', '')\n"
    through = {"shop.prom.Histogram": "prometheus_client.Histogram"}
    assert rewritten(source, through=through) == (
        f"from shop.prom import Histogram\nHistogram('h', '', buckets={OLD_BUCKETS})\n"
    )


def test_the_first_gauge_without_a_mode_has_a_remark() -> None:
    source = (
        "from prometheus_client import Gauge\nGauge('a', '', multiprocess_mode='sum')\nGauge('b', '')\nGauge('c', '')\n"
    )
    assert subjects(source) == [(3, "a gauge without multiprocess_mode had a series for each process")]


def test_families_as_annotations_follow_what_becomes_of_their_values() -> None:
    source = "from prometheus_client import Metric\ndef collect() -> list[Metric]: ...\n"
    assert rewritten(source) == "from pytheus.samples import Family\ndef collect() -> list[Family]: ...\n"
    source = (
        "from prometheus_client.core import GaugeMetricFamily as G\ndef f() -> G:\n    return G('a', 'b', labels=[])\n"
    )
    assert rewritten(source) == source
