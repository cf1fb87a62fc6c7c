"""Metrics of prometheus_client in the registry of pytheus.

Modules:

- `peer_collector`: their metrics in a registry of pytheus
- `pytheus_collector`: the metrics of pytheus in their registry
- `families`: their families as those of pytheus
- `loops`: bridges into each other come to an end
"""

from pytheus_prometheus_client.peer_collector import PeerCollector
from pytheus_prometheus_client.pytheus_collector import PytheusCollector

__all__ = ["PeerCollector", "PytheusCollector"]
