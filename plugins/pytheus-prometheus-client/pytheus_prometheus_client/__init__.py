"""Metrics of prometheus_client in the registry of pytheus.

Modules:

- `installation`: `install` and `uninstall`
- `replacements`: the methods of prometheus_client that they replace
- `endpoints`: the numbers that its endpoints show
- `installed`: which metrics are attached to which registry of pytheus
- `attachments`: which metric of pytheus has the numbers of which one of prometheus_client
- `parts`: the series of a metric of prometheus_client
- `refusals`: the metrics that stay in prometheus_client alone
- `numbers`: the numbers that their metrics write to
- `series`: the dict of a metric's series
- `peer_collector`: their metrics in a registry of pytheus
- `pytheus_collector`: the metrics of pytheus in their registry
- `families`: their families as those of pytheus
- `copies`: custom collectors that a registry of several processes merges
- `copied_metrics`: the metrics that copy them
- `copied_labels`: the labels of copied series, and the layer that shows them
- `loops`: bridges into each other come to an end
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytheus.plugins import hookimpl
from pytheus.registry import REGISTRY
from pytheus_prometheus_client.copied_labels import with_copies
from pytheus_prometheus_client.copies import CollectorCopies
from pytheus_prometheus_client.endpoints import is_merged
from pytheus_prometheus_client.installation import install, install_beside, uninstall
from pytheus_prometheus_client.peer_collector import PeerCollector
from pytheus_prometheus_client.pytheus_collector import PytheusCollector

if TYPE_CHECKING:
    from pytheus.registry import Registry

__all__ = [
    "CollectorCopies",
    "PeerCollector",
    "PytheusCollector",
    "install",
    "pytheus_wrap_registry",
    "uninstall",
    "with_copies",
]


@hookimpl
def pytheus_wrap_registry(registry: Registry) -> Registry | None:
    """Install the seam when a registry is chosen, unless it is installed; a registry of several processes shows copies.

    `pytheus_prometheus_client_startup` has installed it before, if Python called that at the process's start. This hook
    is for other processes: those in which the configuration file names the plugin and no variable does, and those of
    a Python that reads no startup files.
    """
    install_beside(REGISTRY, registry)
    return with_copies(registry) if is_merged(registry) else None
