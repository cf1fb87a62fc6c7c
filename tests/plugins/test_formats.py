"""Formats that plugins bring."""

from __future__ import annotations

import gzip
import urllib.request

import pytest

from pytheus import REGISTRY, CollectorRegistry, Counter, make_asgi_app, make_wsgi_app, start_http_server
from pytheus.compose import prefixed
from pytheus.exceptions import PluginLoadError
from pytheus.exposition.respond import answer_scrape
from pytheus.plugins import configure, resolve_registry
from pytheus.registry import CollectorRegistryProxy, Registry
from tests.plugins.conftest import Site, refused

FORMATS = """
class Names:
    media_type = "text/x-names; version=2"

    def render(self, registry):
        for collector in registry.collect():
            yield f"{registry.prefix} {collector.name}\\n".encode()


class Broken:
    media_type = "text/x-broken"

    def render(self, registry):
        yield b"half"
        raise OSError("no ink")


@hookimpl
def pytheus_exposition_formats():
    return [Names(), Broken()]
"""


@pytest.fixture
def formats(site: Site) -> None:
    site.active("formats", FORMATS)


@pytest.fixture
def registry(formats: None) -> Registry:
    registry = resolve_registry()
    Counter("jobs_total", "Jobs.", registry=registry)
    return registry


def test_a_client_that_asks_for_it_gets_it(registry: Registry) -> None:
    response = answer_scrape(registry, "GET", accept="text/x-names")
    assert response.status == 200
    assert dict(response.headers) == {
        "Content-Type": "text/x-names; version=2",
        "Vary": "Accept, Accept-Encoding",
        "Content-Length": "16",
    }
    assert response.body == b"None jobs_total\n"


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain, text/x-names", "text/x-names;q=0.2,text/plain;q=0.3", "image/png"]
)
def test_text_is_the_default_and_the_fallback(accept: str, registry: Registry) -> None:
    response = answer_scrape(registry, "GET", accept=accept)
    assert ("Content-Type", "text/plain; version=0.0.4; charset=utf-8") in response.headers
    assert ("Vary", "Accept, Accept-Encoding") in response.headers
    assert b"jobs_total 0.0" in response.body


def test_a_format_that_raises_is_a_500_and_the_others_serve_on(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    response = answer_scrape(registry, "GET", accept="text/x-broken")
    assert response.status == 500
    assert b"ink" not in response.body
    assert "no ink" in caplog.text
    assert answer_scrape(registry, "GET", accept="text/x-names").status == 200
    assert answer_scrape(registry, "GET").status == 200


@pytest.mark.parametrize("part", ["'text'", "5", "None"])
def test_a_format_that_gives_no_bytes_is_a_500(part: str, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.active("formats", FORMATS.replace('b"half"', part).replace('raise OSError("no ink")', ""))
    assert answer_scrape(resolve_registry(), "GET", accept="text/x-broken").status == 500
    assert "which is not bytes" in caplog.text


def test_head_gives_the_headers_of_get(registry: Registry) -> None:
    head = answer_scrape(registry, "HEAD", accept="text/x-names")
    assert head.headers == answer_scrape(registry, "GET", accept="text/x-names").headers
    assert head.body == b""


def test_it_is_compressed_as_text_is(registry: Registry) -> None:
    for number in range(200):
        Counter(f"jobs_{number}_total", "Jobs.", registry=registry)
    response = answer_scrape(registry, "GET", accept="text/x-names", accept_encoding="gzip")
    assert ("Content-Encoding", "gzip") in response.headers
    assert gzip.decompress(response.body).count(b"\n") == 201


def test_it_renders_the_registry_that_is_scraped(registry: Registry) -> None:
    response = answer_scrape(prefixed(registry, "app"), "GET", accept="text/x-names")
    assert response.body == b"app jobs_total\n"


def test_the_first_scrape_of_a_proxy_knows_it_already(formats: None) -> None:
    proxy = CollectorRegistryProxy()
    response = answer_scrape(proxy, "GET", accept="text/x-names")
    assert ("Content-Type", "text/x-names; version=2") in response.headers


def test_another_registry_offers_none_of_it(registry: Registry) -> None:
    response = answer_scrape(CollectorRegistry(), "GET", accept="text/x-names")
    assert ("Content-Type", "text/plain; version=0.0.4; charset=utf-8") in response.headers
    assert ("Vary", "Accept, Accept-Encoding") in response.headers


def test_the_applications_and_the_server_hand_accept_on(formats: None, serving: Registry) -> None:
    import asyncio

    configure("default")
    Counter("jobs_total", "Jobs.")
    expected = b"None jobs_total\n"

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
        return None

    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": "text/x-names"}
    assert expected in b"".join(make_wsgi_app()(environ, start_response))  # type: ignore[arg-type]  # no write() here

    sent: list[bytes] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "headers": [(b"accept", b"text/x-names")]}
    asyncio.run(make_asgi_app()(scope, receive, send))  # type: ignore[arg-type]  # a plain dict serves as well
    assert expected in b"".join(sent)

    with start_http_server(0, registry=REGISTRY) as server:
        request = urllib.request.Request(server.url, headers={"Accept": "text/x-names"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert expected in answer.read()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "return [3]",
            "returned 3, which is not an ExpositionFormat: an object (not a class) with a media_type such as",
        ),
        ("return [Names]", "which is not an ExpositionFormat"),
        ("names = Names()\n    names.media_type = 'nothing'\n    return [names]", "which is not an ExpositionFormat"),
        ("names = Names()\n    names.media_type = 3\n    return [names]", "which is not an ExpositionFormat"),
        ("return 3", "raised TypeError: 'int' object is not iterable"),
        ("raise OSError('no ink')", "raised OSError: no ink"),
    ],
)
def test_what_is_no_format_stops_the_choice(body: str, words: str, site: Site) -> None:
    hook = "\n@hookimpl\ndef pytheus_exposition_formats():\n    " + body + "\n"
    site.active("formats", FORMATS.partition("@hookimpl")[0] + hook)
    message = str(refused(PluginLoadError, None))
    assert message.startswith("plugin 'formats' ('formats' in PYTHEUS_PLUGINS) could not provide its formats: ")
    assert words in message


def test_a_plugin_that_has_none_to_offer_puts_nothing_before_the_registry(site: Site) -> None:
    site.active("formats", "@hookimpl\ndef pytheus_exposition_formats(): return []")
    assert type(resolve_registry()) is CollectorRegistry
