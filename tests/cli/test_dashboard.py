"""``pytheus dashboard``: its targets, its files, and what it refuses."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import pytest

from pytheus import REGISTRY, Counter
from pytheus.exposition import start_http_server
from pytheus.registry import CollectorRegistry
from tests.cli.conftest import Files, Pytheus

METRICS = """
from pytheus import Counter
from pytheus.registry import CollectorRegistry

Counter("orders_total", "Orders.", ["result"])
own = CollectorRegistry(prefix="own")
Counter("visits_total", "Visits.", registry=own)


def make():
    return own


something = object()
"""


@pytest.fixture(autouse=True)
def default_registry() -> Iterator[None]:
    with REGISTRY.use(CollectorRegistry()):
        yield


def titles(path: Path) -> list[str]:
    dashboard: Any = json.loads(path.read_text("utf-8"))
    return [panel["title"] for panel in dashboard["panels"]]


@pytest.mark.parametrize("target", ["counted", "counted.py"])
def test_a_module_has_the_metrics_of_the_default_registry_and_of_the_process(
    target: str, pytheus: Pytheus, files: Files, home: Path
) -> None:
    files({"counted.py": METRICS})
    ended = pytheus("dashboard", target)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[:2] == ["counted-dashboard.json: written", "counted-rules.yml: written"]
    shown = titles(home / "counted-dashboard.json")
    assert "orders_total, per second" in shown
    assert "process_open_fds, share of process_max_fds" in shown
    assert 'job="counted"' in (home / "counted-rules.yml").read_text("utf-8")


@pytest.mark.parametrize("target", ["counted:own", "counted:make", "counted.py:own"])
def test_an_object_is_a_registry_or_returns_one(target: str, pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"counted.py": METRICS})
    ended = pytheus("dashboard", target)
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "1 family of metrics for the job 'counted'")
    assert titles(home / "counted-dashboard.json") == ["Application", "own_visits_total, per second"]


def test_a_second_run_writes_nothing(pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"counted.py": METRICS})
    pytheus("dashboard", "counted:own")
    before = {path: path.stat() for path in home.iterdir()}
    ended = pytheus("dashboard", "counted:own")
    assert ended.out.splitlines()[:2] == ["counted-dashboard.json: unchanged", "counted-rules.yml: unchanged"]
    assert {path: path.stat().st_mtime_ns for path in before} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }


def test_a_url_is_scraped(pytheus: Pytheus, home: Path) -> None:
    registry = CollectorRegistry()
    Counter("shop.visits_total", "Visits.", ["http.route"], names="utf8", registry=registry).labels("/").inc()
    server = start_http_server(0, registry=registry)
    try:
        ended = pytheus(
            "dashboard", f"http://127.0.0.1:{server.port}/metrics", "--app", "shop", "--output", "made/here"
        )
    finally:
        server.close()
    assert (ended.code, ended.err) == (0, "")
    dashboard: Any = json.loads((home / "made/here/shop-dashboard.json").read_text("utf-8"))
    assert dashboard["panels"][1]["targets"][0]["expr"].startswith('sum by ("http.route") (rate({"shop.visits_total",')


def test_credentials_of_a_url_are_sent_as_basic_authentication(pytheus: Pytheus, home: Path) -> None:
    seen: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.append(f"{environ['PATH_INFO']} {environ['HTTP_AUTHORIZATION']}")
        start_response("200 OK", [("Content-Type", "text/plain; version=0.0.4")])
        return [b"# TYPE hits_total counter\nhits_total 1\n"]

    with make_server("127.0.0.1", 0, application) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert pytheus("dashboard", f"http://me:a%2Fb@127.0.0.1:{server.server_port}", "--app", "shop").code == 0
        thread.join()
    assert seen == [f"/metrics Basic {b64encode(b'me:a/b').decode()}"]


@pytest.mark.parametrize(
    "text", ["# TYPE hits_total counter\nhits_total 1\n", "# TYPE hits counter\nhits_total 1\n# EOF\n"]
)
def test_a_file_is_the_text_of_a_scrape_in_either_format(text: str, pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"scrape.txt": text})
    assert pytheus("dashboard", "scrape.txt").code == 0
    assert titles(home / "scrape-dashboard.json") == ["Application", "hits_total, per second"]


def test_thresholds_are_options(pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"scrape.txt": "# TYPE q gauge\nq 1\n# TYPE q_max gauge\nq_max 1\n"})
    assert pytheus("dashboard", "scrape.txt", "--saturation", "0.5").code == 0
    assert "> 0.5'" in (home / "scrape-rules.yml").read_text("utf-8")


@pytest.mark.parametrize("app", ["../../up", "a/b", "..", "ä b", "-x"])
def test_files_stay_in_their_folder_whatever_the_name(app: str, pytheus: Pytheus, files: Files, home: Path) -> None:
    files({"scrape.txt": "# TYPE hits_total counter\nhits_total 1\n"})
    assert pytheus("dashboard", "scrape.txt", f"--app={app}", "--output", "out").code == 0
    assert len(list((home / "out").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "'missing' cannot be imported: ModuleNotFoundError"),
        (["counted:absent"], "has no 'absent'"),
        (["counted:something"], "'counted:something' gave object"),
        (["empty.py:registry"], "'empty.py:registry' has no metrics"),
        (["page.html"], "page.html is not an exposition: line 1"),
        (["http://127.0.0.1:1/"], "add --app NAME"),
        (["http://127.0.0.1:1/", "--app", "a"], "the endpoint at http://127.0.0.1:1 cannot be reached"),
        (["http://me:secret@127.0.0.1:x/", "--app", "a"], "the URL of the endpoint does not have the form"),
        (
            ["http://me:secret@127.0.0.1:1/", "--app", "a"],
            "endpoint at http://me:***@127.0.0.1:1 cannot be reached",
        ),
        (["ftp://127.0.0.1/", "--app", "a"], "the URL of the endpoint begins with http:// or https://"),
        (["counted", "--latency", "0"], "--latency"),
        (["counted", "--error-ratio", "5"], "--error-ratio"),
        (["counted", "--output", "page.html"], "'page.html' is a file"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_cannot_be_carried_out_is_one_line(
    arguments: list[str], message: str, pytheus: Pytheus, files: Files, home: Path
) -> None:
    empty = "from pytheus.registry import CollectorRegistry\nregistry = CollectorRegistry()\n"
    files({"counted.py": METRICS, "empty.py": empty, "page.html": "<html>\n"})
    before = sorted(home.iterdir())
    ended = pytheus("dashboard", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert "secret" not in ended.err
    assert sorted(path for path in home.iterdir() if path.name != "__pycache__") == before
