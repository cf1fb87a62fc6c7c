"""What a scrape is answered, whatever carries it."""

from __future__ import annotations

import gzip
import logging

import pytest

from pytheus import Counter
from pytheus.exceptions import NotARegistryError
from pytheus.exposition.respond import answer_scrape, answer_text, servable
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy
from tests.exposition.conftest import Plain, add_queues, fail


def small() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders placed.", registry=registry).inc(3)
    return registry


def large() -> CollectorRegistry:
    registry = CollectorRegistry()
    add_queues(registry)
    return registry


def test_get_gives_the_metrics() -> None:
    response = answer_scrape(small(), "GET")

    assert (response.status, response.phrase) == (200, "OK")
    assert b"\norders_total 3.0\n" in response.body
    assert ("Content-Type", "text/plain; version=0.0.4; charset=utf-8") in response.headers
    assert ("Content-Length", str(len(response.body))) in response.headers


def test_head_gives_the_headers_of_get_and_no_body() -> None:
    registry = small()

    assert answer_scrape(registry, "HEAD").headers == answer_scrape(registry, "GET").headers
    assert answer_scrape(registry, "HEAD").body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_refused_and_told_what_is_allowed(method: str) -> None:
    response = answer_scrape(small(), method)

    assert response.status == 405
    assert ("Allow", "GET, HEAD") in response.headers


def test_a_registry_that_raises_is_a_500_without_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "pytheus.exposition"):
        response = answer_scrape(Plain(fail), "GET")

    assert response.status == 500
    assert b"secret" not in response.body
    assert b"Traceback" not in response.body
    assert "redis://:secret@store is down" in caplog.text


def test_a_large_body_is_compressed_for_who_takes_gzip() -> None:
    registry = large()
    plain = answer_scrape(registry, "GET").body

    response = answer_scrape(registry, "GET", accept_encoding="gzip")

    assert ("Content-Encoding", "gzip") in response.headers
    assert ("Content-Length", str(len(response.body))) in response.headers
    assert len(response.body) < len(plain) / 4
    assert gzip.decompress(response.body) == plain


def test_a_small_body_is_not_worth_it() -> None:
    assert "Content-Encoding" not in dict(answer_scrape(small(), "GET", accept_encoding="gzip").headers)


@pytest.mark.parametrize("accept_encoding", ["", "gzip"])
def test_caches_are_told_that_the_body_varies(accept_encoding: str) -> None:
    assert ("Vary", "Accept, Accept-Encoding") in answer_scrape(large(), "GET", accept_encoding=accept_encoding).headers


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5, br;q=1.0", True),
        ("gzip ; q=0.001", True),
        ("gzip;Q=1.000", True),
        ("*", True),
        ("*;q=0.2", True),
        ("gzip, identity", True),
        ("identity;q=0.5, gzip", True),
        ("", False),
        ("br", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=2", False),
        ("gzip;q=nonsense", False),
        ("gzip;level=9", False),
        ("gzipped", False),
        (",;,q=1;", False),
    ],
)
def test_weights_decide_about_compression(accept_encoding: str, compressed: bool) -> None:
    response = answer_scrape(large(), "GET", accept_encoding=accept_encoding)

    assert ("Content-Encoding" in dict(response.headers)) is compressed


def test_a_text_that_utf8_cannot_carry_is_still_answered() -> None:
    assert answer_text("GET", 400, "lone \ud800 surrogate").body == b"lone ? surrogate"


def test_an_empty_registry_is_a_registry() -> None:
    registry = CollectorRegistry()

    assert servable(registry) is registry
    assert answer_scrape(registry, "GET").body == b""


def test_what_is_no_registry_is_refused() -> None:
    with pytest.raises(NotARegistryError, match="'prefix' is missing"):
        servable(object())  # type: ignore[arg-type]  # the error under test


def test_an_unresolved_proxy_stays_so() -> None:
    proxy = CollectorRegistryProxy()

    assert servable(proxy) is proxy
    assert "not resolved yet" in repr(proxy)
