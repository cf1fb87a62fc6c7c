"""Sends the shop a counted load from several clients at once, and prints its counts.

    python examples/shop/load.py http://127.0.0.1:8000 --metrics http://127.0.0.1:9464/metrics

It counts by itself, from the responses, and knows only the parts of the shop that a client can see. With --metrics it
scrapes the shop afterwards and compares each series with its own counts; the exit status says whether they agree. The
shop must not have served another client since its start. The same --seed makes the same requests.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

BASKET_BUCKETS = (1.0, 2.0, 3.0, 5.0, 8.0, float("inf"))
DURATION_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, float("inf"))
PRODUCTS = ("tea", "coffee", "biscuits", "cup", "teapot")
TIMEOUT_SECONDS = 60


class Series(NamedTuple):
    """A series' name, its labels in alphabetical order, and the value that it should have."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float

    def __str__(self) -> str:
        labels = ",".join(f'{label}="{value}"' for label, value in self.labels)
        return f"{self.name}{{{labels}}}" if labels else self.name


class Books:
    """The counts of the clients."""

    def __init__(self) -> None:
        self.durations_seconds: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
        """The durations that the shop reports, by method, route and status code."""
        self.orders: Counter[str] = Counter(paid=0, declined=0)
        self.revenue_euros = 0.0
        self.sold: Counter[str] = Counter()
        self.basket_items: list[int] = []
        self.opened = 0
        self.abandoned = 0

    def add(self, other: Books) -> None:
        for request, durations in other.durations_seconds.items():
            self.durations_seconds[request] += durations
        self.orders.update(other.orders)
        self.revenue_euros += other.revenue_euros
        self.sold.update(other.sold)
        self.basket_items += other.basket_items
        self.opened += other.opened
        self.abandoned += other.abandoned

    def series(self) -> Iterator[Series]:
        """Every series that the shop should expose now."""
        for status, count in sorted(self.orders.items()):
            yield Series("orders_total", (("status", status),), count)
        yield Series("revenue_euros_total", (), self.revenue_euros)
        for product, count in sorted(self.sold.items()):
            yield Series("products_sold_total", (("product", product),), count)
        yield Series("baskets_open", (), self.opened - self.abandoned - len(self.basket_items))
        yield from _histogram("basket_items", {}, self.basket_items, BASKET_BUCKETS)
        for (method, route, code), durations in sorted(self.durations_seconds.items()):
            labels = {"method": method, "route": route, "code": code}
            yield from _histogram("http_request_duration_seconds", labels, durations, DURATION_BUCKETS)


def _histogram(
    name: str, labels: dict[str, str], observed: Sequence[float], bounds: Sequence[float]
) -> Iterator[Series]:
    for bound in bounds:
        yield _series(f"{name}_bucket", labels | {"le": repr(bound)}, sum(value <= bound for value in observed))
    yield _series(f"{name}_sum", labels, sum(observed))
    yield _series(f"{name}_count", labels, len(observed))


def _series(name: str, labels: dict[str, str], value: float) -> Series:
    # "1", "1.0" and "+Inf", "inf" are the same bounds.
    if "le" in labels:
        labels = labels | {"le": repr(float(labels["le"]))}
    return Series(name, tuple(sorted(labels.items())), float(value))


class Client:
    """One customer after the other, on one connection, each with a basket of their own."""

    def __init__(self, address: str, choices: random.Random) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
        self.choices = choices
        self.books = Books()

    def call(self, method: str, route: str, basket: str = "", body: object = None) -> tuple[int, bytes]:
        """Send a request and enter it in the books. `route` is a path with ``{basket}`` for the basket's name."""
        path = route.replace("{basket}", basket)
        self.connection.request(method, path, None if body is None else json.dumps(body))
        with self.connection.getresponse() as response:
            answer = response.read()
            timing = re.fullmatch(r"app;dur=(\S+)", response.headers["server-timing"] or "")
            if timing is None:
                raise RuntimeError(f"{method} {path}: the shop did not say how long it took")
            known = "none" if route == "/nowhere" else route
            # Exact, although it is divided: the shop rounds to multiples of 2**-20 seconds.
            self.books.durations_seconds[method, known, str(response.status)].append(float(timing[1]) / 1000)
            return response.status, answer

    def visit(self) -> None:
        """One customer: looks around, fills a basket, and pays, walks away or gives up."""
        choices, books = self.choices, self.books
        prices = json.loads(self.call("GET", "/products")[1])
        if choices.random() < 0.05:
            self.call("GET", "/nowhere")
        basket = json.loads(self.call("POST", "/baskets")[1])["basket"]
        books.opened += 1
        if choices.random() < 0.05:
            self.call("POST", "/baskets/{basket}/checkout", basket, {"card": "4242"})
            return  # with nothing in it: the basket stays open
        wanted: Counter[str] = Counter()
        for product in choices.sample(PRODUCTS, choices.randint(1, 4)):
            quantity = choices.randint(1, 3)
            self.call("POST", "/baskets/{basket}/items", basket, {"product": product, "quantity": quantity})
            wanted[product] += quantity
        if choices.random() < 0.1:
            self.call("POST", "/baskets/{basket}/items", basket, {"product": "samovar", "quantity": 1})
        if choices.random() < 0.3:
            self.call("GET", "/baskets/{basket}", basket)
        if choices.random() < 0.1:
            self.call("DELETE", "/baskets/{basket}", basket)
            books.abandoned += 1
            return
        if choices.random() < 0.15:
            self.pay(basket, card="0000")
        answer = self.pay(basket, card="4242")
        total = sum(prices[product] * quantity for product, quantity in wanted.items())
        if json.loads(answer) != {"total_euros": total}:
            raise RuntimeError(f"a basket worth {total} euros was answered with {answer!r}")
        books.revenue_euros += total
        books.sold.update(wanted)
        books.basket_items.append(wanted.total())

    def pay(self, basket: str, *, card: str) -> bytes:
        status, answer = self.call("POST", "/baskets/{basket}/checkout", basket, {"card": card})
        self.books.orders["paid" if status == 200 else "declined"] += 1
        return answer


def send_load(url: str, *, clients: int, orders: int, seed: int) -> Books:
    """Have `clients` clients serve `orders` customers each, at once, and give the books of them all."""
    address = urlsplit(url).netloc

    def work(number: int) -> Books:
        client = Client(address, random.Random(f"{seed}/{number}"))
        with closing(client.connection):
            for _ in range(orders):
                client.visit()
        return client.books

    books = Books()
    with ThreadPoolExecutor(clients) as pool:
        for each in pool.map(work, range(clients)):
            books.add(each)
    return books


_LINE = re.compile(r"(?P<name>[^{ ]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def scrape(url: str) -> dict[str, tuple[float, str]]:
    """Each series that `url` exposes, with its value and its line. A parser for such labels as the shop's, no more."""
    with urlopen(url, timeout=TIMEOUT_SECONDS) as response:
        text = response.read().decode()
    found = {}
    for line in text.splitlines():
        if not line.startswith("#") and (match := _LINE.fullmatch(line)):
            series = _series(match["name"], dict(_LABEL.findall(match["labels"] or "")), float(match["value"]))
            found[str(series)] = (series.value, line)
    return found


def show(books: Books) -> None:
    print("\nload generator\n")
    print(f"{'requests':<52}{'count':>8}{'seconds':>12}")
    total = 0
    for (method, route, code), durations in sorted(books.durations_seconds.items()):
        print(f"  {f'{method} {route} -> {code}':<50}{len(durations):>8}{sum(durations):>12.6f}")
        total += len(durations)
    print(f"  {'all':<50}{total:>8}")
    facts: list[tuple[str, float]] = [
        ("orders paid", books.orders["paid"]),
        ("orders declined", books.orders["declined"]),
        ("revenue in euros", books.revenue_euros),
        ("baskets opened", books.opened),
        ("baskets abandoned", books.abandoned),
        ("baskets left open", books.opened - books.abandoned - len(books.basket_items)),
        ("items sold", books.sold.total()),
        *((f"  {product}", count) for product, count in sorted(books.sold.items())),
    ]
    print()
    for label, value in facts:
        print(f"{label:<52}{value:>8g}" if value < 1e5 else f"{label:<48}{value:>12}")


def compare(books: Books, url: str) -> bool:
    """Print the line of /metrics for each expected series; returns whether all exist and agree.

    Buckets of durations that agree are only counted, because there are many.
    """
    print(f"\n{url}\n")
    found = scrape(url)
    agreeing = not_shown = 0
    expected_series = list(books.series())
    for expected in expected_series:
        value, line = found.get(str(expected), (None, f"{expected} is missing"))
        if value != expected.value:
            print(f"! {line}    <- should be {expected.value!r}")
            continue
        agreeing += 1
        if expected.name == "http_request_duration_seconds_bucket":
            not_shown += 1
        else:
            print(f"  {line}")
    print(f"  and {not_shown} buckets of http_request_duration_seconds")
    print(f"\n{agreeing} of {len(expected_series)} series agree")
    return agreeing == len(expected_series)


def main() -> int:
    parser = argparse.ArgumentParser(description="Sends the shop a counted load, and prints its counts.")
    parser.add_argument("url", help="where the shop is, as in http://127.0.0.1:8000")
    parser.add_argument("--clients", type=int, default=4, help="how many at once")
    parser.add_argument("--orders", type=int, default=50, help="customers for each client")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--metrics", metavar="URL", help="where the shop's metrics are, to compare")
    parser.add_argument("--json", action="store_true", help="print the series that the shop should expose, as JSON")
    arguments = parser.parse_args()
    books = send_load(arguments.url, clients=arguments.clients, orders=arguments.orders, seed=arguments.seed)
    if arguments.json:
        series = [{"name": each.name, "labels": dict(each.labels), "value": each.value} for each in books.series()]
        print(json.dumps({"series": series}, indent=1))
        return 0
    show(books)
    return 0 if arguments.metrics is None or compare(books, arguments.metrics) else 1


if __name__ == "__main__":
    sys.exit(main())
