"""One scrape of a registry, the same for every exposition format.

Rules:

- Of a registry only the protocol is used. Its prefix is read once and applied to every family.
- A collector is encoded as a whole or not at all: if it raises, or yields something that cannot be exposed, it is left
  out and all others are exposed. The failure is logged once and counted in `pytheus_collector_errors_total`. It may
  raise anything; `pytheus.interruption` tells which errors end the program instead.
- A series that a collector leaves out alone, such as that of a gauge whose function raises, is logged and counted in
  the same way (`FailedSeries`).
- A client may ask for families by name (`RenderRequest`). Collectors with other names are not called. The families of a
  custom collector, whose names are not known before, are left out after it was called.
- No name is exposed twice. Collectors whose names are known before the scrape claim theirs first, before the families
  of custom collectors. Those with a precedence come last, and leave out each family that is exposed already.

A format is an `Encoder`. It encodes some collectors by itself, such as those with `HasRows`; from all others it gets
checked families.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from pytheus.definitions import Definition
from pytheus.exceptions import CollectorError, ConflictError
from pytheus.exposition.checked import CheckedFamily, checked_family
from pytheus.exposition.failures import described, failures_of, record_failure
from pytheus.exposition.formats import RenderRequest
from pytheus.interruption import is_interruption
from pytheus.metrics.metric import Metric
from pytheus.names import RESERVED_NAMES, prefix_lead
from pytheus.registry.capabilities import precedence_of
from pytheus.registry.contract import Collector, Registry, check_registry, collector_name
from pytheus.registry.proxy import CollectorRegistryProxy
from pytheus.registry.traversal import FailedSeries, definition_of, flatten

__all__ = ["Encoder", "Walk", "keep_memory", "scrape"]

C = TypeVar("C", contravariant=True)
P = TypeVar("P", covariant=True)
Part = TypeVar("Part")


_ALL: Final = RenderRequest()


class Encoder(Protocol[C, P]):
    """An exposition format: encodes collectors and families.

    `C` is the capability of the collectors that it encodes as a whole, and `P` the type of its parts, str or bytes.
    `lead` comes before the name in the definition: "", or the registry's prefix and "_". Each method may raise: the
    collector is left out then.
    """

    def supports(self, collector: Collector, /) -> bool:
        """Return whether `collector` has the capability.

        Called once per class. Every `Metric` must have it.
        """
        ...

    def encode_collector(self, collector: C, definition: Definition, lead: str, /) -> Iterable[P]:
        """Encode the whole family of a collector with the capability."""
        ...

    def encode_family(self, family: CheckedFamily, /) -> P:
        """Encode one family of another collector, whose names are as they are to be exposed."""
        ...

    def encode_end(self) -> Iterable[P]:
        """Return the parts after the last family."""
        ...


class Walk(Generic[C, Part]):
    """One scrape under way: the collectors of `registry`, which one thread or several encode.

    It is made within a block of `FailedSeries`, because a registry of several processes calls the functions of gauges.
    Raises `NotARegistryError` if `registry` is not a registry, `CollectorError` if it raises an error that is not an
    `Exception`, and any `Exception` of its `prefix` or `collect()`.
    """

    __slots__ = (
        "_claimed",
        "_distinct",
        "_encoded",
        "_encoder",
        "_lead",
        "_request",
        "_registry",
        "collectors",
        "definitions",
    )

    def __init__(self, registry: Registry, encoder: Encoder[C, Part], request: RenderRequest = _ALL) -> None:
        try:
            lead = prefix_lead(registry.prefix)
            collected = list(registry.collect())
        except (AttributeError, TypeError):
            # Checked only after an error, so that a valid registry costs nothing.
            if not isinstance(registry, CollectorRegistryProxy):
                check_registry(registry, "generate_metrics(...)")
            raise
        except BaseException as error:
            if isinstance(error, Exception) or is_interruption(error):
                raise
            name = collector_name(registry)
            raise CollectorError(f"the registry {name!r} raised {described(error)}", collector=name) from error
        # The definition of each collector that the encoder supports. All are read before any collector is encoded.
        supported: dict[type, bool] = {}
        definitions: list[Definition | None] = []
        collectors: list[Collector] = []
        last: list[tuple[int, Collector]] = []
        has_filter = len(request.names) > 0
        for collector in collected:
            if not isinstance(collector, Metric):  # which every encoder supports, as `Encoder.supports` says
                kind = type(collector)
                supports = supported.get(kind)
                if supports is None:
                    supports = supported[kind] = _supports(encoder, collector)
                if not supports:
                    precedence = precedence_of(collector)
                    if precedence is not None:
                        last.append((precedence, collector))
                    else:
                        collectors.append(collector)
                        definitions.append(None)
                    continue
            definition = definition_of(collector)
            if has_filter and definition is not None and not request.wants(lead + definition.name, definition.type):
                continue
            collectors.append(collector)
            definitions.append(definition)
        # Fast path: all names are distinct, so owners need not be tracked.
        owned = [definition.occupied_names for definition in definitions if definition is not None]
        distinct = len({*RESERVED_NAMES}.union(*owned)) == len(RESERVED_NAMES) + sum(map(len, owned))
        claimed = {} if distinct and len(owned) == len(collected) else _claims(definitions)
        if last:
            last.sort(key=lambda ranked: -ranked[0])  # stable, so that of equals the first registered comes first
            collectors += [collector for _, collector in last]
            definitions += [None] * len(last)
        self.collectors: Final = collectors
        self.definitions: Final = definitions
        self._registry: Final = registry
        self._encoder: Final = encoder
        self._lead: Final = lead
        self._request: Final = request
        self._distinct: Final = distinct
        self._claimed: Final = claimed
        self._encoded: Final[set[int]] = set()

    def encode(
        self,
        steps: Iterable[tuple[Collector, Definition | None]],
        parts: list[Part],
        failed: FailedSeries,
        *,
        strict: bool = False,
    ) -> None:
        """Append the parts of each collector in `steps`, which come from `collectors` and `definitions`.

        `failed` is the block of this thread, with the series that failed in it so far. With `strict`, the first
        collector that fails raises `CollectorError`; otherwise it is left out and counted. May be called from several
        threads at once, with different collectors.
        """
        encoder = self._encoder
        # Any, because a cast is a call; `definition` tells that the collector has the capability.
        encode_collector: Callable[[Any, Definition, str], Iterable[Part]] = encoder.encode_collector
        lead = self._lead
        claimed = self._claimed
        distinct = self._distinct
        encoded = self._encoded
        if failed.found:
            earlier = failed.first()
            failed.found.clear()
            for collector, error in earlier:
                self._leave_out(collector, error, "a series of collector", strict)
        for collector, definition in steps:
            try:
                if definition is None:
                    parts += _encode_custom(encoder, collector, lead, claimed, self._request)
                elif distinct:
                    parts += encode_collector(collector, definition, lead)
                else:
                    _check_claims(claimed, definition.occupied_names, definition)
                    if id(definition) not in encoded:
                        encoded.add(id(definition))
                        parts += encode_collector(collector, definition, lead)
            except BaseException as error:
                if is_interruption(error):
                    raise
                failed.found.clear()
                self._leave_out(collector, error, "collector", strict)
            if failed.found:
                first = failed.found[0][2]
                failed.found.clear()
                self._leave_out(collector, first, "a series of collector", strict)

    def _leave_out(self, collector: Collector, error: BaseException, subject: str, strict: bool) -> None:
        if strict:
            name = collector_name(collector)
            raise CollectorError(f"{subject} {name!r} failed: {described(error)}", collector=name) from error
        record_failure(self._registry, collector, error, subject)

    def encode_end(self) -> list[Part]:
        """Return the last parts: the count of failed collectors, if one has failed, and the format's own end."""
        parts: list[Part] = []
        failures = failures_of(self._registry)
        if failures is not None:
            definition = failures.counter.definition
            if self._request.wants(self._lead + definition.name, definition.type):
                parts += self._encoder.encode_collector(cast(C, failures.counter), definition, self._lead)
        parts += self._encoder.encode_end()
        return parts


def scrape(
    registry: Registry, encoder: Encoder[C, Part], request: RenderRequest = _ALL, *, strict: bool = False
) -> list[Part]:
    """Return the exposition of `registry` in parts, in the order of its collectors; those with a precedence come last.

    Raises the errors of `Walk` and `Walk.encode`. May be called from any thread, by several at once.
    """
    parts: list[Part] = []
    with FailedSeries() as failed:
        walk = Walk(registry, encoder, request)
        walk.encode(zip(walk.collectors, walk.definitions, strict=True), parts, failed, strict=strict)
    parts += walk.encode_end()
    return parts


# Smaller scrapes fit in what glibc keeps by itself.
_SMALL_BELOW: Final = 32 * 1024

# Its pages are never touched. Twice as much stays at most: enough for texts of two megabytes, of 30,000 series or so.
_BLOCK_BYTES: Final = 4 * 1024 * 1024

_is_memory_kept = False


def keep_memory(size: int) -> None:
    """Have glibc keep the memory of scrapes for the next ones, if one has `size` bytes; up to 8 megabytes.

    The first large scrape decides for the process and its children. May be called from any thread.

    A scrape takes some times the memory of its text and frees it again. glibc returns free memory at the end of its
    heap to the system as soon as there are 128 kilobytes of it, and gets it back page by page, which takes longer than
    writing the text: 1,000 unchanged histograms took 1.6 ms instead of 0.5. It keeps twice as much as the largest block
    that it has mapped and freed, so one large block, freed unused, is enough. Other allocators are not affected.
    https://www.man7.org/linux/man-pages/man3/mallopt.3.html, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD
    """
    global _is_memory_kept
    if size >= _SMALL_BELOW and not _is_memory_kept:
        _is_memory_kept = True
        bytes(_BLOCK_BYTES)


def _supports(encoder: Encoder[C, Part], collector: Collector) -> bool:
    try:
        return encoder.supports(collector) and definition_of(collector) is not None
    except BaseException as error:
        if is_interruption(error):
            raise
        return False  # isinstance executes properties on Python 3.11, and they may raise


def _claims(definitions: list[Definition | None]) -> dict[str, object]:
    """Return the first definition that occupies each name.

    Handles on one metric share their definition.
    """
    claimed: dict[str, object] = dict.fromkeys(RESERVED_NAMES, "the count of failed collectors")
    for definition in definitions:
        for name in definition.occupied_names if definition is not None else ():
            claimed.setdefault(name, definition)
    return claimed


def _encode_custom(
    encoder: Encoder[C, Part],
    collector: Collector,
    lead: str,
    claimed: dict[str, object],
    request: RenderRequest,
) -> list[Part]:
    parts: list[Part] = []
    taken: dict[str, object] = {}
    gives_way = precedence_of(collector) is not None
    for part in flatten(collector, Metric):
        family = part.definition if isinstance(part, Metric) else part
        names = family.occupied_names
        if not request.wants(lead + family.name, family.type) or (gives_way and not claimed.keys().isdisjoint(names)):
            continue
        claimant = _Claimant(part)
        _check_claims(claimed, names, claimant)
        _check_claims(taken, names, claimant)
        taken.update(dict.fromkeys(names, claimant))
        if isinstance(part, Metric):
            parts += encoder.encode_collector(cast(C, part), part.definition, lead)
        else:
            parts.append(encoder.encode_family(checked_family(part, lead, request.escaping)))
    _claim(claimed, taken)
    return parts


class _Claimant:
    """A family that a custom collector yields; equal to no other, even if it yields the same object twice."""

    __slots__ = ("part",)

    def __init__(self, part: object) -> None:
        self.part: Final = part

    def __str__(self) -> str:
        return str(self.part)


def _claim(claimed: dict[str, object], taken: dict[str, object]) -> None:
    """Claim the names in `taken`, all or none; another thread may claim names at the same time."""
    for name, claimant in taken.items():
        if claimed.setdefault(name, claimant) is not claimant:
            for other, owner in taken.items():
                if claimed.get(other) is owner:
                    del claimed[other]
            _check_claims(claimed, (name,), claimant)


def _check_claims(claimed: dict[str, object], names: tuple[str, ...], claimant: object) -> None:
    for name in names:
        holder = claimed.get(name, claimant)
        if holder is not claimant:
            raise ConflictError(
                f"{claimant} would expose the name {name!r} a second time, beside {holder}; give it another name",
                name=name,
                incumbent=holder,
            )
