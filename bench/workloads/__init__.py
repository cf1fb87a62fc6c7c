"""One module for each library; bench/workload.py tells what they have in common."""
