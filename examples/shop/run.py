"""Runs the shop under `pytheus run`, sends it a counted load, compares every number, and ends it.

    python examples/shop/run.py [--clients 4] [--orders 50]

Exits with 0 if every series agrees with the load generator's own books and the shop ended when it was told to.
"""

from __future__ import annotations

import argparse
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE_SECONDS = 120


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the shop under `pytheus run` with a counted load.")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--orders", type=int, default=50, help="for each client")
    arguments = parser.parse_args()
    python = (sys.executable, "-P")
    print("$ pytheus run --port 0 examples/shop/app.py --port 0", flush=True)
    command = (*python, "-m", "pytheus", "run", "--port", "0", str(HERE / "app.py"), "--port", "0")
    shop = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        urls = wait_for_urls(shop)
        if urls is None:
            print("the shop did not say where it serves")
            return 1
        load = (*python, str(HERE / "load.py"), urls["shop"], "--metrics", urls["pytheus"])
        sizes = ("--clients", str(arguments.clients), "--orders", str(arguments.orders))
        measured = subprocess.run([*load, *sizes])
    finally:
        shop.terminate()
        try:
            status = shop.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            shop.kill()
            status = shop.wait()
    # A program that SIGTERM ends reports that signal as its status, with or without `pytheus run`.
    if status not in (0, -signal.SIGTERM):
        print(f"the shop was told to end, and failed with status {status}")
        return 1
    if measured.returncode == 0:
        print("The shop served its orders, its metrics agree with the load, and it ended when it was told to.")
    return measured.returncode


def wait_for_urls(shop: subprocess.Popen[str]) -> dict[str, str] | None:
    """The addresses of the metrics ("pytheus") and of the shop ("shop"), read from its output, which is shown."""
    output = shop.stdout
    assert output is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in output:
            print(line, end="", flush=True)
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    urls: dict[str, str] = {}
    while len(urls) < 2:
        try:
            line = lines.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            return None
        if line is None:
            return None
        if match := re.match(r"(pytheus|shop): serving .*(http://\S+)", line):
            urls[match[1]] = match[2]
    return urls


if __name__ == "__main__":
    sys.exit(main())
