"""Exposition formats: their protocols, the request that they get, and the formats that registries offer.

A scrape can use the formats of all registries that it reaches, the outermost first, beside those of
`pytheus.exposition.standard`; `pytheus.exposition.negotiation` chooses one.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeAlias, cast, runtime_checkable

from pytheus.escaping import Escaping, escape_name
from pytheus.kinds import MetricType
from pytheus.names import occupied_names
from pytheus.registry.contract import Registry
from pytheus.registry.traversal import walk

__all__ = [
    "AnyFormat",
    "ExpositionFormat",
    "HasContentType",
    "NegotiatedFormat",
    "OffersFormats",
    "RenderRequest",
    "content_type_of",
    "formats_of",
    "headers_of",
    "render",
]


class RenderRequest(NamedTuple):
    """The wishes of a client besides the format.

    `escaping` is how names are written that are not legacy names. `names` are the families to expose, by the names that
    the registry exposes, with its prefix; empty exposes all. `timeout_seconds` is how long the client waits, or None if
    it waits without a limit; of several clients that share a collection, it is that of the first. Immutable.

        >>> RenderRequest(names=frozenset({"shop_orders_total"})).escaping
        'underscores'

    https://prometheus.io/docs/instrumenting/escaping_schemes/
    """

    escaping: Escaping = "underscores"
    names: frozenset[str] = frozenset()
    timeout_seconds: float | None = None

    def wants(self, name: str, type_: MetricType) -> bool:
        """Return whether the family `name`, which includes the prefix, is to be exposed.

        It is selected by each name that it has in some format, as it is and as `escaping` writes it.
        """
        names = self.names
        if not names:
            return True
        own = occupied_names(name, type_)
        if not names.isdisjoint(own):
            return True
        escaping = self.escaping
        return escaping != "allow-utf-8" and not names.isdisjoint([escape_name(each, escaping) for each in own])


@runtime_checkable
class ExpositionFormat(Protocol):
    """A format that encodes the metrics of any registry as bytes.

    >>> class Names:
    ...     media_type = "text/x-names; charset=utf-8"
    ...
    ...     def render(self, registry):
    ...         for collector in registry.collect():
    ...             yield f"{collector.name}\\\\n".encode()
    >>> isinstance(Names(), ExpositionFormat)
    True

    A `NegotiatedFormat` also gets the request of the client.
    """

    @property
    def media_type(self) -> str:
        """The media type with parameters, for ``Accept`` and ``Content-Type``.

        Never changes.
        """
        ...

    def render(self, registry: Registry, /) -> Iterable[bytes]:
        """Return the whole exposition of `registry`, in parts of any size, in order.

        Uses only the protocol of the registry, with fallbacks for optional capabilities, and omits collectors that
        fail. `registry` has only the families that the client selected. Called once per scrape, from any thread, by
        several at once. May block, which delays the scrape. May raise: the client gets status 500, and the error is
        logged.
        """
        ...


@runtime_checkable
class NegotiatedFormat(Protocol):
    """An `ExpositionFormat` whose `render` gets the request of the client.

    >>> class Names:
    ...     media_type = "text/x-names; charset=utf-8"
    ...
    ...     def render(self, registry, request):
    ...         yield f"{request.escaping}\\\\n".encode()
    >>> isinstance(Names(), NegotiatedFormat)
    True

    It may be a `HasContentType`, too. At run time the parameters of `render` distinguish the two protocols; they are
    read once for each format.
    """

    @property
    def media_type(self) -> str:
        """The media type with parameters, for ``Accept``. Never changes."""
        ...

    def render(self, registry: Registry, request: RenderRequest, /) -> Iterable[bytes]:
        """Return the exposition of `registry` as `request` asks for it; see `ExpositionFormat.render`.

        `registry` has only the families in ``request.names``, so the format need not select them.
        """
        ...


AnyFormat: TypeAlias = ExpositionFormat | NegotiatedFormat
"""A format with either kind of `render`."""


@runtime_checkable
class HasContentType(Protocol):
    """A format whose ``Content-Type`` depends on the request.

    Fallback: `media_type`.

        >>> class Names:
        ...     def content_type(self, request):
        ...         return f"text/x-names; escaping={request.escaping}"
        >>> isinstance(Names(), HasContentType)
        True
    """

    def content_type(self, request: RenderRequest, /) -> str:
        """Return the value of ``Content-Type`` for the exposition of `request`. Must not raise, and does not block."""
        ...


@runtime_checkable
class OffersFormats(Protocol):
    """A registry or wrapper that offers formats for itself and those above it.

    Fallback: the formats that are always available.

        >>> class Offering:
        ...     exposition_formats = ()
        >>> isinstance(Offering(), OffersFormats)
        True
    """

    @property
    def exposition_formats(self) -> tuple[AnyFormat, ...]:
        """The formats, the preferred one first. Read at each scrape; does not block."""
        ...


def formats_of(registry: Registry) -> list[AnyFormat]:
    """Return the formats that the registries of a scrape of `registry` offer.

    Resolves proxies.
    """
    formats: list[AnyFormat] = []
    for current in walk(registry, resolve=True):
        if isinstance(current, OffersFormats):
            formats += current.exposition_formats
    return formats


def content_type_of(chosen: AnyFormat, request: RenderRequest) -> str:
    """Return the value of ``Content-Type`` for the exposition of `request` in the format `chosen`."""
    return chosen.content_type(request) if isinstance(chosen, HasContentType) else chosen.media_type


def headers_of(chosen: AnyFormat) -> tuple[tuple[str, str], ...]:
    """Return further header fields of a response in the format `chosen`, which those of the page have."""
    return getattr(chosen, "response_headers", ())


def render(chosen: AnyFormat, registry: Registry, request: RenderRequest) -> list[bytes]:
    """Return the exposition of `registry` in the format `chosen` of a registry, in parts.

    Raises the errors of the format, and `TypeError` if a part is not bytes.
    """
    if request.names:
        registry = _selection(registry, request)
    parts: list[bytes] = []
    if _takes_request(chosen):
        given = cast(NegotiatedFormat, chosen).render(registry, request)
    else:
        given = cast(ExpositionFormat, chosen).render(registry)
    for part in given:
        candidate: object = part
        if not isinstance(candidate, bytes):
            raise TypeError(f"the format {chosen.media_type!r} returned the part {candidate!r:.40}, which is not bytes")
        parts.append(candidate)
    return parts


def _selection(registry: Registry, request: RenderRequest) -> Registry:
    from pytheus.compose import filtered

    # Not by its parameter `names`, which refuses texts that no family can be called by.
    return filtered(registry, predicate=lambda head: request.wants(head.name, head.type))


# By id, because a format need not be hashable. An entry is removed with its format; a format that cannot be weakly
# referenced is asked each time.
_taking: dict[int, tuple[object, bool]] = {}


def _takes_request(chosen: AnyFormat) -> bool:
    """Return whether `render` of a format has a second parameter."""
    key = id(chosen)
    known = _taking.get(key)
    if known is not None:
        return known[1]
    takes = _accepts_two(chosen.render)
    import weakref

    try:
        _taking[key] = (weakref.ref(chosen, lambda _: _taking.pop(key, None)), takes)
    except TypeError:
        pass
    return takes


def _accepts_two(function: Callable[..., object]) -> bool:
    import inspect

    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):  # ValueError: a function of an extension without a signature
        return False
    return True
