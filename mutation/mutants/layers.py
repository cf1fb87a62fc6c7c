"""Defects of what the compositions have in common."""

from __future__ import annotations

from mutation.mutant import Mutant
from mutation.suites import COMPOSE

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "layer-does-not-forward-unregister",
        "compose/layer.py",
        "What is unregistered through a layer stays below.",
        '''
        """Unregister `collector`, as it was registered, from the registry below; see `Registry.unregister`."""
        self._registry.unregister(collector)
        ''',
        '"""Unregister `collector`, as it was registered, from the registry below; see `Registry.unregister`."""',
        COMPOSE,
    ),
    Mutant(
        "layer-does-not-forward-register",
        "compose/layer.py",
        "What is registered through a layer is held nowhere.",
        '''
        """Register `collector` in the registry below; see `Registry.register`."""
        self._registry.register(collector)
        ''',
        '"""Register `collector` in the registry below; see `Registry.register`."""',
        COMPOSE,
    ),
    Mutant(
        "layer-does-not-forward-find",
        "compose/layer.py",
        "A metric defined twice through a layer is not found.",
        "return find_collector(self._registry, name)",
        "return None",
        COMPOSE,
    ),
    Mutant(
        "layer-does-not-forward-close",
        "compose/layer.py",
        "A file or connection below a layer stays open.",
        """
        if isinstance(below, Closable):
            below.close()
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "layer-closes-what-cannot-be-closed",
        "compose/layer.py",
        "close() needs a registry below that has it.",
        """
        if isinstance(below, Closable):
            below.close()
        """,
        "below.close()  # type: ignore[attr-defined]",
        COMPOSE,
    ),
    Mutant(
        "layer-does-not-forward-the-prefix",
        "compose/layer.py",
        "A layer takes the prefix away.",
        "return self._registry.prefix",
        "return None",
        COMPOSE,
    ),
    Mutant(
        "layer-gives-what-it-iterates-over",
        "compose/layer.py",
        "Registering during an iteration breaks or shows in it.",
        "return iter(list(self._registry.collect()))",
        "return iter(self._registry.collect())",
        COMPOSE,
    ),
    Mutant(
        "layer-stands-below-itself",
        "compose/layer.py",
        "A circle is found by the end of the stack when it is scraped.",
        '''
        """What the registry below holds, as it shows through this layer; see `Registry.collect`."""
        refuse_circle(self)
        ''',
        '"""What the registry below holds, as it shows through this layer; see `Registry.collect`."""',
        COMPOSE,
    ),
    Mutant(
        "layer-does-not-say-what-is-below",
        "compose/layer.py",
        "Nobody sees what a layer stands before.",
        "return (self._registry,)",
        "return ()",
        COMPOSE,
    ),
    Mutant(
        "layer-before-anything",
        "compose/layers.py",
        "What is no registry is taken, and breaks later.",
        "return check_registry(candidate, source)",
        "return cast(Registry, candidate)",
        COMPOSE,
    ),
    Mutant(
        "layer-resolves-a-proxy",
        "compose/layers.py",
        "Making a layer has the registry chosen.",
        """
        if isinstance(candidate, CollectorRegistryProxy):
            return candidate  # to check it would read its prefix, and so have the choice by name made here and now
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "layer-resolves-a-proxy-two-below",
        "compose/layers.py",
        "As above, through another layer.",
        """
        if isinstance(candidate, Composition):
            return cast(Registry, candidate)  # it may stand before such a proxy
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "circles-are-sought-for-ever",
        "registry/standing.py",
        "The search for a circle goes round in another one.",
        """
        if id(current) not in visited:
            visited[id(current)] = current
            yield current
            pending += below(current)
        """,
        """
        yield current
        pending += below(current)
        """,
        COMPOSE,
    ),
    Mutant(
        "circles-through-a-proxy-are-not-seen",
        "registry/standing.py",
        "Proxies are not followed.",
        """
        if isinstance(registry, CollectorRegistryProxy):
            return (registry.registry,)
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "first-branch-alone-is-searched",
        "registry/standing.py",
        "What stands below the other members of a union is not seen.",
        "pending += below(current)",
        "pending += below(current)[:1]",
        COMPOSE,
    ),
    Mutant(
        "derived-anew-each-time",
        "compose/derived.py",
        "A layer gives another object for the same collector each time.",
        "derived = before.get(id(collector))",
        "derived = None",
        COMPOSE,
    ),
    Mutant(
        "derived-for-whoever-had-the-id",
        "compose/derived.py",
        "A layer gives the view of a collector that is gone.",
        "if derived is None or derived.origin is not collector or derived.change != change:",
        "if derived is None or derived.change != change:",
        COMPOSE,
        equivalent="what is kept keeps its origin alive, so that nobody else can have the id meanwhile",
    ),
    Mutant(
        "derived-from-an-old-change",
        "compose/derived.py",
        "A changed prefix does not show.",
        "if derived is None or derived.origin is not collector or derived.change != change:",
        "if derived is None or derived.origin is not collector:",
        COMPOSE,
    ),
    Mutant(
        "derived-is-kept",
        "compose/derived.py",
        "A layer keeps alive what was unregistered below.",
        "kept: dict[int, DerivedCollector] = {}",
        "kept = before",
        COMPOSE,
    ),
    Mutant(
        "derived-is-not-forgotten",
        "compose/derived.py",
        "A layer keeps alive what was unregistered through it.",
        "self._made.pop(key, None)",
        "pass",
        COMPOSE,
    ),
    Mutant(
        "derived-is-forgotten-by-identity",
        "compose/derived.py",
        "A layer keeps alive what was unregistered by another handle.",
        "if origin is root or (definition is not None and definition_of(origin) is definition):",
        "if origin is root:",
        COMPOSE,
    ),
    Mutant(
        "one-layer-is-forgotten",
        "compose/derived.py",
        "A layer before another layer keeps what was unregistered alive.",
        """
        while isinstance(collector, DerivedCollector):
            collector = collector.origin
        return collector
        """,
        """
        if isinstance(collector, DerivedCollector):
            collector = collector.origin
        return collector
        """,
        COMPOSE,
    ),
    Mutant(
        "any-layers-view-is-undone",
        "compose/derived.py",
        "A layer takes another layer's view for one of its own.",
        "if isinstance(collector, DerivedCollector) and collector.owner is self._owner:",
        "if isinstance(collector, DerivedCollector):",
        COMPOSE,
    ),
    Mutant(
        "no-view-is-undone",
        "compose/derived.py",
        "What a layer gives cannot be unregistered through it.",
        """
        if isinstance(collector, DerivedCollector) and collector.owner is self._owner:
            return collector.origin
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "views-have-no-definition",
        "compose/derived.py",
        "Conflicts with a layer's metric are not seen.",
        """
        if definition is None:
            return DerivedCollector(collector, change, self._owner)
        """,
        """
        if definition is None or definition is not None:
            return DerivedCollector(collector, change, self._owner)
        """,
        COMPOSE,
    ),
    Mutant(
        "view-keeps-an-old-definition",
        "compose/derived.py",
        "A metric that shares another's series is known by its old definition.",
        "if source is not None and source is not self._source:  # it shares another metric's series now",
        "if source is None:",
        COMPOSE,
    ),
    Mutant(
        "nested-collectors-are-not-changed",
        "compose/derived.py",
        "What a collector yields that is a collector itself escapes the layer.",
        'if not isinstance(part, Family) and callable(getattr(part, "collect", None)):',
        "if part is None:",
        COMPOSE,
    ),
    Mutant(
        "collector-that-yields-itself-never-ends",
        "compose/derived.py",
        "The depth is not counted.",
        "yield from _flat(part, depth - 1)",
        "yield from _flat(part, depth)",
        COMPOSE,
    ),
    Mutant(
        "family-that-is-left-out-is-given",
        "compose/derived.py",
        "A layer that leaves a family out yields None.",
        """
        elif (changed := self.change.family(part)) is not None:
            yield changed
        """,
        """
        else:
            yield self.change.family(part)  # type: ignore[misc]
        """,
        COMPOSE,
    ),
    Mutant(
        "redefined-without-buckets",
        "compose/derived.py",
        "A histogram seen through a layer has other buckets.",
        "bounds=definition.bounds,",
        "",
        COMPOSE,
    ),
    Mutant(
        "failing-definition-breaks-the-layer",
        "compose/derived.py",
        "A collector whose definition raises costs all the others.",
        """
        except Exception:
            return None  # it will be scraped as one that has none, and show its failure there
        """,
        """
        except ZeroDivisionError:
            return None
        """,
        COMPOSE,
    ),
)
