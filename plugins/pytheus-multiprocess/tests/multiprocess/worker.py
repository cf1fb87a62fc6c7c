"""A process with metrics that does what it is told, line by line; see conftest.py.

Each line of its input is JSON text of Python source, and is answered by a line of JSON: what the source assigned to
`answer`, or the traceback.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

BEGIN = """
import gc, os, signal, sys, threading, time
from pytheus import REGISTRY, Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus_multiprocess import multiprocess_registry
registry = multiprocess_registry(sys.argv[1], process_metrics=False)
def define():
    global jobs, seconds, depth, sizes, build, state, lag, oldest, seen
    jobs = Counter("jobs_total", "Jobs.", ["kind"], registry=registry)
    seconds = Histogram("seconds", "Seconds.", buckets=[1, 5], registry=registry)
    sizes = Summary("sizes", "Sizes.", registry=registry)
    depth = Gauge("depth", "Depth.", registry=registry)
    lag = Gauge("lag", "Lag.", mode="max", registry=registry)
    oldest = Gauge("oldest", "Oldest.", mode="min", processes="all", registry=registry)
    seen = Gauge("seen", "Seen.", mode="last", registry=registry)
    build = Info("build", "Build.", registry=registry)
    state = StateSet("state", "State.", states=["up", "down"], registry=registry)
define()
def forked(function):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def main() -> None:
    namespace: dict[str, object] = {}
    exec(BEGIN, namespace)
    out = os.fdopen(os.dup(1), "w")
    print(json.dumps({"answer": os.getpid()}), file=out, flush=True)
    for line in sys.stdin:
        namespace["answer"] = None
        try:
            exec(json.loads(line), namespace)
            reply = {"answer": namespace["answer"]}
        except BaseException:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=out, flush=True)


if __name__ == "__main__":
    main()
