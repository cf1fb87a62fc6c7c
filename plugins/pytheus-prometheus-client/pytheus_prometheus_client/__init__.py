"""Metrics of prometheus_client in the registry of pytheus."""
