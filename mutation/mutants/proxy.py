"""Defects of the proxy."""

from __future__ import annotations

from mutation.mutant import Mutant
from mutation.suites import PROXY

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "prefix-is-copied",
        "registry/proxy.py",
        "The prefix is read once.",
        '''
        def prefix(self) -> str | None:
            """The prefix of the registry that serves now, read afresh each time."""
            return self.registry.prefix
        ''',
        """
        def prefix(self, copies: dict[int, str | None] = {}) -> str | None:
            return copies.setdefault(id(self), self.registry.prefix)
        """,
        PROXY,
    ),
    Mutant(
        "empty-registry-is-none",
        "registry/proxy.py",
        "A registry with nothing in it counts as no registry.",
        """
        if self._base is not None:
            return self._base
        self._changing = me
        """,
        """
        if self._base:
            return self._base
        self._changing = me
        """,
        PROXY,
    ),
    Mutant(
        "empty-registry-is-resolved",
        "registry/proxy.py",
        "A registry with nothing in it takes the long way.",
        "return base if base is not None else self._resolved(wait=True)",
        "return base or self._resolved(wait=True)",
        PROXY,
        equivalent="the long way finds that there is one, and gives it",
    ),
    Mutant(
        "outermost-block-serves",
        "registry/proxy.py",
        "Of nested blocks of use() the first one serves.",
        "return swapped[-1][1] if swapped else None",
        "return swapped[0][1] if swapped else None",
        PROXY,
    ),
    Mutant(
        "block-ends-the-latest",
        "registry/proxy.py",
        "A block that ends while a later one goes on ends that one.",
        "self._swapped = tuple(swap for swap in self._swapped if swap[0] is not token)",
        "self._swapped = self._swapped[:-1]",
        PROXY,
    ),
    Mutant(
        "block-ends-all-of-its-registry",
        "registry/proxy.py",
        "Two blocks of one registry end together.",
        "self._swapped = tuple(swap for swap in self._swapped if swap[0] is not token)",
        "self._swapped = tuple(swap for swap in self._swapped if swap[1] is not chosen)",
        PROXY,
    ),
    Mutant(
        "block-is-left-open-by-an-error",
        "registry/proxy.py",
        "After an exception the block's registry serves on.",
        """
        try:
            yield chosen
        finally:
            with self._changed:
                self._swapped = tuple(swap for swap in self._swapped if swap[0] is not token)
        """,
        """
        yield chosen
        with self._changed:
            self._swapped = tuple(swap for swap in self._swapped if swap[0] is not token)
        """,
        PROXY,
    ),
    Mutant(
        "lock-dropped-when-a-block-ends",
        "registry/proxy.py",
        "Blocks that end at the same time in two threads bring each other back.",
        """
        with self._changed:
            self._swapped = tuple(swap for swap in self._swapped if swap[0] is not token)
        """,
        "self._swapped = tuple(swap for swap in self._swapped if swap[0] is not token)",
        PROXY,
    ),
    Mutant(
        "anything-is-set",
        "registry/proxy.py",
        "What is no registry is taken, and breaks later.",
        "registry = check_registry(candidate)",
        "registry: Registry = candidate  # type: ignore[assignment]",
        PROXY,
    ),
    Mutant(
        "anything-is-stood-for",
        "registry/proxy.py",
        "What is no registry is taken when a proxy is made.",
        'self._base = check_registry(registry, "CollectorRegistryProxy(...)")',
        "self._base = registry",
        PROXY,
    ),
    Mutant(
        "proxy-stands-for-itself",
        "registry/proxy.py",
        "A circle is found at the next scrape, by the end of the stack.",
        "if _leads_to(registry, self):",
        "if registry is None:",
        PROXY,
    ),
    Mutant(
        "only-the-proxy-itself-is-refused",
        "registry/proxy.py",
        "A circle through a layer, or another proxy, is not seen.",
        "if _leads_to(registry, self):",
        "if registry is self:",
        PROXY,
    ),
    Mutant(
        "blocks-are-not-followed",
        "registry/proxy.py",
        "A circle through another proxy's block is not seen.",
        "pending += [swap[1] for swap in current._swapped]",
        "",
        PROXY,
    ),
    Mutant(
        "definition-waits-for-the-plugin",
        "registry/proxy.py",
        "A thread that only defines a metric waits until another one has resolved.",
        "if self._changing == me or not wait:",
        "if self._changing == me:",
        PROXY,
    ),
    Mutant(
        "plugin-waits-for-itself",
        "registry/proxy.py",
        "A plugin that reads the proxy while it is made never ends.",
        "if self._changing == me or not wait:",
        "if not wait:",
        PROXY,
    ),
    Mutant(
        "everyone-resolves",
        "registry/proxy.py",
        "Threads that come at once get a registry each.",
        """
            self._changing = me
        try:
            chosen = self._checked(_resolve(self._choice))
        """,
        """
        try:
            chosen = self._checked(_resolve(self._choice))
        """,
        PROXY,
    ),
    Mutant(
        "resolved-again-each-time",
        "registry/proxy.py",
        "What was resolved is not kept.",
        """
        if self._base is not None:
            return self._base
        self._changing = me
        """,
        "self._changing = me",
        PROXY,
    ),
    Mutant(
        "choice-overrules-the-explicit-one",
        "registry/proxy.py",
        "What a plugin set itself, while it was made, is replaced.",
        "if self._base is None:  # unless the plugin itself set a registry, which was said explicitly and so wins",
        "if chosen is not None:",
        PROXY,
    ),
    Mutant(
        "waiting-collectors-stay-behind",
        "registry/proxy.py",
        "What was registered before the choice is lost.",
        """
            moved = move(self._waiting_room, chosen)
        self._replace(self._waiting_room, chosen, moved)
        """,
        """
            moved = []
        self._base = chosen
        """,
        PROXY,
    ),
    Mutant(
        "what-a-failed-resolution-made-stays-open",
        "registry/proxy.py",
        "A registry whose collectors were refused is never closed.",
        "with _closed_on_failure(chosen):",
        "with _closed_on_failure(None):",
        PROXY,
    ),
    Mutant(
        "failed-resolution-is-never-over",
        "registry/proxy.py",
        "After an error in a plugin every thread waits for ever.",
        """
            return self._base if self._base is not None else chosen
        finally:
            self._end_change(None)
        """,
        """
            self._end_change(None)
            return self._base if self._base is not None else chosen
        except ZeroDivisionError:
            raise
        """,
        PROXY,
    ),
    Mutant(
        "nobody-is-told-of-the-end",
        "registry/proxy.py",
        "Threads that wait for a change go on waiting.",
        "self._changed.notify_all()",
        "",
        PROXY,
    ),
    Mutant(
        "one-is-told-of-the-end",
        "registry/proxy.py",
        "Of the threads that wait for a change all but one go on waiting.",
        "self._changed.notify_all()",
        "self._changed.notify()",
        PROXY,
    ),
    Mutant(
        "changes-at-the-same-time",
        "registry/proxy.py",
        "Two threads change the registry at once.",
        """
        while self._changing is not None and self._changing != me:
            self._changed.wait()
        outer = self._changing
        """,
        "outer = self._changing",
        PROXY,
    ),
    Mutant(
        "change-within-a-change-waits-for-itself",
        "registry/proxy.py",
        "A registry that is set from within a change never ends.",
        """
        while self._changing is not None and self._changing != me:
            self._changed.wait()
        outer = self._changing
        """,
        """
        while self._changing is not None:
            self._changed.wait()
        outer = self._changing
        """,
        PROXY,
    ),
    Mutant(
        "inner-change-ends-the-outer-one",
        "registry/proxy.py",
        "After a change within a change, others come in while the outer one goes on.",
        """
        self._changing = outer
        self._changed.notify_all()
        """,
        """
        self._changing = None
        self._changed.notify_all()
        """,
        PROXY,
    ),
    Mutant(
        "registry-serves-before-all-have-moved",
        "registry/proxy.py",
        "After a collector was refused, the new registry serves all the same.",
        """
        with _closed_on_failure(chosen if isinstance(registry, str) else None):
            moved = move(present, chosen)
        """,
        """
        self._base = chosen
        with _closed_on_failure(chosen if isinstance(registry, str) else None):
            moved = move(present, chosen)
        """,
        PROXY,
    ),
    Mutant(
        "registry-serves-after-the-old-one-is-empty",
        "registry/proxy.py",
        "For a moment a metric is in neither registry that anybody asks.",
        """
        self._base = chosen
        empty(former, chosen, moved)
        """,
        """
        empty(former, chosen, moved)
        self._base = chosen
        """,
        PROXY,
    ),
    Mutant(
        "somebody-elses-registry-is-closed",
        "registry/proxy.py",
        "A registry that was handed in is closed when the change fails.",
        "with _closed_on_failure(chosen if isinstance(registry, str) else None):",
        "with _closed_on_failure(chosen):",
        PROXY,
    ),
    Mutant(
        "what-a-failed-change-made-stays-open",
        "registry/proxy.py",
        "A registry made for a change that fails is never closed.",
        "with _closed_on_failure(chosen if isinstance(registry, str) else None):",
        "with _closed_on_failure(None):",
        PROXY,
    ),
    Mutant(
        "layers-are-emptied-into-themselves",
        "registry/proxy.py",
        "Putting a layer before what serves moves its collectors.",
        "if _leads_to(chosen, present) or _leads_to(present, chosen):",
        "if chosen is None:",
        PROXY,
    ),
    Mutant(
        "layer-is-not-seen-when-put-before",
        "registry/proxy.py",
        "As above, one way.",
        "if _leads_to(chosen, present) or _leads_to(present, chosen):",
        "if _leads_to(present, chosen):",
        PROXY,
    ),
    Mutant(
        "layer-is-not-seen-when-taken-away",
        "registry/proxy.py",
        "As above, the other way.",
        "if _leads_to(chosen, present) or _leads_to(present, chosen):",
        "if _leads_to(chosen, present):",
        PROXY,
    ),
    Mutant(
        "migrate-is-ignored",
        "registry/proxy.py",
        "With migrate=False everything moves.",
        "elif migrate:",
        "elif migrate is not None:",
        PROXY,
    ),
    Mutant(
        "nothing-moves-by-default",
        "registry/proxy.py",
        "set_registry() drops what was registered.",
        "def set_registry(self, registry: Registry | str, *, migrate: bool = True) -> None:",
        "def set_registry(self, registry: Registry | str, *, migrate: bool = False) -> None:",
        PROXY,
    ),
    Mutant(
        "left-behind-in-silence",
        "registry/proxy.py",
        "With migrate=False nobody is warned.",
        "if left_behind:",
        "if left_behind is None:",
        PROXY,
    ),
    Mutant(
        "warning-points-into-the-library",
        "registry/proxy.py",
        "The warning shows a line of pytheus.",
        "stacklevel=2,",
        "stacklevel=1,",
        PROXY,
    ),
    Mutant(
        "names-on-their-way-are-not-known",
        "registry/proxy.py",
        "While collectors move, a metric is made that one of them conflicts with.",
        """
        for former in self._formers:
            refuse_taken_names(collector, former)  # what is still on its way from there came first
        """,
        "",
        PROXY,
    ),
    Mutant(
        "former-registry-is-not-remembered",
        "registry/proxy.py",
        "What is still on its way when the registry changes is found nowhere.",
        "self._formers += (former,)",
        "",
        PROXY,
    ),
    Mutant(
        "former-registry-is-never-forgotten",
        "registry/proxy.py",
        "Every registry that ever served is kept, and asked.",
        "self._formers = self._formers[:-1]",
        "pass",
        PROXY,
    ),
    Mutant(
        "former-registry-is-not-asked",
        "registry/proxy.py",
        "A metric that is defined again while it moves gets numbers of its own.",
        """
        for former in self._formers:
            if found is None:
                found = find_collector(former, name)
        """,
        "",
        PROXY,
    ),
    Mutant(
        "newcomer-stays-in-the-former-registry",
        "registry/proxy.py",
        "A metric that reaches a registry just after it was replaced is lost.",
        """
        if self._base is not None and self._base is not present:
            self._bring(collector, present)
        """,
        "",
        PROXY,
    ),
    Mutant(
        "newcomer-is-refused-by-what-came-too-late",
        "registry/proxy.py",
        "A metric conflicts with one that a change is about to remove.",
        """
        if self._base is None or self._base is present:
            raise
        """,
        "raise",
        PROXY,
    ),
    Mutant(
        "what-came-too-late-is-found",
        "registry/proxy.py",
        "A metric shares with one that a change is about to remove.",
        """
        # Otherwise the registry changed meanwhile, and what was found came too late, and may not stay.
        if self._base is present:
            return found
        """,
        "return found",
        PROXY,
    ),
    Mutant(
        "register-passes-the-block-by",
        "registry/proxy.py",
        "A block of use() does not get what is made in it.",
        """
        swapped = self._in_block()
        if swapped is not None:
            swapped.register(collector)
            return
        """,
        "",
        PROXY,
    ),
    Mutant(
        "find-passes-the-block-by",
        "registry/proxy.py",
        "A metric made within a block shares with one outside it.",
        """
        swapped = self._in_block()
        if swapped is not None:
            return find_collector(swapped, name)
        """,
        "",
        PROXY,
    ),
    Mutant(
        "close-passes-the-block-by",
        "registry/proxy.py",
        "close() within a block closes the registry outside it.",
        "registry: object = self._base if swapped is None else swapped",
        "registry: object = self._base",
        PROXY,
    ),
    Mutant(
        "close-resolves",
        "registry/proxy.py",
        "close() has a registry made, to close it.",
        "registry: object = self._base if swapped is None else swapped",
        "registry: object = self.registry",
        PROXY,
    ),
    Mutant(
        "unregister-is-not-passed-on",
        "registry/proxy.py",
        "What is unregistered stays.",
        "self.registry.unregister(collector)",
        "self.registry.collect()",
        PROXY,
    ),
    Mutant(
        "clear-stops-after-one",
        "registry/proxy.py",
        "clear() lets go of the first collector alone.",
        "registry.unregister(collector)",
        """
        registry.unregister(collector)
        break
        """,
        PROXY,
    ),
    Mutant(
        "clear-iterates-over-what-it-changes",
        "registry/proxy.py",
        "clear() misses every second collector of a plain registry.",
        "for collector in list(registry.collect()):",
        "for collector in registry.collect():",
        PROXY,
    ),
    Mutant(
        "membership-by-equality",
        "registry/proxy.py",
        "A collector that equals one that is held counts as held.",
        "return any(collector is subject for collector in originals(registry))",
        "return any(collector == subject for collector in originals(registry))",
        PROXY,
    ),
    Mutant(
        "membership-by-name-needs-our-own",
        "registry/proxy.py",
        '"name" in proxy knows nothing of other registries.',
        """
        if isinstance(subject, str):
            return find_collector(registry, subject) is not None
        """,
        "",
        PROXY,
    ),
    Mutant(
        "fork-inherits-a-change",
        "registry/proxy.py",
        "A forked child waits for a thread that it does not have.",
        """
        self._changing = None
        self._formers = ()
        """,
        "self._formers = ()",
        PROXY,
    ),
    Mutant(
        "fork-inherits-a-lock",
        "registry/proxy.py",
        "A forked child waits for a lock whose holder it does not have.",
        """
        self._changed = threading.Condition(threading.RLock())
        if self._changing is not None and self._changing != threading.get_ident():
        """,
        "if self._changing is not None and self._changing != threading.get_ident():",
        PROXY,
    ),
    Mutant(
        "fork-ends-the-forking-threads-change",
        "registry/proxy.py",
        "A child that a plugin forks forgets that it is within a change.",
        "if self._changing is not None and self._changing != threading.get_ident():",
        "if self._changing is not None:",
        PROXY,
    ),
    Mutant(
        "forks-are-not-noticed",
        "registry/proxy.py",
        "No proxy is told of a fork.",
        "_proxies.add(self)",
        "_proxies.discard(self)",
        PROXY,
    ),
)
