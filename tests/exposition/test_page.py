"""The page for browsers: who gets it, and what the response allows."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import subprocess
import sys
import urllib.request
import zipfile
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

import pytheus
from pytheus import Gauge, make_asgi_app, make_wsgi_app, start_http_server
from pytheus.exposition import expose
from pytheus.exposition.compression import best_coding
from pytheus.exposition.negotiation import MAX_ACCEPT_CHARACTERS, OVERVIEW_TYPE, wants_page
from pytheus.exposition.respond import answer_scrape
from pytheus.exposition.response import Response
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import Plain, fail

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

BROWSERS = {
    "Chromium": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7",
    "Chromium 80": "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.9",
    "Firefox": FIREFOX,
    "Firefox 92": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Firefox 128": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,"
    "image/svg+xml,*/*;q=0.8",
    "Safari": FIREFOX,
    "Safari 4": "application/xml,application/xhtml+xml,text/html;q=0.9,text/plain;q=0.8,image/png,*/*;q=0.5",
    "Opera 12": "text/html, application/xml;q=0.9, application/xhtml+xml, image/png, image/webp, image/jpeg, image/gif,"
    " image/x-xbitmap, */*;q=0.1",
    "by hand": "text/html",
    "in capitals": "TEXT/HTML",
    "by hand, with a charset": "text/html;charset=utf-8",
    "by hand, rather": "text/html;q=0.9, text/plain;q=0.5",
    "jQuery": "text/html, */*; q=0.01",
}
_OM = "application/openmetrics-text;version="
_PROTO = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
OTHERS = {
    "curl, wget, httpx, requests, aiohttp": "*/*",
    "urllib, Go, Zabbix": "",
    "Prometheus 3": f"{_OM}1.0.0;escaping=allow-utf-8;q=0.6,{_OM}0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Prometheus 3, protobuf": f"{_PROTO};q=0.6,{_OM}1.0.0;escaping=allow-utf-8;q=0.5,{_OM}0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
    "Prometheus 2, Grafana Agent, OpenTelemetry collector": f"{_OM}1.0.0,{_OM}0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "vmagent, netdata": "text/plain;version=0.0.4;q=1,*/*;q=0.1",
    "Datadog": f"{_OM}1.0.0,{_OM}0.0.1",
    "Datadog, text": "text/plain",
    "Telegraf": f"{_PROTO};q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
    "Metricbeat": "text/plain; version=0.0.4; charset=utf-8,*/*;q=0.1",
    "HTTPie": "application/json, */*;q=0.5",
    "axios": "application/json, text/plain, */*",
    "Spring": "text/plain, application/json, application/*+json, */*",
    "Java": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    "Java 19": "text/html, image/gif, image/jpeg, */*; q=0.2",
    # They run no scripts.
    "lynx": "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01",
    "w3m": "text/html, text/*;q=0.5, image/*, application/*",
    "Internet Explorer": "text/html, application/xhtml+xml, image/jxr, */*",
    "both alike": "text/html, text/plain",
    "anything of text": "text/*",
    "rather not": "text/html;q=0, */*",
    "less": "text/html;q=0.5, text/plain;q=0.6",
    "a quoted one": 'text/x; a=",text/html,"',
    "an endless one": "text/html" + "," * MAX_ACCEPT_CHARACTERS,
}


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def answered(response: Response) -> Got:
    return Got(response.status, dict(response.headers), response.body)


def get(registry: CollectorRegistry, accept: str, method: str = "GET", query: str = "") -> Got:
    return answered(answer_scrape(registry, method, accept=accept, query=query))


@pytest.fixture
def hostile() -> CollectorRegistry:
    registry = CollectorRegistry()
    carts = Gauge("carts", "</script><script>alert(1)</script>", ["page"], registry=registry)
    carts.labels("<img src=x onerror=alert(2)>").set(1)
    return registry


@pytest.fixture
def page(shop: CollectorRegistry) -> Got:
    return get(shop, FIREFOX)


# Who gets it ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", BROWSERS.values(), ids=BROWSERS)
def test_a_browser_gets_the_page(accept: str, shop: CollectorRegistry) -> None:
    got = get(shop, accept)
    assert (got.status, got.headers["Content-Type"], got.headers["Vary"]) == (200, HTML, "Accept, Accept-Encoding")
    assert expose(shop, accept).content_type == HTML
    assert "orders" in expose(shop, accept, page=False).body.decode()


@pytest.mark.parametrize("accept", OTHERS.values(), ids=OTHERS)
def test_another_client_does_not(accept: str, shop: CollectorRegistry) -> None:
    got = get(shop, accept)
    assert got == get(shop, accept, query="x=1")
    assert got.headers["Content-Type"] == expose(shop, accept).content_type != HTML
    assert expose(shop, accept, page=False) == expose(shop, accept)
    assert b"orders" in got.body


def test_it_is_offered_to_those_who_name_it() -> None:
    assert wants_page(OVERVIEW_TYPE)
    assert not wants_page(f"{OVERVIEW_TYPE};q=0")
    assert not wants_page("application/*")


@pytest.mark.parametrize("accept", ["application/vnd.pytheus.overview+json;q=0.5, */*", "*/*", "application/json"])
def test_the_overview_is_for_those_who_prefer_it(accept: str, shop: CollectorRegistry) -> None:
    assert get(shop, accept).headers["Content-Type"] == TEXT
    assert get(shop, OVERVIEW_TYPE).headers["Content-Type"] == OVERVIEW_TYPE


class Pages:
    """A plugin's own format for browsers, which comes before the page."""

    media_type = HTML

    def render(self, registry: object, /) -> list[bytes]:
        return [b"<p>theirs"]


class Offering(CollectorRegistry):
    exposition_formats = (Pages(),)


def test_a_format_of_a_plugin_comes_first() -> None:
    got = get(Offering(), FIREFOX)
    assert got.body == b"<p>theirs"
    assert "Content-Security-Policy" not in got.headers
    assert expose(Offering(), FIREFOX).headers == {"Content-Type": HTML, "Vary": "Accept, Accept-Encoding"}


# The response ---------------------------------------------------------------------------------------------------------


class _Elements(HTMLParser):
    """The scripts and styles of a document, and every attribute."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.attributes: list[tuple[str, str | None]] = []
        self._current = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self._current = tag

    def handle_data(self, data: str) -> None:
        if self._current in self.texts:
            self.texts[self._current].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._current = ""


def policy(got: Got) -> dict[str, list[str]]:
    directives = [directive.split() for directive in got.headers["Content-Security-Policy"].split("; ")]
    return {directive[0]: directive[1:] for directive in directives}


def test_the_policy_allows_what_is_in_the_document(page: Got) -> None:
    elements = _Elements(page.body.decode())
    allowed = policy(page)
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in elements.texts[tag]]
        assert hashes
        assert allowed.pop(directive) == hashes
    assert allowed == {
        "default-src": ["'none'"],
        "img-src": ["data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-cache"


def test_the_document_loads_and_runs_nothing_else(page: Got) -> None:
    for name, value in _Elements(page.body.decode()).attributes:
        assert not name.startswith("on"), name  # a handler
        assert name != "style"
        if name in ("src", "href", "action", "formaction", "poster", "srcset", "data"):
            assert value is not None
            assert value.startswith(("data:", "#")), value


def test_no_text_of_the_program_is_in_it(hostile: CollectorRegistry, page: Got) -> None:
    got = get(hostile, FIREFOX, query="name[]=<script>alert(3)</script>&x=%22%3E%3Cscript%3E")
    assert got == page == get(CollectorRegistry(), FIREFOX)


def test_nothing_of_the_request_is_in_it(shop: CollectorRegistry, page: Got) -> None:
    fields = {"Host": "evil.example", "Origin": "http://evil.example", "Cookie": "a=<script>"}
    with start_http_server(0, registry=shop) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", "/metrics?%3Cscript%3E=1&{script}", headers={"Accept": FIREFOX, **fields})
        response = connection.getresponse()
        body = response.read()
        connection.close()
    assert body == page.body
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]
    assert not any("evil" in value for value in response.headers.values())


def test_other_sites_may_not_read_what_it_reads(shop: CollectorRegistry) -> None:
    for accept in (FIREFOX, OVERVIEW_TYPE, _PROTO):
        assert not [name for name in get(shop, accept).headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "PUT", "DELETE", "TRACE"])
@pytest.mark.parametrize("accept", [FIREFOX, OVERVIEW_TYPE])
def test_other_methods_are_refused(method: str, accept: str, shop: CollectorRegistry) -> None:
    got = get(shop, accept, method)
    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("accept", [FIREFOX, OVERVIEW_TYPE])
@pytest.mark.parametrize(
    "query", ["name[]=" + "x" * 20_000, "&".join(f"name[]=x{n}" for n in range(200)), "name[]=" + "x" * 600]
)
def test_a_query_that_is_too_large_is_refused(accept: str, query: str, shop: CollectorRegistry) -> None:
    got = get(shop, accept, query=query)
    assert got.status == 400
    assert got.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"xxx" not in got.body


@pytest.mark.parametrize("accept", [FIREFOX, OVERVIEW_TYPE])
def test_head_has_the_same_headers(accept: str, shop: CollectorRegistry) -> None:
    head, got = get(shop, accept, "HEAD"), get(shop, accept)
    assert head.body == b""
    different = {"Content-Length"} if accept == OVERVIEW_TYPE else set[str]()  # the process is older
    assert {key: value for key, value in head.headers.items() if key not in different} == {
        key: value for key, value in got.headers.items() if key not in different
    }


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_it_is_compressed(coding: str, shop: CollectorRegistry, page: Got) -> None:
    if best_coding(coding) != coding:
        pytest.skip(f"{coding} is not available")
    got = answered(answer_scrape(shop, "GET", accept=FIREFOX, accept_encoding=coding))
    assert got.headers["Content-Encoding"] == coding
    assert len(got.body) < len(page.body)
    if coding == "gzip":
        assert gzip.decompress(got.body) == page.body


def test_it_is_small(shop: CollectorRegistry) -> None:
    got = answered(answer_scrape(shop, "GET", accept=FIREFOX, accept_encoding="gzip"))
    assert len(got.body) <= 60_000


def test_a_registry_that_fails_has_a_page() -> None:
    got = answered(answer_scrape(Plain(fail), "GET", accept=FIREFOX))
    assert (got.status, got.headers["Content-Type"]) == (200, HTML)
    assert answer_scrape(Plain(fail), "GET", accept=OVERVIEW_TYPE).status == 500


def test_the_exposition_of_a_route_has_all_headers(shop: CollectorRegistry, page: Got) -> None:
    exposition = expose(shop, FIREFOX)
    body, content_type, content_encoding = exposition
    assert (body, content_type, content_encoding) == (page.body, HTML, "")
    assert {**exposition.headers, "Content-Length": str(len(body))} == page.headers


# Wherever metrics are mounted -----------------------------------------------------------------------------------------


def from_server(registry: CollectorRegistry, page: bool) -> Got:
    with start_http_server(0, registry=registry, page=page) as server:
        request = urllib.request.Request(server.url, headers={"Accept": FIREFOX})
        with urllib.request.urlopen(request, timeout=30) as response:
            return Got(response.status, dict(response.headers), response.read())


def from_wsgi(registry: CollectorRegistry, page: bool) -> Got:
    told: list[Got] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[..., object]:
        told.append(Got(int(status[:3]), dict(headers), b""))
        return lambda *_: None

    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": FIREFOX}
    body = b"".join(make_wsgi_app(registry, page=page)(environ, start_response))
    return told[0]._replace(body=body)


def from_asgi(registry: CollectorRegistry, page: bool) -> Got:
    messages: list[Mapping[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, object]) -> None:
        messages.append(message)

    scope: dict[str, object] = {"type": "http", "method": "GET", "headers": [(b"accept", FIREFOX.encode())]}
    asyncio.run(make_asgi_app(registry, page=page)(scope, receive, send))  # type: ignore[arg-type]  # a Mapping will do
    start, *bodies = messages
    headers = start["headers"]
    assert isinstance(headers, list)
    found = {name.decode().title(): value.decode() for name, value in headers}
    status = start["status"]
    assert isinstance(status, int)
    parts = [message["body"] for message in bodies]
    return Got(status, found, b"".join(part for part in parts if isinstance(part, bytes)))


@pytest.mark.parametrize("mounted", [from_server, from_wsgi, from_asgi])
def test_each_application_has_it_unless_it_is_switched_off(
    mounted: Callable[[CollectorRegistry, bool], Got], shop: CollectorRegistry, page: Got
) -> None:
    got = mounted(shop, True)
    assert got.body == page.body
    assert page.headers.items() <= got.headers.items()
    off = mounted(shop, False)
    assert off.headers["Content-Type"] == TEXT
    assert b"shop_orders_total 1.0" in off.body
    assert "Content-Security-Policy" not in off.headers


# What it costs --------------------------------------------------------------------------------------------------------

_SCRAPES = """
import sys
from pytheus.exposition.respond import answer_scrape
from pytheus.registry import CollectorRegistry

for accept in {accepts}:
    answer_scrape(CollectorRegistry(), "GET", accept=accept)
print(sorted(name for name in sys.modules if name.startswith("pytheus.exposition.page")))
"""


def _modules_of_page(accepts: list[str]) -> str:
    command = [sys.executable, "-P", "-c", _SCRAPES.format(accepts=accepts)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.once
def test_scrapes_import_nothing_of_it() -> None:
    scrapers = [accept for accept in OTHERS.values() if not wants_page(accept)]
    assert OTHERS["Java"] in scrapers
    assert _modules_of_page(scrapers) == "[]\n"
    assert "pytheus.exposition.page.document" in _modules_of_page([FIREFOX])


_IN_A_ZIP = """
import sys
sys.path.insert(0, sys.argv[1])
import pytheus
from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry

assert pytheus.__file__.startswith(sys.argv[1]), pytheus.__file__
print(expose(CollectorRegistry(), "text/html").body.decode(), end="")
"""


@pytest.mark.once
def test_it_can_be_read_from_a_zip_file(tmp_path: Path, page: Got) -> None:
    archive = tmp_path / "pytheus.zip"
    package = Path(pytheus.__file__).parent
    with zipfile.ZipFile(archive, "w") as file:
        for path in package.rglob("*"):
            if path.suffix in (".py", ".html", ".css", ".js"):
                file.write(path, Path("pytheus", path.relative_to(package)))
    command = [sys.executable, "-P", "-c", _IN_A_ZIP, str(archive)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout.encode() == page.body, ended.stderr


def test_the_overview_is_json(shop: CollectorRegistry) -> None:
    got = get(shop, OVERVIEW_TYPE)
    assert json.loads(got.body)["families"][0]["name"] == "shop_orders_total"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert got.headers["Cache-Control"] == "no-store"
