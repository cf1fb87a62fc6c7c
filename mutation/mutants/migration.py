"""Defects of moving collectors between registries."""

from __future__ import annotations

from mutation.mutant import Mutant
from mutation.suites import PROXY

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "moved-collectors-are-not-brought-back",
        "registry/migration.py",
        "After a refusal the new registry keeps what it had taken.",
        """
        for collector in reversed(moved):
            _let_go(chosen, collector)
        raise
        """,
        "raise",
        PROXY,
    ),
    Mutant(
        "first-moved-collector-is-not-brought-back",
        "registry/migration.py",
        "Off by one.",
        "for collector in reversed(moved):",
        "for collector in reversed(moved[1:]):",
        PROXY,
    ),
    Mutant(
        "interruption-leaves-half-of-it",
        "registry/migration.py",
        "After a KeyboardInterrupt both registries hold collectors.",
        """
        except BaseException:
            for collector in reversed(moved):
        """,
        """
        except Exception:
            for collector in reversed(moved):
        """,
        PROXY,
    ),
    Mutant(
        "what-was-there-before-is-taken-away",
        "registry/migration.py",
        "After a refusal the new registry has lost what it had itself.",
        """
        if id(collector) not in there_before:
            chosen.register(collector)
        """,
        """
        if collector is not None:
            chosen.register(collector)
        """,
        PROXY,
    ),
    Mutant(
        "failure-is-swallowed",
        "registry/migration.py",
        "A collector that is refused is left out, and nobody told.",
        """
        for collector in reversed(moved):
            _let_go(chosen, collector)
        raise
        """,
        "return moved",
        PROXY,
    ),
    Mutant(
        "silent-refusal-is-not-seen",
        "registry/migration.py",
        "What a registry refuses with a mere warning is in neither.",
        "_refuse_silent_refusals(moved, chosen)",
        "",
        PROXY,
    ),
    Mutant(
        "shared-handle-counts-as-refused",
        "registry/migration.py",
        "A handle whose metric the new registry holds cannot move.",
        "if incumbent is not None and _definition(incumbent) is not definition:",
        "if incumbent is not None:",
        PROXY,
    ),
    Mutant(
        "what-was-refused-is-let-go-of",
        "registry/migration.py",
        "A registry is asked to let go of what it does not hold.",
        "moved[:] = [other for other in moved if other is not collector]",
        "",
        PROXY,
    ),
    Mutant(
        "only-own-names-are-looked-at",
        "registry/migration.py",
        "A silent refusal for a name that a metric produces is not seen.",
        """
        for name in definition.occupied_names:
            incumbent = find_collector(chosen, name)
        """,
        """
        for name in definition.occupied_names[:1]:
            incumbent = find_collector(chosen, name)
        """,
        PROXY,
    ),
    Mutant(
        "old-registry-keeps-all",
        "registry/migration.py",
        "What has moved stays in the old registry, too.",
        """
        if len(apart) == len(holders):
            _let_go(former, collector)
        """,
        """
        if len(apart) == len(holders):
            pass
        """,
        PROXY,
    ),
    Mutant(
        "what-stands-below-both-is-emptied",
        "registry/migration.py",
        "What the old and the new registry both stand before is taken out of it.",
        "apart = [holder for holder in holders if all(holder is not other for other in _holders(chosen))]",
        "apart = holders",
        PROXY,
    ),
    Mutant(
        "what-stands-below-the-old-one-alone-is-kept",
        "registry/migration.py",
        "Where the registries share a member, the others are not emptied.",
        """
        for holder in apart:
            if _holds(holder, collector):
                _let_go(holder, collector)
        """,
        "pass",
        PROXY,
    ),
    Mutant(
        "members-below-layers-are-not-seen",
        "registry/migration.py",
        "A layer counts as one that holds its collectors itself.",
        "return [holder for below in layers for holder in _holders(below)] if layers else [registry]",
        "return [registry]",
        PROXY,
    ),
    Mutant(
        "let-go-of-before-it-is-taken",
        "registry/migration.py",
        "For a moment what came meanwhile is in neither registry.",
        """
        for collector in originals(former):
            if id(collector) not in known:
        """,
        """
        for collector in originals(former):
            _let_go(former, collector)
            if id(collector) not in known:
        """,
        PROXY,
    ),
    Mutant(
        "what-came-meanwhile-is-dropped",
        "registry/migration.py",
        "A metric made while collectors move is lost.",
        """
        if id(collector) not in known:
            try:
                chosen.register(collector)
        """,
        """
        if id(collector) not in known:
            try:
                pass
        """,
        PROXY,
    ),
    Mutant(
        "what-came-meanwhile-is-dropped-when-refused",
        "registry/migration.py",
        "That the new registry refuses it is not logged.",
        "if not (isinstance(error, ConflictError) and _alike(collector, error.incumbent)):",
        "if not isinstance(error, Exception):",
        PROXY,
    ),
    Mutant(
        "equal-latecomer-is-logged-as-lost",
        "registry/migration.py",
        "A metric that is about to share another's values is logged as an error.",
        "if not (isinstance(error, ConflictError) and _alike(collector, error.incumbent)):",
        "if not isinstance(error, ZeroDivisionError):",
        PROXY,
    ),
    Mutant(
        "latecomers-error-is-the-callers",
        "registry/migration.py",
        "What another thread's metric conflicts with is raised in this one.",
        """
        except Exception as error:
            # It came from another thread, or an earlier call: no error of this caller's. An equal metric's
        """,
        """
        except ZeroDivisionError as error:
            # It came from another thread, or an earlier call: no error of this caller's. An equal metric's
        """,
        PROXY,
    ),
    Mutant(
        "brought-twice",
        "registry/migration.py",
        "What was brought already is registered once more.",
        """
        if not _holds(chosen, collector):
            chosen.register(collector)
        """,
        "chosen.register(collector)",
        PROXY,
    ),
    Mutant(
        "not-brought",
        "registry/migration.py",
        "What reached the old registry too late is only taken out of it.",
        """
        if not _holds(chosen, collector):
            chosen.register(collector)
        """,
        "_holds(chosen, collector)",
        PROXY,
    ),
    Mutant(
        "left-in-the-old-registry",
        "registry/migration.py",
        "What is brought stays in the old registry, too.",
        """
        if _holds(former, collector):
            _let_go(former, collector)
        """,
        "_holds(former, collector)",
        PROXY,
    ),
    Mutant(
        "stays-in-the-old-registry-when-refused",
        "registry/migration.py",
        "What the new registry refuses stays in the old one, where nobody sees it.",
        """
        try:
            if not _holds(chosen, collector):
                chosen.register(collector)
        finally:
            if _holds(former, collector):
                _let_go(former, collector)
        """,
        """
        if not _holds(chosen, collector):
            chosen.register(collector)
        if _holds(former, collector):
            _let_go(former, collector)
        """,
        PROXY,
    ),
    Mutant(
        "held-by-equality",
        "registry/migration.py",
        "A collector that equals one that is held counts as brought.",
        "return any(held is collector for held in originals(registry))",
        "return any(held == collector for held in originals(registry))",
        PROXY,
    ),
    Mutant(
        "taken-name-is-not-refused",
        "registry/migration.py",
        "A newcomer takes a name that another one is about to bring along.",
        'if incumbent is not None and getattr(incumbent, "definition", definition) is not definition:',
        "if incumbent is None:",
        PROXY,
    ),
    Mutant(
        "metric-conflicts-with-itself",
        "registry/migration.py",
        "A metric that is on its way conflicts with its own handle.",
        'if incumbent is not None and getattr(incumbent, "definition", definition) is not definition:',
        "if incumbent is not None:",
        PROXY,
    ),
    Mutant(
        "what-a-layer-makes-moves",
        "registry/migration.py",
        "What moves is a layer's view of a collector, not the collector.",
        """
        if layers := layers_of(registry):
            found = {id(collector): collector for below in layers for collector in originals(below)}
            return list(found.values())
        return list(registry.collect())
        """,
        "return list(registry.collect())",
        PROXY,
    ),
    Mutant(
        "one-layer-is-looked-through",
        "registry/migration.py",
        "Below two layers what moves is a layer's view.",
        "found = {id(collector): collector for below in layers for collector in originals(below)}",
        "found = {id(collector): collector for below in layers for collector in below.collect()}",
        PROXY,
    ),
    Mutant(
        "first-member-alone-moves",
        "registry/migration.py",
        "What the other members of a union hold is left behind.",
        "found = {id(collector): collector for below in layers for collector in originals(below)}",
        "found = {id(collector): collector for below in layers[:1] for collector in originals(below)}",
        PROXY,
    ),
    Mutant(
        "quicker-thread-is-logged",
        "registry/migration.py",
        "That another thread was quicker is logged as a failure.",
        """
        except NotRegisteredError:
            pass  # another thread, which moves the same collectors, was quicker
        """,
        "",
        PROXY,
    ),
    Mutant(
        "clinging-registry-stops-the-change",
        "registry/migration.py",
        "A registry that will not let go leaves the change half done.",
        """
        except Exception:
            _log().warning(
        """,
        """
        except ZeroDivisionError:
            _log().warning(
        """,
        PROXY,
    ),
    Mutant(
        "clinging-registry-is-not-logged",
        "registry/migration.py",
        "That a registry will not let go is not told.",
        "_log().warning(",
        "_log().debug(",
        PROXY,
    ),
)
