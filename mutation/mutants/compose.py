"""Defects of the compositions, one by one."""

from __future__ import annotations

from mutation.mutant import Mutant
from mutation.suites import COMPOSE

__all__ = ["MUTANTS"]

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "prefixes-are-swapped",
        "compose/prefixed.py",
        "The registry's own prefix comes before the layer's.",
        'return self._own if below is None else f"{self._own}_{below}"',
        'return self._own if below is None else f"{below}_{self._own}"',
        COMPOSE,
    ),
    Mutant(
        "prefix-below-is-lost",
        "compose/prefixed.py",
        "The layer's prefix replaces the registry's own.",
        'return self._own if below is None else f"{self._own}_{below}"',
        "return self._own",
        COMPOSE,
    ),
    Mutant(
        "prefix-is-applied-twice",
        "compose/prefixed.py",
        "The layer's prefix stands there twice.",
        'return self._own if below is None else f"{self._own}_{below}"',
        'return self._own if below is None else f"{self._own}_{self._own}_{below}"',
        COMPOSE,
    ),
    Mutant(
        "prefix-without-an-underscore",
        "compose/prefixed.py",
        "Prefix and name run together.",
        'return self._own if below is None else f"{self._own}_{below}"',
        'return self._own if below is None else f"{self._own}{below}"',
        COMPOSE,
    ),
    Mutant(
        "empty-prefix-is-taken",
        "compose/prefixed.py",
        'prefixed(registry, "") does nothing.',
        "if own is None:",
        "if own is None and prefix is None:",
        COMPOSE,
    ),
    Mutant(
        "labels-are-lost",
        "compose/labelled.py",
        "A layer's labels are on no sample.",
        "samples.append(sample._replace(labels={**sample.labels, **self.labels}))",
        "samples.append(sample)",
        COMPOSE,
    ),
    Mutant(
        "samples-labels-are-lost",
        "compose/labelled.py",
        "A layer's labels replace the sample's own.",
        "samples.append(sample._replace(labels={**sample.labels, **self.labels}))",
        "samples.append(sample._replace(labels={**self.labels}))",
        COMPOSE,
    ),
    Mutant(
        "labels-come-first",
        "compose/labelled.py",
        "The sample's own labels come after the layer's.",
        "samples.append(sample._replace(labels={**sample.labels, **self.labels}))",
        "samples.append(sample._replace(labels={**self.labels, **sample.labels}))",
        COMPOSE,
    ),
    Mutant(
        "labels-overwrite",
        "compose/labelled.py",
        "A label that a metric has itself is overwritten in the scrape.",
        """
        for name in sample.labels:
            if name in self.labels:
        """,
        """
        for name in sample.labels:
            if name is None:
        """,
        COMPOSE,
    ),
    Mutant(
        "label-is-not-refused",
        "compose/labelled.py",
        "A metric that has a label of the layer's is taken.",
        """
        if definition is not None:
            self._change.check(definition)
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "statesets-own-label-is-not-refused",
        "compose/labelled.py",
        "A state set named like a label of the layer's is taken.",
        'taken = (*definition.labels, definition.name) if definition.type == "stateset" else definition.labels',
        "taken = definition.labels",
        COMPOSE,
    ),
    Mutant(
        "label-twice-in-two-layers",
        "compose/labelled.py",
        "Two layers give the same label.",
        "_refuse_given_below(checked, self._registry)",
        "",
        COMPOSE,
    ),
    Mutant(
        "label-twice-two-layers-apart",
        "compose/labelled.py",
        "A layer between hides that a label is given already.",
        "pending += layers_of(below)",
        "",
        COMPOSE,
    ),
    Mutant(
        "reserved-label-is-taken",
        "compose/labelled.py",
        'A layer gives the label "le".',
        "if name in RESERVED_LABELS.values():",
        "if name in RESERVED_LABELS:",
        COMPOSE,
    ),
    Mutant(
        "view-is-registered-in-place-of-the-collector",
        "compose/labelled.py",
        "What the layer gives is registered below as it is.",
        """
        if definition is not None:
            self._change.check(definition)
        self._registry.register(origin)
        """,
        """
        if definition is not None:
            self._change.check(definition)
        self._registry.register(collector)
        """,
        COMPOSE,
    ),
    Mutant(
        "labelled-view-is-not-unregistered",
        "compose/labelled.py",
        "What labelled() gives cannot be unregistered through it.",
        '''
        """Unregister `collector`, as it was registered or as `collect()` gives it; see `Registry.unregister`."""
        origin = self._derived.origin(collector)
        ''',
        '''
        """Unregister `collector`, as it was registered or as `collect()` gives it; see `Registry.unregister`."""
        origin = collector
        ''',
        COMPOSE,
    ),
    Mutant(
        "labelled-remembers",
        "compose/labelled.py",
        "labelled() keeps alive what was unregistered through it.",
        '''
            self._registry.unregister(origin)
            self._derived.forget(origin)

        def collect(self) -> Iterator[Collector]:
            """The collectors of the registry below, with the labels; see `Registry.collect`."""
        ''',
        '''
            self._registry.unregister(origin)

        def collect(self) -> Iterator[Collector]:
            """The collectors of the registry below, with the labels; see `Registry.collect`."""
        ''',
        COMPOSE,
    ),
    Mutant(
        "definition-has-no-labels",
        "compose/labelled.py",
        "A metric seen through labelled() is defined without the layer's labels.",
        "return redefined(definition, labels=tuple(self.labels))",
        "return definition",
        COMPOSE,
    ),
    Mutant(
        "labels-can-be-changed",
        "compose/labelled.py",
        "Who reads the layer's labels can change them.",
        "return dict(self._change.labels)",
        "return self._change.labels",
        COMPOSE,
    ),
    Mutant(
        "names-without-the-prefix",
        "compose/filtered.py",
        "Names are compared as if there were no prefix.",
        "name = self.lead + family.name",
        "name = family.name",
        COMPOSE,
    ),
    Mutant(
        "name-of-the-family-alone",
        "compose/filtered.py",
        "A name that a family produces does not select it.",
        "if self.names is not None and self.names.isdisjoint(occupied_names(name, family.type)):",
        "if self.names is not None and name not in self.names:",
        COMPOSE,
    ),
    Mutant(
        "filter-is-the-wrong-way-round",
        "compose/filtered.py",
        "What was named is left out.",
        "if self.names is not None and self.names.isdisjoint(occupied_names(name, family.type)):",
        "if self.names is not None and not self.names.isdisjoint(occupied_names(name, family.type)):",
        COMPOSE,
    ),
    Mutant(
        "no-names-is-all-names",
        "compose/filtered.py",
        "An empty list of names filters nothing.",
        "if self.names is not None and self.names.isdisjoint(occupied_names(name, family.type)):",
        "if self.names and self.names.isdisjoint(occupied_names(name, family.type)):",
        COMPOSE,
    ),
    Mutant(
        "predicate-is-not-asked",
        "compose/filtered.py",
        "Names alone decide.",
        "return self.predicate is None or bool(self.predicate(FamilyHead(name, family.type, family.description)))",
        "return True",
        COMPOSE,
    ),
    Mutant(
        "predicate-is-told-nothing-of-the-prefix",
        "compose/filtered.py",
        "The predicate sees the bare name.",
        "return self.predicate is None or bool(self.predicate(FamilyHead(name, family.type, family.description)))",
        """
        head = FamilyHead(family.name, family.type, family.description)
        return self.predicate is None or bool(self.predicate(head))
        """,
        COMPOSE,
    ),
    Mutant(
        "custom-collectors-are-not-filtered",
        "compose/filtered.py",
        "What is known only when scraped shows whole.",
        """
        if definition is None:
            chosen.append((collector, selection))
            continue
        """,
        """
        if definition is None:
            chosen.append((collector, None))
            continue
        """,
        COMPOSE,
    ),
    Mutant(
        "failing-predicate-breaks-the-scrape",
        "compose/filtered.py",
        "A predicate that raises costs all collectors.",
        """
        except Exception:
            # The predicate has raised, and will again where the failure costs this collector and no other.
        """,
        """
        except ZeroDivisionError:
            # The predicate has raised, and will again where the failure costs this collector and no other.
        """,
        COMPOSE,
    ),
    Mutant(
        "failing-predicate-lets-through",
        "compose/filtered.py",
        "What the predicate raises for is shown.",
        """
                chosen.append((collector, selection))
        return iter(self._derived.derive(chosen))
        """,
        """
                chosen.append((collector, None))
        return iter(self._derived.derive(chosen))
        """,
        COMPOSE,
    ),
    Mutant(
        "filtered-is-not-unregistered",
        "compose/filtered.py",
        "What filtered() gives cannot be unregistered through it.",
        '''
        """Unregister `collector`, shown or not, from the registry below; see `Registry.unregister`."""
        origin = self._derived.origin(collector)
        ''',
        '''
        """Unregister `collector`, shown or not, from the registry below; see `Registry.unregister`."""
        origin = collector
        ''',
        COMPOSE,
    ),
    Mutant(
        "filtered-remembers",
        "compose/filtered.py",
        "filtered() keeps alive what was unregistered through it.",
        """
        self._registry.unregister(origin)
        self._derived.forget(origin)
        """,
        "self._registry.unregister(origin)",
        COMPOSE,
    ),
    Mutant(
        "plain-name-is-taken-apart",
        "compose/filtered.py",
        'names="abc" means a, b and c.',
        "if isinstance(names, (str, bytes)):",
        "if isinstance(names, bytes):",
        COMPOSE,
    ),
    Mutant(
        "filtered-stands-below-itself",
        "compose/filtered.py",
        "A circle is found by the end of the stack.",
        '''
        """The collectors that show. Those whose families are known only when scraped are filtered then."""
        refuse_circle(self)
        ''',
        '"""The collectors that show. Those whose families are known only when scraped are filtered then."""',
        COMPOSE,
        equivalent="the prefix below is read next, and the next layer of the circle that is asked refuses it as well",
    ),
    Mutant(
        "one-series-too-many",
        "compose/limited.py",
        "Off by one, for each metric.",
        "if each is not None and limit.metric.series_count - limit.overflowed >= each:",
        "if each is not None and limit.metric.series_count - limit.overflowed > each:",
        COMPOSE,
    ),
    Mutant(
        "one-series-too-many-altogether",
        "compose/limited.py",
        "Off by one, for all metrics.",
        "return total is None or sum(every.metric.series_count - every.overflowed for every in limits) < total",
        "return total is None or sum(every.metric.series_count - every.overflowed for every in limits) <= total",
        COMPOSE,
    ),
    Mutant(
        "total-counts-one-metric",
        "compose/limited.py",
        "max_series holds for each metric by itself.",
        "return total is None or sum(every.metric.series_count - every.overflowed for every in limits) < total",
        "return total is None or limit.metric.series_count < total",
        COMPOSE,
    ),
    Mutant(
        "overflow-takes-room",
        "compose/limited.py",
        "A metric's overflow series counts towards its limit, so that removed series make no room.",
        "if each is not None and limit.metric.series_count - limit.overflowed >= each:",
        "if each is not None and limit.metric.series_count >= each:",
        COMPOSE,
    ),
    Mutant(
        "overflow-takes-others-room",
        "compose/limited.py",
        "A metric's overflow series counts towards what all metrics may have.",
        "return total is None or sum(every.metric.series_count - every.overflowed for every in limits) < total",
        "return total is None or sum(every.metric.series_count for every in limits) < total",
        COMPOSE,
    ),
    Mutant(
        "limit-goes-by-what-shows",
        "compose/limited.py",
        "A metric that a layer below hides, or shows another in place of, is free after a scrape.",
        "originals = self._originals(held)",
        "originals = held",
        COMPOSE,
    ),
    Mutant(
        "limit-goes-with-what-fails",
        "compose/limited.py",
        "While a registry below fails, what it and others hold is free.",
        "return None  # the scrape tells of it; what was held is limited on",
        "return []",
        COMPOSE,
    ),
    Mutant(
        "limit-forgets-what-comes-meanwhile",
        "compose/limited.py",
        "What is registered while a scrape runs is free until the next one.",
        "for key in before if originals is not None else ():",
        "for key in self._limits.copy() if originals is not None else ():",
        COMPOSE,
    ),
    Mutant(
        "limit-of-zero-is-taken",
        "compose/limited.py",
        "A limit below 1 raises nothing.",
        "if limit is not None and (type(limit) is not int or limit < 1):",
        "if limit is not None and (type(limit) is not int or limit < 0):",
        COMPOSE,
    ),
    Mutant(
        "bool-is-a-limit",
        "compose/limited.py",
        "max_series=True means one.",
        "if limit is not None and (type(limit) is not int or limit < 1):",
        "if limit is not None and (not isinstance(limit, int) or limit < 1):",
        COMPOSE,
    ),
    Mutant(
        "overflow-has-no-room",
        "compose/limited.py",
        "What there is no room for is dropped into a series that may not be made.",
        "return self.overflow",
        'return ("", *self.overflow[1:])',
        COMPOSE,
    ),
    Mutant(
        "limited-at-the-scrape-alone",
        "compose/limited.py",
        "A metric grows without bounds until it is scraped.",
        """
        self._registry.register(collector)
        if isinstance(collector, Limitable):
            self._limit(collector)
        """,
        "self._registry.register(collector)",
        COMPOSE,
    ),
    Mutant(
        "limited-before-it-is-taken",
        "compose/limited.py",
        "A metric that is refused is limited all the same.",
        """
        self._registry.register(collector)
        if isinstance(collector, Limitable):
            self._limit(collector)
        """,
        """
        if isinstance(collector, Limitable):
            self._limit(collector)
        self._registry.register(collector)
        """,
        COMPOSE,
    ),
    Mutant(
        "what-is-held-below-is-not-limited",
        "compose/limited.py",
        "Metrics that were registered below grow without bounds.",
        """
        known.add(id(collector.definition))
        self._limit(collector)
        """,
        "known.add(id(collector.definition))",
        COMPOSE,
    ),
    Mutant(
        "limited-after-it-has-left",
        "compose/limited.py",
        "A metric that was unregistered is limited on.",
        "self._unlimit(id(collector.definition))",
        "pass",
        COMPOSE,
    ),
    Mutant(
        "limited-after-it-has-left-below",
        "compose/limited.py",
        "A metric that was unregistered below is limited on.",
        """
        if key not in known:
            self._unlimit(key)
        """,
        """
        if key is None:
            self._unlimit(key)
        """,
        COMPOSE,
    ),
    Mutant(
        "unlimited-in-the-book-alone",
        "compose/limited.py",
        "A metric that was unregistered still asks.",
        """
        if limit is not None:
            limit.metric.unlimit_series(limit)
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "a-limit-for-each-scrape",
        "compose/limited.py",
        "Every scrape gives a metric one more limit to ask.",
        "limit = self._limits.setdefault(id(definition), made)",
        "limit = made",
        COMPOSE,
    ),
    Mutant(
        "read-only-registers",
        "compose/read_only.py",
        "What is registered through a read-only view is held below.",
        'raise ReadOnlyError(_refusal(collector, "registered"))',
        "self.layers[0].register(collector)",
        COMPOSE,
    ),
    Mutant(
        "read-only-registers-nothing-in-silence",
        "compose/read_only.py",
        "register() through a read-only view does nothing.",
        'raise ReadOnlyError(_refusal(collector, "registered"))',
        "return",
        COMPOSE,
    ),
    Mutant(
        "read-only-unregisters",
        "compose/read_only.py",
        "What is unregistered through a read-only view is gone below.",
        'raise ReadOnlyError(_refusal(collector, "unregistered"))',
        "self.layers[0].unregister(collector)",
        COMPOSE,
    ),
    Mutant(
        "read-only-closes",
        "compose/read_only.py",
        "Who may only scrape can close the registry.",
        '"""Does nothing: the registry below belongs to somebody else."""',
        "super().close()",
        COMPOSE,
    ),
    Mutant(
        "union-of-none",
        "compose/union.py",
        "A union without members is made, and breaks when it is used.",
        "if not registries:",
        "if registries is None:",
        COMPOSE,
    ),
    Mutant(
        "member-twice",
        "compose/union.py",
        "A registry that is given twice shows twice.",
        "if any(member is earlier for earlier in members):",
        "if member is None:",
        COMPOSE,
    ),
    Mutant(
        "member-by-equality",
        "compose/union.py",
        "Registries that are equal count as the same.",
        "if any(member is earlier for earlier in members):",
        "if member in members:",
        COMPOSE,
    ),
    Mutant(
        "newcomer-goes-to-the-last",
        "compose/union.py",
        "What is registered in a union goes to the last member.",
        "self._members[0].register(origin)",
        "self._members[-1].register(origin)",
        COMPOSE,
    ),
    Mutant(
        "other-members-are-not-asked",
        "compose/union.py",
        "A name that another member exposes is taken.",
        """
        incumbent = self._find_in_others(lead, name)
        if incumbent is not None:
        """,
        """
        incumbent = self._find_in_others(lead, name)
        if incumbent is None and name is None:
        """,
        COMPOSE,
    ),
    Mutant(
        "other-members-metric-is-refused",
        "compose/union.py",
        "A metric that another member holds cannot be registered again.",
        """
        if incumbent is origin or definition_of(incumbent) is definition:
            return
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "custom-collector-is-held-twice",
        "compose/union.py",
        "A custom collector that another member holds goes to the first, too.",
        """
        elif any(held is origin for member in self._members[1:] for held in _held_by(member)):
            return
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "failing-member-keeps-others-from-registering",
        "compose/union.py",
        "A member that raises when it is asked stops a registration.",
        """
        except Exception:
            return []  # the next scrape tells of it
        """,
        """
        except ZeroDivisionError:
            return []
        """,
        COMPOSE,
    ),
    Mutant(
        "failing-member-keeps-others-from-being-found",
        "compose/union.py",
        "A member that raises when it is asked stops a definition.",
        """
        except Exception:
            continue  # the next scrape tells of it
        """,
        """
        except ZeroDivisionError:
            continue
        """,
        COMPOSE,
    ),
    Mutant(
        "one-member-lets-go",
        "compose/union.py",
        "A collector that several members hold stays in all but the first.",
        """
        else:
            removed = True
        """,
        """
        else:
            removed = True
            break
        """,
        COMPOSE,
    ),
    Mutant(
        "every-member-lets-go",
        "compose/union.py",
        "What the union gave for one member is unregistered from all.",
        "members = self._members if holder is None else (holder,)",
        "members = self._members",
        COMPOSE,
    ),
    Mutant(
        "union-remembers",
        "compose/union.py",
        "union() keeps alive what was unregistered through it.",
        """
        for derived in self._derived:
            derived.forget(origin)
        """,
        "",
        COMPOSE,
    ),
    Mutant(
        "failing-member-keeps-others-from-letting-go",
        "compose/union.py",
        "A member that fails stops an unregistration.",
        """
        except Exception as error:
            failure = error if failure is None else failure
        else:
            removed = True
        """,
        """
        else:
            removed = True
        """,
        COMPOSE,
    ),
    Mutant(
        "failure-to-let-go-is-swallowed",
        "compose/union.py",
        "That a member failed shows as that nobody held the collector.",
        """
        if failure is not None:
            raise failure
        raise NotRegisteredError(
        """,
        "raise NotRegisteredError(",
        COMPOSE,
    ),
    Mutant(
        "unknown-leaves-a-union-in-silence",
        "compose/union.py",
        "Unregistering what no member holds raises nothing.",
        "if not removed:",
        "if not removed and failure is not None:",
        COMPOSE,
    ),
    Mutant(
        "failing-member-breaks-the-scrape",
        "compose/union.py",
        "One member that raises costs all.",
        """
        except Exception as error:
            collected.append(_FailedMember(f"union member {position}, {type(member).__qualname__}", error))
            continue
        """,
        """
        except ZeroDivisionError:
            continue
        """,
        COMPOSE,
    ),
    Mutant(
        "failing-member-is-left-out-in-silence",
        "compose/union.py",
        "A member that raises is missing, and nobody told.",
        """
        collected.append(_FailedMember(f"union member {position}, {type(member).__qualname__}", error))
        continue
        """,
        "continue",
        COMPOSE,
    ),
    Mutant(
        "half-a-member-is-shown",
        "compose/union.py",
        "A member that fails midway shows what came before.",
        "held = list(member.collect())",
        "held = iter(member.collect())  # type: ignore[assignment]",
        COMPOSE,
    ),
    Mutant(
        "shown-twice",
        "compose/union.py",
        "What two members hold is shown twice.",
        "if (id(subject), lead) not in seen:",
        "if subject is not None:",
        COMPOSE,
    ),
    Mutant(
        "shown-once-for-all-prefixes",
        "compose/union.py",
        "A collector that is held under two prefixes shows under the first alone.",
        "seen[id(subject), lead] = subject",
        """
        seen[id(subject), lead] = subject
        seen.update({(id(subject), _lead(other)): subject for other in self._members})
        """,
        COMPOSE,
    ),
    Mutant(
        "handles-are-shown-twice",
        "compose/union.py",
        "Two handles on one metric, in two members, show twice.",
        "subject: object = collector if definition is None else definition",
        "subject: object = collector",
        COMPOSE,
    ),
    Mutant(
        "members-prefix-is-lost",
        "compose/union.py",
        "The families of a member show without its prefix.",
        "fresh.append((collector, _Lead(lead) if lead else None))",
        "fresh.append((collector, None))",
        COMPOSE,
    ),
    Mutant(
        "every-collector-is-derived",
        "compose/union.py",
        "A member without a prefix shows views of its collectors.",
        "fresh.append((collector, _Lead(lead) if lead else None))",
        "fresh.append((collector, _Lead(lead)))",
        COMPOSE,
    ),
    Mutant(
        "families-are-not-renamed",
        "compose/union.py",
        "A prefix is in the definition, and not in the scrape.",
        "return Family(self.lead + family.name, family.type, family.description, family.samples)",
        "return family",
        COMPOSE,
    ),
    Mutant(
        "definition-is-not-renamed",
        "compose/union.py",
        "A prefix is in the scrape, and not in the definition.",
        "return redefined(definition, name=self.lead + definition.name)",
        "return definition",
        COMPOSE,
    ),
    Mutant(
        "first-member-alone-is-searched",
        "compose/union.py",
        "What another member holds is not found.",
        "return found if found is not None else self._find_in_others(_lead(first), name)",
        "return found",
        COMPOSE,
    ),
    Mutant(
        "others-are-searched-by-the-bare-name",
        "compose/union.py",
        "A prefix makes no difference to what is found.",
        "found = find_collector(member, exposed[len(their_lead) :])",
        "found = find_collector(member, name)",
        COMPOSE,
    ),
    Mutant(
        "any-prefix-will-do",
        "compose/union.py",
        "What a member exposes under another prefix is found.",
        "if exposed.startswith(their_lead):",
        "if their_lead is not None:",
        COMPOSE,
    ),
    Mutant(
        "union-has-a-prefix",
        "compose/union.py",
        "The first member's prefix stands before all.",
        '''
        """Always None: each member's families have that member's own prefix."""
        return None
        ''',
        "return self._members[0].prefix",
        COMPOSE,
    ),
    Mutant(
        "first-failure-keeps-others-open",
        "compose/union.py",
        "A member whose close() raises keeps the others from theirs.",
        """
                    except Exception as error:
                        failure = error if failure is None else failure
            if failure is not None:
                raise failure

        def __repr__(self) -> str:
        """,
        """
                    except ZeroDivisionError as error:
                        failure = error if failure is None else failure
            if failure is not None:
                raise failure

        def __repr__(self) -> str:
        """,
        COMPOSE,
    ),
    Mutant(
        "failure-to-close-is-swallowed",
        "compose/union.py",
        "That a member could not be closed is not told.",
        """
                    except Exception as error:
                        failure = error if failure is None else failure
            if failure is not None:
                raise failure

        def __repr__(self) -> str:
        """,
        """
                    except Exception as error:
                        failure = error if failure is None else failure

        def __repr__(self) -> str:
        """,
        COMPOSE,
    ),
    Mutant(
        "union-stands-below-itself",
        "compose/union.py",
        "A circle is found by the end of the stack.",
        '''
        """What the members hold, member by member; see `Registry.collect`."""
        refuse_circle(self)
        ''',
        '"""What the members hold, member by member; see `Registry.collect`."""',
        COMPOSE,
    ),
)
