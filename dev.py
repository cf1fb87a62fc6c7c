"""Sets up nox and runs a session of noxfile.py. Needs Python 3.11 or later, pip and a package index.

    python3 dev.py shop             run the example shop under `pytheus run`, with a counted load
    python3 dev.py test             linters, then the tests with this interpreter; a quarter of an hour
    python3 dev.py test --all       everything, with each interpreter found, on both builds; an hour
    python3 dev.py test --rest      the part that `test` leaves out; CI runs both
    python3 dev.py test -k proxy    pytest's arguments: those tests alone, on the compiled build
    python3 dev.py lint             the linters alone
    python3 dev.py SESSION ARGS...  any other session; `python3 dev.py list` lists them

`--no-install` after `test` installs nothing from Debian. Environments are kept under .venv/.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HOME = ROOT / ".venv" / f"nox-{sys.version_info[0]}.{sys.version_info[1]}"
PYTHON = str(HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
TOOLS = ("nox>=2026.4", "uv>=0.9")
"""uv makes the environments in a second each; without it, virtualenv and pip make them."""


def set_up() -> None:
    # Debian keeps ensurepip in a package of its own. The interpreter's pip installs into an environment without pip.
    own_pip = importlib.util.find_spec("ensurepip") is not None
    options = ["--clear"] if own_pip else ["--clear", "--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *options, str(HOME)], check=True)
    pip = [PYTHON, "-m", "pip"] if own_pip else [sys.executable, "-m", "pip", "--python", PYTHON]
    install = [*pip, "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*install, *TOOLS]).returncode:
        subprocess.run([*install, TOOLS[0]], check=True)
    (HOME / "ready").write_text(repr(TOOLS))


def main() -> int:
    command, arguments = (sys.argv[1:2] or ["--help"])[0], sys.argv[2:]
    if command in ("--help", "-h"):
        print(__doc__)
        return 0
    if sys.version_info < (3, 11):  # noqa: UP036  # an older one should get as far as this message
        print(f"dev.py: Python 3.11 or later is needed, but this is {sys.version.split()[0]}")
        return 1
    if not (HOME / "ready").exists() or (HOME / "ready").read_text() != repr(TOOLS):
        set_up()
    nox = [PYTHON, "-m", "nox", "--noxfile", str(ROOT / "noxfile.py")]
    wanted = ["--list"] if command == "list" else ["--session", command, "--", *arguments]
    try:
        return subprocess.run([*nox, *wanted]).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
