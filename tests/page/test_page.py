"""The page in a browser: search, sort, live numbers, details, keys, colours, and many series."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge
from pytheus.registry import CollectorRegistry
from tests.page.conftest import Opener
from tests.page.reading import details, names, until, until_details
from tests.page.shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


# The list ------------------------------------------------------------------------------------------------------------


def test_every_type_is_shown_with_what_it_means(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    until(tab, "http_requests_total", "counter Requests answered. 6 33")
    until(tab, "http_request_duration_seconds", "p95 480 ms")
    until(tab, "shop_checkout_seconds", "p95")
    until(tab, "shop_queue_depth", "max 12")
    until(tab, "shop_cache_size_bytes", "3 MiB")
    until(tab, "db_query_seconds", "avg 250 ms")
    until(tab, "shop_build_info", "version=2.14.1")
    until(tab, "shop_provider", "up")
    groups = tab.run("[...document.querySelectorAll('#list .group .family-name')].map((each) => each.textContent)")
    assert groups == ["http", "shop", "other"]


def test_search_finds_names_help_labels_and_types(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    tab.press("/")
    for words, found in {
        "queue": ["shop_queue_depth"],
        "provider payment": ["shop_provider"],
        "MEMORY": ["shop_cache_size_bytes"],
        "route code": ["http_requests_total"],
        "no such thing": [],
    }.items():
        tab.run("byId('search').select()")
        tab.type(words)
        tab.wait(f"list.words.join(' ') === {json.dumps(words.lower())}")
        assert names(tab) == found, words
        assert f"{len(found)} of 8 families match" in tab.text("#matches")
    tab.wait("location.hash.includes('q=no+such+thing')")
    tab.press("Escape")
    tab.wait("list.matching.length === 8")
    tab.click('.type-filter[data-type="gauge"]')
    assert names(tab) == ["shop_cache_size_bytes", "shop_queue_depth"]


def test_sort_by_series_and_rate(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    tab.press("o")
    tab.wait("list.sort === 'series'")
    assert names(tab)[0] == "http_requests_total"
    assert tab.run("document.querySelector('[data-column=series]').ariaSort") == "descending"
    tab.click("[data-column=series] button")
    tab.wait("list.isReversed")
    assert names(tab)[-1] == "http_requests_total"
    tab.run("list.sortBy('rate')")
    tab.wait("detail.family === null && list.families.every((family) => family.reading > 1)")
    shop.queries.observe(1)
    for _ in range(20):
        shop.queries.observe(1)
    tab.wait_for(lambda: names(tab)[0] == "db_query_seconds", "the summary to be first")


def test_numbers_are_live_until_the_page_is_paused(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    until(tab, "shop_queue_depth", "max 12")
    shop.depth.labels("mail").set(99)
    until(tab, "shop_queue_depth", "max 99")
    tab.press("p")
    tab.wait("byId('pause').ariaPressed === 'true' && !poller.isBusy")
    assert "Paused" in tab.text("#state")
    shop.depth.labels("mail").set(500)
    asked = len(tab.requests)
    tab.run("await new Promise((resolve) => setTimeout(resolve, 1500))")
    assert len(tab.requests) == asked
    tab.press("p")
    until(tab, "shop_queue_depth", "max 500")


def test_a_reset_of_a_counter_is_no_negative_rate(show: Opener) -> None:
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs.", registry=registry).inc(1000)
    tab = show(registry, "#family=jobs_total")
    tab.wait("detail.family?.reading > 1")
    former = next(iter(registry.collect()))
    registry.unregister(former)
    Counter("jobs_total", "Jobs.", registry=registry).inc(5)
    tab.wait("detail.family.resets === 1")
    assert tab.run("detail.family.grown") == 5
    assert tab.run("detail.family.rate") > 0
    until_details(tab, "Resets seen 1")


# Details -------------------------------------------------------------------------------------------------------------


def test_a_histogram_has_quantiles_buckets_and_exemplars(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry, "#family=http_request_duration_seconds")
    until_details(tab, "p99 496 ms")
    assert "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))" in details(tab)
    tab.click("#tab-buckets")
    until_details(tab, "100 ms 500 ms 3 100 %")
    tab.click("#tab-exemplars")
    until_details(tab, "trace_id=4bf92f351")
    for _ in range(50):
        shop.latency.labels("/cart").observe(3)
    until_details(tab, "p50 3 s")


def test_a_native_histogram_has_both_kinds_of_buckets_where_it_has_both(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry, "#family=shop_checkout_seconds")
    tab.wait("detail.family?.sum?.native?.count === 3")
    assert "histogram_quantile(0.95, sum(rate(shop_checkout_seconds[5m])))" in details(tab)
    assert tab.run("document.querySelectorAll('.bar').length") >= 3


def test_series_are_filtered_sorted_and_looked_at_alone(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry, "#family=http_requests_total")
    tab.wait("document.querySelectorAll('#series .row').length === 6")
    tab.click("#panel input")
    tab.type("code=500 cart")
    tab.wait("detail.grid.items.length === 1")
    tab.press("Escape")
    tab.wait("detail.grid.items.length === 6")
    tab.run("document.querySelector('#series [data-column=value] button').click()")
    first = "detail.grid.items[0].label('code')"
    assert tab.run(first) == "200"
    tab.press("Escape", "Enter")
    tab.wait("detail.grid.active === -1")
    tab.press("ArrowDown", "Enter")
    tab.wait("detail.series !== null")
    assert 'rate(http_requests_total{method="GET", route="/", code="200"}[5m])' in details(tab)
    tab.press("Escape")
    tab.wait("detail.series === null")


def test_the_label_to_blame_is_named(show: Opener) -> None:
    registry = CollectorRegistry()
    counter = Counter("clicks_total", "Clicks.", ["user", "shop"], registry=registry)
    for user in range(200):
        counter.labels(f"u{user}", str(user % 2)).inc()
    tab = show(registry, "#family=clicks_total")
    tab.click("#tab-cardinality")
    until_details(tab, "Label user is what multiplies the series most: without it there would be 2 in place of 200.")
    tab.click(".value-button")
    tab.wait("detail.tab === 'series' && detail.grid.items.length < 200")


def test_the_overview_names_the_registry_failures_and_the_largest_families(show: Opener, shop: Shop) -> None:
    class Broken:
        def collect(self) -> Iterator[object]:
            raise ConnectionError("the <b>database</b> refused")

    shop.registry.register(Broken())  # type: ignore[arg-type]  # its collectors are never reached
    tab = show(shop.registry)
    until_details(tab, "1 failed collector")
    text = details(tab)
    assert "ConnectionError" in text
    assert "CollectorRegistry" in text
    assert "http_requests_total" in text


def test_exact_numbers_and_copies(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    shop.memory.set(3145729)
    until(tab, "shop_cache_size_bytes", "3 MiB")
    tab.press("x")
    until(tab, "shop_cache_size_bytes", "3145729 B")
    tab.run("navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }")
    tab.run("location.hash = '#family=shop_cache_size_bytes'")
    tab.wait("detail.family !== null")
    tab.press("c")
    tab.wait("globalThis.copied === 'shop_cache_size_bytes'")


# Keys, colours, sizes -------------------------------------------------------------------------------------------------


def test_everything_is_reached_by_keys(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    tab.wait("list.grid.items.length > 8")
    tab.press("j", "j")  # the heading of a group, and its first family
    active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.innerText ?? ''"
    assert "http_request_duration_seconds" in tab.run(active)
    tab.press("Enter")
    tab.wait("detail.family?.name === 'http_request_duration_seconds'")
    tab.press("Escape")
    tab.wait("detail.family === null")
    assert tab.run("document.activeElement.id") == "list"
    tab.press("k", "ArrowLeft")
    assert tab.run("list.closed.has('http')")
    assert "http_requests_total" not in names(tab)
    tab.press("ArrowRight", "End")
    assert "db_query_seconds" in tab.run(active)
    tab.press("?")
    tab.wait("byId('keys').open")
    tab.press("Escape")
    tab.wait("!byId('keys').open")
    tab.run("byId('home').focus()")
    reached = []
    for _ in range(60):
        reached.append(tab.run("document.activeElement.id || document.activeElement.textContent"))
        tab.press("Tab")
    assert {"pause", "interval", "exact", "theme", "help", "search", "sort", "list"} <= set(reached)


def test_the_grid_tells_all_its_rows(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    tab.wait("document.querySelectorAll('#list .row').length > 8")
    assert tab.run("document.getElementById('list').getAttribute('aria-rowcount')") == "12"
    indexes = "[...document.querySelectorAll('#list .row')].map((row) => Number(row.ariaRowIndex))"
    assert sorted(tab.run(indexes)) == [*range(2, 13)]


def test_colours_follow_the_system_and_the_switch(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = tab.run(ground)
    tab.emulate(prefers_color_scheme="dark")
    dark = tab.run(ground)
    assert light != dark
    tab.press("t")
    assert tab.run(ground) == light
    tab.press("t")
    tab.emulate(prefers_color_scheme="light")
    assert tab.run(ground) == dark
    tab.reload()
    tab.wait("page.data !== null")
    assert tab.run(ground) == dark


def test_a_narrow_screen_shows_the_list_or_the_details(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    tab.emulate(width=360, height=640)
    tab.wait("document.querySelectorAll('#list .row').length > 5")
    assert tab.run("document.documentElement.scrollWidth") <= 360
    tab.click("#list .row:not(.group)")
    tab.wait("detail.family?.reading > 1 && byId('families').clientHeight === 0")
    assert tab.run("document.documentElement.scrollWidth") <= 360
    assert tab.run("document.querySelector('#detail').scrollWidth") <= 360
    tab.run("history.back()")
    tab.wait("detail.family === null && byId('families').clientHeight > 0")
    tab.click("#home")
    until_details(tab, "Registry")


# Many series ----------------------------------------------------------------------------------------------------------


def test_of_ten_thousand_series_only_what_is_on_screen_is_elements_and_asked_for(show: Opener) -> None:
    registry = CollectorRegistry()
    for number in range(500):
        gauge = Gauge(f"part{number % 10}_depth{number}", "A depth.", ["kind"], registry=registry)
        for kind in range(20):
            gauge.labels(str(kind)).set(number + kind)
    tab = show(registry)
    until(tab, "part0_depth0", "max 19")
    assert tab.text("#matches") == "500 families, 10,000 series"
    assert tab.run("document.querySelectorAll('#list .row').length") < 60
    assert tab.run("list.families.filter((family) => family.reading).length") < 60
    assert max(map(len, tab.requests)) < 4000
    tab.run("list.grid.element.scrollTop = 1e9")
    until(tab, "part9_depth499", "max 518")


def test_of_a_large_family_the_first_series_are_read_and_that_is_told(show: Opener) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("users", "Users.", ["id"], registry=registry)
    for number in range(60_000):
        gauge.labels(str(number)).set(number)
    tab = show(registry, "#family=users")
    until_details(tab, "The first 20,000 of 60,000 series were read")
    assert tab.run("detail.grid.items.length") == 20_000
    assert tab.run("document.querySelectorAll('#series .row').length") < 80
    asked = len(tab.requests)
    tab.click(".note button")
    tab.wait("detail.family.reading === 2")
    assert len(tab.requests) > asked
