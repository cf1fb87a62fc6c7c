"""No text of the program, of the server or of the address becomes markup, and none reaches another address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from bench.chromium import Tab
from pytheus import Counter, Gauge, Histogram, Info, StateSet
from pytheus.registry import CollectorRegistry
from pytheus.samples import Exemplar, Family, Sample
from tests.page.conftest import Opener
from tests.page.reading import details, until_details

CORPUS = (
    "<script>globalThis.attacked = 1</script>",
    "<img src=x onerror=globalThis.attacked=1>",
    "</script><script>globalThis.attacked=1</script>",
    "<svg onload=globalThis.attacked=1><a xlink:href='javascript:attacked=1'>x</a></svg>",
    "\"><iframe srcdoc='<script>parent.attacked=1</script>'></iframe>",
    "javascript:globalThis.attacked=1",
    "' onmouseover='globalThis.attacked=1",
    "<style>*{background:url(http://attacker.example/)}</style>",
    "<base href=http://attacker.example/><form action=/x><button>b</button></form>",
    "<!--<img src='--><img src=x onerror=attacked=1>",
    "{{constructor.constructor('attacked=1')()}} ${attacked=1} %3Cscript%3E",
    "\u202e\u2066\u0000\ufeff\u2028\u2029 right to left",
    "__proto__",
    "&lt;script&gt; &#x3c;script&#x3e; <\u017fcript>",
    "x" * 5000 + "<b>",
    "🙂" * 300,
)

FOREIGN = (
    "script:not(body > script), img, iframe, object, embed, base, link:not([rel=icon]), form:not(#tools),"
    " style:not(head > style), #detail a, #list a, #detail b, #list b"
)


OPEN_ALL = """
(() => {
  let shown = 0;
  for (const family of [...list.families]) {
    openFamily(family);
    if (family.series[0]) detail.select(family.series[0]);
    for (const tab of document.querySelectorAll("[role=tab]")) {
      detail.openTab(tab.id.slice(4));
      shown++;
      const foreign = document.querySelector(FOREIGN);
      if (foreign) throw new Error(`${family.name} becomes ${foreign.outerHTML}`);
    }
  }
  return shown;
})()
"""


def make_hostile() -> CollectorRegistry:
    registry = CollectorRegistry()
    for number, text in enumerate(CORPUS):
        name = f"n{number} {text}"[:200].replace("\x00", "")
        gauge = Gauge(f"{name} gauge", text, [f"label {text[:80]}"], names="utf8", registry=registry)
        gauge.labels(text).set(number)
        gauge.labels("other").set(number)
        counter = Counter(f"c{number}_total", text, ["value"], registry=registry)
        counter.labels(text).inc(1, exemplar={"trace": text[:60]})
        Histogram(f"h{number}", text, ["value"], registry=registry).labels(text).observe(1)
        Info(f"i{number}", text, registry=registry).info({"fact": text})
        StateSet(f"s{number}", text, states=[text, "other"], registry=registry).state(text)

    class Custom:
        def collect(self) -> Iterator[Family]:
            for number, text in enumerate(CORPUS):
                sample = Sample("", {"value": text}, 1.0)
                yield Family(f"custom{number}", "gauge", text, [sample])

    class Broken:
        def collect(self) -> Iterator[Family]:
            raise ValueError(CORPUS[1])

    Broken.__name__ = Broken.__qualname__ = CORPUS[0]
    registry.register(Custom())
    registry.register(Broken())
    return registry


def check(tab: Tab) -> None:
    assert tab.run("globalThis.attacked ?? null") is None
    assert tab.run(f"[...document.querySelectorAll({json.dumps(FOREIGN)})].map((each) => each.outerHTML)") == []
    attributes = "[...document.querySelectorAll('*')].flatMap((each) => each.getAttributeNames())"
    assert tab.run(f"{attributes}.filter((name) => name.startsWith('on'))") == []


def test_no_text_of_a_program_becomes_markup(show: Opener) -> None:
    tab = show(make_hostile())
    until_details(tab, "1 failed collector")
    assert CORPUS[1] in details(tab)
    check(tab)
    count = tab.run("list.families.length")
    assert count == 6 * len(CORPUS) + 1
    # All families are read for this order.
    tab.run("list.sortBy('rate')")
    tab.wait("list.families.every((family) => family.reading || !isSelectable(family))")
    shown = tab.run(OPEN_ALL.replace("FOREIGN", json.dumps(FOREIGN)))
    assert shown > 2 * count
    for text in CORPUS:
        tab.run(f"setSearch({json.dumps(text[:30])})")
    check(tab)


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
def test_no_address_becomes_markup(show: Opener, text: str) -> None:
    shown = quote(text[:1000].encode("utf-8"))
    tab = show(CollectorRegistry(), f"#family={shown}&q={shown}&sort={shown}")
    until_details(tab, "There is no family")
    check(tab)
    tab.run(f"location.hash = {json.dumps('#' + text[:200])}")
    check(tab)


def test_no_error_or_address_of_the_registry_becomes_markup(show: Opener) -> None:
    tab = show(CollectorRegistry())
    for text in CORPUS:
        hostile = {
            "registry": {"name": text, "address": text, "source": text, "distribution": text, "version": text},
            "plugins": {"named": [text], "blocked": {text: text}},
            "problems": [text],
            "warnings": [text],
            "options": {text: {"value": text, "source": text}},
            text[:50]: text,
            "version": text,
            "python": text,
            "pid": text,
            "uptime_seconds": text,
            "families": [
                {
                    "name": text,
                    "type": text,
                    "unit": text,
                    "help": text,
                    "series": text,
                    "labels": [text],
                    "values": text,
                },
                {"name": text + "2", "type": text, "labels": text},
                {"name": 3},
                text,
                None,
            ],
            "processes": [{"id": text, "state": text, "pid": text, "age": text, text[:30]: text}, text],
            "failed": [{"collector": text, "error": text, "count": text, "at": text}, None],
        }
        tab.run(f"await takeOverview({json.dumps(hostile)})")
        tab.run("showFamily(list.families[0])")
        tab.run("showFamily(null)")
        tab.run(f"showState({{error: new SourceError('status', {json.dumps(text)}), retryAt: 0, took: 0}})")
        check(tab)
    odd = ("{}", "[]", '{"families": 3, "processes": "x", "registry": "y"}', '{"families": [[]], "plugins": "p"}')
    for each in odd:
        tab.run(f"await takeOverview({each})")
    check(tab)


def test_exemplars_and_native_buckets_of_a_collector_of_its_own(show: Opener) -> None:
    class Custom:
        def collect(self) -> Iterator[Family]:
            exemplar = Exemplar({"trace_id": CORPUS[0]}, 0.5, None)
            yield Family("jobs_total", "counter", "Jobs.", [Sample("", {}, 1.0, exemplar=exemplar)])

    registry = CollectorRegistry()
    registry.register(Custom())
    tab = show(registry, "#family=jobs_total")
    tab.click("#tab-exemplars")
    until_details(tab, CORPUS[0])
    check(tab)


def test_the_policy_stops_what_would_get_past(show: Opener) -> None:
    tab = show(CollectorRegistry())
    with pytest.raises(Exception, match="TrustedHTML"):
        tab.run("document.body.innerHTML = '<b>x</b>'")
    with pytest.raises(Exception, match=r"TrustedScript|unsafe-eval"):
        tab.run("setTimeout('attacked = 1')")
    tab.run("document.body.append(Object.assign(document.createElement('img'), {src: 'http://attacker.example/x'}))")
    tab.run("fetch('http://attacker.example/').catch(() => undefined)")
    tab.run("document.querySelector('img').remove()")
    assert tab.run("globalThis.attacked ?? null") is None
    tab.wait_for(lambda: len(tab.errors) >= 2, "the violations of the policy")
    assert all(
        "violates" in error or "Content Security Policy" in error or "Trusted" in error for error in tab.errors
    ), tab.errors
    tab.errors.clear()
    tab.requests[:] = [url for url in tab.requests if "attacker.example" not in url]
