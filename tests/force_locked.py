"""A pytest plugin (``-p force_locked``) that has pytheus believe that this interpreter runs without the GIL.

So the variant with locks can be tested on any CPython. It is loaded before anything imports pytheus.
"""

from __future__ import annotations

import sys

if "pytheus" in sys.modules:
    raise RuntimeError("pytheus was imported before force_locked, so it has decided already")

setattr(sys, "_is_gil_enabled", lambda: False)  # noqa: B010  # type checkers know it only from 3.13 on
