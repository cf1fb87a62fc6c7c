"""Run the command ``pytheus`` as ``python -m pytheus``."""

import sys

from pytheus.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
