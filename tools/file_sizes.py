"""Reports Python files that are too long or too short: `python tools/file_sizes.py`.

A file over 450 lines has more than one subject; one under 40 is a part of another. `__init__.py`, `__main__.py` and
`conftest.py` may be short, and so may tests, which follow the modules that they test. Exits with 1 if there is a
finding; an exception that is not needed is one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHORTEST, LONGEST = 40, 450
MAY_BE_SHORT = ("__init__.py", "__main__.py", "conftest.py")

EXCEPTIONS: dict[str, str] = {
    "pytheus/contrib/django/apps.py": "where Django looks for the configuration of an installed app",
    "pytheus/version.py": "the one module that tells the build, and that the build backend reads",
    "pytheus/yielding.py": "used by several packages, which share no other module",
}
"""Files of another size, each with the reason."""


def findings() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found, unneeded = [], dict(EXCEPTIONS)
    for name in listed:
        path = ROOT / name
        if not path.exists():
            continue  # deleted and not committed yet
        lines = len(path.read_text("utf-8").splitlines())
        short = lines < SHORTEST and path.name not in MAY_BE_SHORT and "tests" not in Path(name).parts
        if lines <= LONGEST and not short:
            continue
        if unneeded.pop(name, None) is None and name not in EXCEPTIONS:
            found.append(f"{name}: {lines} lines; expected {SHORTEST} to {LONGEST}")
    return [*found, *(f"{name}: listed as an exception, which it does not need" for name in unneeded)]


if __name__ == "__main__":
    print(*findings(), sep="\n", end="\n" if findings() else "")
    sys.exit(1 if findings() else 0)
