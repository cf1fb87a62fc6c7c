"""Which metrics of prometheus_client are attached to which registry of pytheus.

Rules:

- A metric is attached once, and detached when no registry of prometheus_client has it any more. If its registry ends
  instead, it stays until it ends itself, because a program may count on without the registry.
- Numbers in a storage outlive their metric, as in the files of the other library's mode for several processes. A later
  metric of that name adds to them.
- A metric that is in no registry is attached where the other library's mode for several processes is asked for.
- Metrics of the same name, of several of their registries, share one metric of pytheus.
- Everything is changed under one lock, and no warning is issued under it, because a warning runs the program's code.
- The garbage collector may end a registry or a metric at any moment, also while this thread changes something. It is
  taken note of after that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final, cast
from weakref import WeakKeyDictionary, WeakSet, finalize

import prometheus_client
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import Enum, Info, multiprocess, values
from prometheus_client import Metric as TheirFamily
from prometheus_client.registry import Collector as TheirCollector

from pytheus.exceptions import PytheusError
from pytheus.metrics import Metric
from pytheus.names import base_name, prefix_lead
from pytheus.registry import Registry, definition_of, originals
from pytheus_prometheus_client.attachments import Attachment, Twins
from pytheus_prometheus_client.copied_labels import copied_names
from pytheus_prometheus_client.loops import collecting
from pytheus_prometheus_client.numbers import LocalNumber
from pytheus_prometheus_client.parts import is_plain
from pytheus_prometheus_client.peer_collector import PeerCollector
from pytheus_prometheus_client.pytheus_collector import PytheusCollector
from pytheus_prometheus_client.refusals import TheirMetric, named, refuse

__all__ = ["INSTALLED", "OF_THE_PROCESS", "Installation", "attachment_of", "is_multiprocess"]


OF_THE_PROCESS: Final = (
    prometheus_client.GCCollector,
    prometheus_client.PlatformCollector,
    prometheus_client.ProcessCollector,
)
"""The collectors of prometheus_client with numbers of the process itself."""


class Installation:
    """The metrics and collectors of prometheus_client that are in `registry`."""

    def __init__(self, registry: Registry) -> None:
        self.registry: Final = registry
        self.merged_endpoints: WeakSet[TheirRegistry] = WeakSet([prometheus_client.REGISTRY])
        """The registries of prometheus_client whose endpoints show all processes, if `registry` does."""
        self._leaves_out_process = False
        self._exposed: Final = PytheusCollector(registry)
        self._by_name: dict[str, Twins] = {}
        self._holders: WeakKeyDictionary[TheirRegistry, set[TheirMetric]] = WeakKeyDictionary()
        self._unregistered: Final = TheirRegistry()
        self._bridges: dict[TheirCollector, PeerCollector] = {}
        # An enum is registered before it has its states.
        self._unfinished: dict[TheirMetric, TheirRegistry] = {}
        self._outlived: dict[str, Metric] = {}
        self._later: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._is_changing = False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock for the block, and take note afterwards of registries and metrics that ended meanwhile."""
        with self._lock:
            outer = self._is_changing
            self._is_changing = True
            try:
                yield
            finally:
                while not outer and self._later:
                    self._later.pop()()
                self._is_changing = outer

    def attachment_of(self, theirs: TheirMetric) -> Attachment | None:
        attachment = self._by_name.get(theirs._name, {}).get(id(theirs))
        return attachment if attachment is not None and attachment.theirs is theirs else None

    def add(self, registry: TheirRegistry, collector: TheirCollector, *, late: bool = False) -> None:
        """Attach or bridge `collector`, which `registry` has."""
        if is_plain(collector) and isinstance(collector, TheirMetric):
            if isinstance(collector, Enum) and not hasattr(collector, "_states"):
                self._unfinished[collector] = registry
            elif late or values.ValueClass is LocalNumber or isinstance(collector, (Enum, Info)):
                self._attach(registry, collector, late)
            else:
                refuse(named(collector), "the program has replaced prometheus_client.values.ValueClass; remove that")
        elif registry is prometheus_client.REGISTRY:
            self._bridge(collector)

    def add_unregistered(self, theirs: TheirMetric, *, late: bool = False) -> None:
        """Attach a metric that is in no registry, where the other library's own mode shows it (`is_multiprocess`)."""
        has_numbers = is_plain(theirs) and not isinstance(theirs, (Enum, Info))
        if has_numbers and (late or values.ValueClass is LocalNumber) and self.attachment_of(theirs) is None:
            self._attach(self._unregistered, theirs, late)
            self._let_go(self._holders.pop(self._unregistered, set()))

    def finish(self, theirs: TheirMetric) -> None:
        """Attach a metric that was registered by its constructor, which has ended; as `add`."""
        registry = self._unfinished.pop(theirs, None)
        if registry is not None:
            self._attach(registry, theirs, False)

    def _attach(self, registry: TheirRegistry, theirs: TheirMetric, late: bool) -> None:
        held = self._holders.get(registry)
        if held is None:
            held = self._holders[registry] = set()
            finalize(registry, self._soon, partial(self._let_go, held)).atexit = False
        held.add(theirs)
        if self.attachment_of(theirs) is not None:
            return
        twins = self._by_name.setdefault(theirs._name, {})
        try:
            twins[id(theirs)] = Attachment(theirs, self.registry, twins, self._outlived.get(theirs._name), late)
        except PytheusError as error:
            held.discard(theirs)
            refuse(named(theirs), error)
            return
        if len(twins) > 1:
            for twin in twins.values():
                twin.separate()
        if not late:  # an installation sweeps when it has replaced the numbers of all
            twins[id(theirs)].sweep()

    def _soon(self, change: Callable[[], None]) -> None:
        """Call `change` now, or after the present change; the garbage collector may call this."""
        self._later.append(change)
        if self._lock.acquire(blocking=False):  # otherwise the thread that holds it does the rest
            try:
                if not self._is_changing:
                    with self.changing():
                        pass
            finally:
                self._lock.release()

    def _let_go(self, held: set[TheirMetric]) -> None:
        """Let the metrics of a registry that has ended end as well, unless the program still has them."""
        while held:
            theirs = held.pop()
            attachment = None if self._is_held(theirs) else self.attachment_of(theirs)
            if attachment is None:
                continue
            if attachment.has_function:  # which may refer to the metric
                self._detach(attachment, keep=True)
            else:
                finalize(theirs, self._soon, partial(self._detach, attachment, keep=True)).atexit = False
                attachment.let_go()

    def _bridge(self, collector: TheirCollector) -> None:
        if collector in self._bridges or isinstance(collector, (multiprocess.MultiProcessCollector, PytheusCollector)):
            return
        if isinstance(collector, OF_THE_PROCESS) and self._leaves_out_process:
            return
        if copied_names(collector) is not None:
            return
        bridge = PeerCollector(collector)
        try:
            self.registry.register(bridge)
        except PytheusError as error:
            refuse(f"the collector {type(collector).__qualname__}", error)
        else:
            self._bridges[collector] = bridge

    def leave_out_process(self) -> None:
        """Bridge no collectors of the process: a scrape of all would have those of the one that answers alone."""
        self._leaves_out_process = True
        for collector in [each for each in self._bridges if isinstance(each, OF_THE_PROCESS)]:
            self._unregister(self._bridges.pop(collector))

    def sweep(self) -> None:
        """Add the writes to former numbers while they were replaced."""
        for twins in self._by_name.values():
            for attachment in twins.values():
                attachment.sweep()

    def remove(self, registry: TheirRegistry, collector: TheirCollector) -> None:
        """Detach or unbridge `collector`, which `registry` no longer has."""
        if registry is prometheus_client.REGISTRY:
            self.end_bridge(collector)
        if isinstance(collector, TheirMetric):
            held = self._holders.get(registry)
            if held is not None and collector in held:
                held.discard(collector)
                attachment = self.attachment_of(collector)
                if attachment is not None and not self._is_held(collector):
                    self._detach(attachment)

    def end_bridge(self, collector: TheirCollector) -> None:
        """Let pytheus no longer show the numbers of this process that `collector` has."""
        bridge = self._bridges.pop(collector, None)
        if bridge is not None:
            self._unregister(bridge)

    def _is_held(self, theirs: TheirMetric) -> bool:
        """Return whether a registry of prometheus_client has the metric."""
        return any(theirs in held for held in self._holders.values())

    def _detach(self, attachment: Attachment, *, keep: bool = False) -> None:
        """Detach a metric; with `keep`, leave stored numbers."""
        name = attachment.name
        twins = self._by_name.get(name, {})
        key = next((key for key, twin in twins.items() if twin is attachment), None)
        if key is None:
            return
        del twins[key]
        is_kept = keep and attachment.is_stored()
        if not is_kept:
            attachment.detach()
        if not twins:
            del self._by_name[name]
            if attachment.registered is not None:
                if is_kept:
                    self._outlived[name] = attachment.registered
                else:
                    self._outlived.pop(name, None)
                    self._unregister(attachment.registered)

    def _unregister(self, collector: object) -> None:
        try:
            self.registry.unregister(cast(Any, collector))
        except PytheusError:  # the program has unregistered it
            pass

    def merged(self, *, with_created: bool = False) -> list[TheirFamily]:
        """Return the present metrics of all processes, as the other library's multi-process mode does.

        Without bridged collectors, which have the numbers of this process, and without start times unless they are
        asked for.
        """
        with ExitStack() as stack:
            for collector in list(self._bridges):
                stack.enter_context(collecting(collector))  # so that its bridge leaves it out
            metrics = self._exposed.collect()
        for metric in metrics:
            if not with_created and metric.type in ("counter", "histogram", "summary"):
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        return metrics

    def exposed_name(self, theirs: TheirMetric) -> str | None:
        """Return the name of a metric's family in `merged`, or None if it is not attached."""
        if self.attachment_of(theirs) is None:
            return None
        name: str = theirs._name
        return prefix_lead(self.registry.prefix) + name

    def exposed_names(self) -> set[str]:
        """Return the names in `merged` of all metrics that this process has in the registry."""
        lead = prefix_lead(self.registry.prefix)
        definitions = [definition_of(collector) for collector in originals(self.registry)]
        return {base_name(lead + each.name, each.type) for each in definitions if each is not None}

    def renew_locks(self) -> None:
        """Make new locks in a forked process: the former ones may be held by a thread that only its parent has."""
        self._lock = threading.RLock()
        self._is_changing = False
        for twins in list(self._by_name.values()):
            for attachment in list(twins.values()):
                theirs = attachment.theirs
                if theirs is not None and theirs._labelnames:
                    theirs._lock = threading.Lock()

    def close(self) -> None:
        """Detach and unbridge everything."""
        for held in self._holders.values():
            held.clear()  # which the registry's finalizer keeps
        self._holders.clear()
        for attachment in [each for twins in self._by_name.values() for each in twins.values()]:
            self._detach(attachment)
        for registered in (*self._bridges.values(), *self._outlived.values()):
            self._unregister(registered)
        self._bridges.clear()
        self._outlived.clear()


INSTALLED: Final[list[Installation]] = []
"""The installation, if there is one."""


def attachment_of(theirs: TheirMetric) -> Attachment | None:
    """Return the attachment of a metric, or None if it is not in a registry of pytheus."""
    present = INSTALLED[:]  # one step, because another thread may uninstall it
    return present[0].attachment_of(theirs) if present else None


def is_multiprocess() -> bool:
    """Return whether the other library is to use its mode for several processes, whose spelling was another once.

    It shows the metrics of all registries and of none.
    """
    return not {"PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"}.isdisjoint(os.environ)


def _renew_locks() -> None:
    for installation in INSTALLED:
        installation.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
