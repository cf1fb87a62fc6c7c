"""Benchmarks of pytheus and its peers: `python3 bench/run.py` measures them all and prints one table."""
