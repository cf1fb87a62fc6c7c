"""One module for each library; bench/workload.py has their protocol."""
