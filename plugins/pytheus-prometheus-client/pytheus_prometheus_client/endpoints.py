"""The families that an endpoint of prometheus_client shows if the registry of pytheus merges several processes.

Rules:

- Merged numbers are for the text that an encoder of prometheus_client writes. Other callers of `collect()`, such as
  `get_sample_value()`, get those of this process. So do a push and a text file, of which each process may have its own.
- An encoder is known by its code. Programs import `generate_latest` by name, also before the installation, and so a
  function in its place would not reach them.
- In the place of each metric is its merged family, and in the place of a collector the families that are copied from
  it (`CollectorCopies`). Another collector shows the numbers of this process, but for ``process_*`` and ``python_*`` of
  pytheus, which come first.
- The default registry shows also the other families of a scrape, such as metrics that only other processes have, but
  not those that this process has in other registries.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final, TypeAlias, cast

import prometheus_client
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import Metric as TheirFamily
from prometheus_client.registry import RestrictedRegistry

from pytheus.names import prefix_lead
from pytheus.registry import Registry, walk
from pytheus_prometheus_client.copied_labels import copied_names
from pytheus_prometheus_client.installed import OF_THE_PROCESS, Installation
from pytheus_prometheus_client.peer_collector import TheirCollector, target_family
from pytheus_prometheus_client.refusals import TheirMetric

__all__ = ["is_merged", "merged_families", "shows_all", "writes_endpoint"]

_ENCODER: Final = "generate_latest"
_MODULES: Final = ("prometheus_client.exposition", "prometheus_client.openmetrics.exposition")
# The callers of an encoder in its own module whose text is not an endpoint's.
_OTHER_WRITERS: Final = ("_use_gateway", "write_to_textfile")

_Endpoint: TypeAlias = TheirRegistry | RestrictedRegistry


def is_merged(registry: Registry) -> bool:
    """Return whether a scrape of `registry` shows several processes."""
    shards = sys.modules.get("pytheus.shards")  # which is not imported for this
    return shards is not None and any(isinstance(each, shards.ShardedRegistry) for each in walk(registry, resolve=True))


def writes_endpoint(frame: FrameType) -> bool:
    """Return whether `frame` is that of an encoder of prometheus_client that writes the text of an endpoint."""
    if frame.f_code.co_name != _ENCODER or frame.f_globals.get("__name__") not in _MODULES:
        return False
    caller = frame.f_back
    return caller is None or caller.f_globals is not frame.f_globals or caller.f_code.co_name not in _OTHER_WRITERS


def shows_all(installation: Installation, endpoint: _Endpoint) -> bool:
    """Return whether the text of `endpoint` shows all processes."""
    registry: object = cast(Any, endpoint)._registry if isinstance(endpoint, RestrictedRegistry) else endpoint
    return registry in installation.merged_endpoints and is_merged(installation.registry)


def merged_families(installation: Installation, endpoint: _Endpoint) -> list[TheirFamily]:
    """Return the families of `endpoint`, those of its attached metrics with the numbers of all processes."""
    is_restricted = isinstance(endpoint, RestrictedRegistry)
    registry = cast(TheirRegistry, cast(Any, endpoint)._registry) if is_restricted else cast(TheirRegistry, endpoint)
    names: set[str] = cast(Any, endpoint)._name_set if is_restricted else set()
    merged = {family.name: family for family in installation.merged(with_created=True)}
    elsewhere = installation.exposed_names()
    lead = prefix_lead(installation.registry.prefix)
    found: list[TheirFamily] = []
    target = registry.get_target_info()
    if target:
        found.append(target_family(target))
    for collector in _collectors(registry, names) if is_restricted else list(registry._collector_to_names):
        name = installation.exposed_name(collector) if isinstance(collector, TheirMetric) else None
        family = None if name is None else merged.pop(name, None)
        if family is not None:
            found.append(family)
            continue
        copied = copied_names(collector)
        if copied is not None:
            found += [merged.pop(lead + each) for each in copied if lead + each in merged]
            continue
        is_of_process = registry is prometheus_client.REGISTRY and isinstance(collector, OF_THE_PROCESS)
        for shown in collector.collect():
            other = merged.pop(shown.name, shown)
            found.append(other if is_of_process else shown)
    if registry is prometheus_client.REGISTRY:
        found += [family for name, family in merged.items() if name not in elsewhere]
    if not is_restricted:
        return found
    restricted = [cast("TheirFamily | None", cast(Any, family)._restricted_metric(names)) for family in found]
    return [family for family in restricted if family is not None]


def _collectors(registry: TheirRegistry, names: Iterable[str]) -> list[TheirCollector]:
    """Return the collectors that may have a sample of these names, as a restricted registry finds them."""
    named = [registry._names_to_collectors[name] for name in names if name in registry._names_to_collectors]
    copied = [each for each in list(registry._collector_to_names) if copied_names(each) is not None]
    found = {id(each): each for each in (*registry._collectors_without_names, *named, *copied)}
    return list(found.values())
