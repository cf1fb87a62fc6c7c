"""A small web shop that measures itself: products, baskets, checkout.

    pytheus run examples/shop/app.py --port 8000

This program does not know how the metrics are served or which registry keeps them; `pytheus run` decides that.
Prices are multiples of a quarter, and durations of 2**-20 seconds (about a microsecond). A double holds such numbers
and their sums exactly, so load.py can compare every sum with its own, to the last bit, in any order of requests.
"""

from __future__ import annotations

import argparse
import socket
from time import perf_counter
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pytheus import Counter, Gauge, Histogram

ORDERS = Counter(
    "orders_total",
    "Orders placed, by the result of the payment.",
    ["status"],
    labels_from={"status": ["paid", "declined"]},
)
REVENUE = Counter("revenue_euros_total", "Money taken, in euros.")
SOLD = Counter("products_sold_total", "Products sold.", ["product"])
BASKET_ITEMS = Histogram("basket_items", "Items in a basket when it is paid.", buckets=[1, 2, 3, 5, 8])
OPEN_BASKETS = Gauge("baskets_open", "Baskets that are neither paid nor abandoned.")
REQUEST_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to the start of its response.",
    ["method", "route", "code"],
    buckets=[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1],
)
REQUESTS_IN_PROGRESS = Gauge("http_requests_in_progress", "Requests in progress.")

PRICES_EUROS = {"tea": 4.5, "coffee": 7.25, "biscuits": 2.25, "cup": 12.0, "teapot": 30.75}

Basket = dict[str, int]
"""How many of each product."""

baskets: dict[str, Basket] = {}


class Measured:
    """Measures each HTTP request that `app` answers, by the template of its route, and sends the client the result.

    The header is https://www.w3.org/TR/server-timing/ with the duration in milliseconds.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = perf_counter()

        async def measured_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = round((perf_counter() - start) * 2**20) / 2**20
                # The template ("/baskets/{basket}"), because the path itself would make a series for every basket.
                route = scope["route"].path if "route" in scope else "none"
                series = REQUEST_DURATION.labels(method=scope["method"], route=route, code=str(message["status"]))
                series.observe(seconds)
                message["headers"] = [*message["headers"], (b"server-timing", b"app;dur=%r" % (seconds * 1000))]
            await send(message)

        with REQUESTS_IN_PROGRESS.track_inprogress():
            await self.app(scope, receive, measured_send)


def refusal(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)


async def list_products(request: Request) -> Response:
    return JSONResponse(PRICES_EUROS)


async def open_basket(request: Request) -> Response:
    name = uuid4().hex
    baskets[name] = {}
    OPEN_BASKETS.inc()
    return JSONResponse({"basket": name}, 201)


async def show_basket(request: Request) -> Response:
    basket = baskets.get(request.path_params["basket"])
    return refusal(404, "no such basket") if basket is None else JSONResponse(basket)


async def abandon_basket(request: Request) -> Response:
    if baskets.pop(request.path_params["basket"], None) is None:
        return refusal(404, "no such basket")
    OPEN_BASKETS.dec()
    return Response(status_code=204)


async def add_item(request: Request) -> Response:
    order = await request.json()
    # Looked up after the only await, so that the basket cannot be paid in between.
    basket = baskets.get(request.path_params["basket"])
    if basket is None:
        return refusal(404, "no such basket")
    product, quantity = order["product"], order["quantity"]
    if product not in PRICES_EUROS:
        return refusal(404, "no such product")
    if not isinstance(quantity, int) or not 1 <= quantity <= 100:
        return refusal(422, "quantity must be a whole number from 1 to 100")
    basket[product] = basket.get(product, 0) + quantity
    return JSONResponse(basket)


async def check_out(request: Request) -> Response:
    card = (await request.json())["card"]
    name = request.path_params["basket"]
    basket = baskets.get(name)
    if basket is None:
        return refusal(404, "no such basket")
    if not basket:
        return refusal(409, "the basket is empty")
    if card.endswith("0000"):
        ORDERS.labels(status="declined").inc()
        return refusal(402, "the card was declined")
    total = sum(PRICES_EUROS[product] * quantity for product, quantity in basket.items())
    del baskets[name]
    ORDERS.labels(status="paid").inc()
    REVENUE.inc(total)
    for product, quantity in basket.items():
        SOLD.labels(product=product).inc(quantity)
    BASKET_ITEMS.observe(sum(basket.values()))
    OPEN_BASKETS.dec()
    return JSONResponse({"total_euros": total})


app = Measured(
    Starlette(
        routes=[
            Route("/products", list_products),
            Route("/baskets", open_basket, methods=["POST"]),
            Route("/baskets/{basket}", show_basket),
            Route("/baskets/{basket}", abandon_basket, methods=["DELETE"]),
            Route("/baskets/{basket}/items", add_item, methods=["POST"]),
            Route("/baskets/{basket}/checkout", check_out, methods=["POST"]),
        ]
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description="A small web shop that measures itself.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    arguments = parser.parse_args()
    listener = socket.create_server((arguments.host, arguments.port))
    print(f"shop: serving at http://{arguments.host}:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
