"""The metrics of prometheus_client in a registry of pytheus.

Rules:

- Each collector of the other registry is collected alone, and each of its families is converted alone. One that fails
  is left out, logged, and counted in `pytheus_collector_errors_total`; the others are exposed.
- A name that a collector of pytheus exposes is left out (`HasPrecedence`). So the collectors of the process and of
  Python give way to those of `pytheus.collectors`.
- No lock of prometheus_client is taken, because its registry calls ``collect()`` while it holds its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client import Metric as TheirFamily

from pytheus.exceptions import CollectorError, ConflictError, NotACollectorError
from pytheus.interruption import is_interruption
from pytheus.metrics import CustomCollector, Metric
from pytheus.registry import Registry, report_failed_series
from pytheus.samples import Family
from pytheus_prometheus_client.families import families_of, merged
from pytheus_prometheus_client.loops import collecting, is_loop

__all__ = ["PeerCollector", "TheirCollector", "target_family", "their_collectors"]


class TheirCollector(Protocol):
    """A collector or registry of prometheus_client: an object whose `collect()` returns its families."""

    def collect(self) -> Iterable[TheirFamily]: ...


class PeerCollector(CustomCollector):
    """A collector of pytheus with the metrics of a registry, or of one collector, of prometheus_client.

    `peer` is a registry, a restricted registry or a single collector of prometheus_client. `name` is its name in
    messages and in `pytheus_collector_errors_total`.

        >>> import prometheus_client
        >>> from pytheus import generate_metrics
        >>> from pytheus.registry import CollectorRegistry
        >>> theirs, ours = prometheus_client.CollectorRegistry(), CollectorRegistry()
        >>> prometheus_client.Gauge("depth", "Depth.", registry=theirs).set(3)
        >>> ours.register(PeerCollector(theirs))
        >>> print(generate_metrics(ours), end="")
        # HELP depth Depth.
        # TYPE depth gauge
        depth 3.0

    The numbers are those of this process, also in a registry of several processes; `install` adds those of all up. A
    name that pytheus exposes itself is left out. May be called from any thread. Raises `NotACollectorError` if `peer`
    cannot be collected.
    """

    precedence: Final = -1

    def __init__(self, peer: TheirCollector, *, name: str | None = None) -> None:
        if isinstance(peer, type) or not callable(getattr(peer, "collect", None)):
            raise NotACollectorError(
                f"PeerCollector takes a registry or collector of prometheus_client but got {peer!r:.80}"
            )
        given: object = peer
        if isinstance(given, (CustomCollector, Metric, Registry)):
            raise NotACollectorError(
                f"PeerCollector takes a registry or collector of prometheus_client but got {type(peer).__qualname__},"
                " which is of pytheus; register it in the registry of pytheus, or use PytheusCollector to expose a"
                " registry of pytheus in prometheus_client"
            )
        self.peer: Final = peer
        self.name: str = name or ("prometheus_client" if _holds(peer) is not None else type(peer).__qualname__)

    def collect(self) -> Iterator[Family]:
        """Return the current families; those that fail are left out and reported."""
        if is_loop(self, their_collectors(self.peer)):
            return iter(())
        families: list[Family] = []
        errors: list[BaseException] = []
        with collecting(self):
            for collect in _collects(self.peer):
                try:
                    for metric in collect():
                        self._convert(metric, families, errors)
                except BaseException as error:
                    if is_interruption(error):
                        raise
                    errors.append(error)
        kept = _without_conflicts(merged(families), errors)
        if errors:
            self._report(errors)
        return iter(kept)

    def _convert(self, metric: TheirFamily, families: list[Family], errors: list[BaseException]) -> None:
        try:
            families += families_of(metric)
        except Exception as error:
            shown = getattr(metric, "name", metric)
            named = CollectorError(
                f"{shown!r:.80} of prometheus_client cannot be exposed: {error!r}", collector=self.name
            )
            named.__cause__ = error
            errors.append(named)

    def _report(self, errors: list[BaseException]) -> None:
        message = f"{len(errors)} parts of prometheus_client cannot be exposed"
        error = errors[0] if len(errors) == 1 else BaseExceptionGroup(message, errors)
        # Outside a scrape, such as in a test that calls collect(), the error is the caller's.
        if not report_failed_series(self, (), error):
            raise error

    def __repr__(self) -> str:
        return f"PeerCollector({self.peer!r})"


def _without_conflicts(families: list[Family], errors: list[BaseException]) -> list[Family]:
    taken: dict[str, Family] = {}
    kept: list[Family] = []
    for family in families:
        names = family.occupied_names
        holder = next((taken[name] for name in names if name in taken), None)
        if holder is None:
            taken.update(dict.fromkeys(names, family))
            kept.append(family)
        else:
            message = f"{family} of prometheus_client would expose a name of {holder} a second time; rename one"
            errors.append(ConflictError(message, name=family.name, incumbent=holder))
    return kept


def their_collectors(peer: object) -> list[object]:
    """Return the collectors that `peer`, a registry or collector of prometheus_client, reads; without a lock."""
    held = _holds(peer)
    if held is not None:
        return list(held)
    below: object = getattr(peer, "_registry", None)  # of a restricted registry
    return [peer] if below is None else [peer, *their_collectors(below)]


def _holds(peer: object) -> dict[TheirCollector, object] | None:
    held: object = getattr(peer, "_collector_to_names", None)
    return held if isinstance(held, dict) else None


def _collects(peer: TheirCollector) -> Iterator[Callable[[], Iterable[TheirFamily]]]:
    """Return a function for each collector of `peer`, which returns its families."""
    held = _holds(peer)
    # A derived class may collect in a way of its own.
    if held is None or type(peer).collect is not CollectorRegistry.collect:
        yield peer.collect
        return
    target: object = getattr(peer, "_target_info", None)
    if isinstance(target, dict) and target:
        yield lambda: [target_family(target)]
    for collector in list(held):  # one step, so that a registration at the same time does no harm
        yield collector.collect


def target_family(labels: dict[str, str]) -> TheirFamily:
    """Return the family that a registry of prometheus_client with these labels shows of itself."""
    metric = TheirFamily("target", "Target metadata", "info")
    metric.add_sample("target_info", labels, 1)
    return metric
