"""A shop's registry with every type of metric."""

from __future__ import annotations

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.metrics import NativeBuckets
from pytheus.registry import CollectorRegistry

__all__ = ["Shop"]


class Shop:
    """Metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Counter("http_requests_total", "Requests answered.", ["method", "route", "code"], registry=own)
        self.latency = Histogram(
            "http_request_duration_seconds", "Time of a request.", ["route"], buckets=[0.1, 0.5, 1, 5], registry=own
        )
        self.checkout = Histogram("shop_checkout_seconds", "Time of a checkout.", native=NativeBuckets(), registry=own)
        self.depth = Gauge("shop_queue_depth", "Jobs that wait.", ["queue"], registry=own)
        self.memory = Gauge("shop_cache_size_bytes", "Memory of the cache.", registry=own)
        self.queries = Summary("db_query_seconds", "Time of queries.", registry=own)
        self.build = Info("shop_build", "The build that runs.", registry=own)
        self.provider = StateSet("shop_provider", "The payment provider.", states=["up", "down"], registry=own)
        for route in "/", "/cart", "/login":
            for code in "200", "500":
                self.requests.labels("GET", route, code).inc(10 if code == "200" else 1)
            self.latency.labels(route).observe(0.3, exemplar={"trace_id": f"4bf92f35{len(route)}"})
        self.checkout.observe_many([0.2, 0.4, 0.8])
        self.depth.labels("mail").set(7)
        self.depth.labels("export").set(12)
        self.memory.set(3 * 2**20)
        self.queries.observe(0.25)
        self.build.info({"version": "2.14.1"})
        self.provider.state("up")
