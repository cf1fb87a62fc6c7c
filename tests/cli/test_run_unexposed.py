"""``pytheus run`` with a registry that sends its numbers elsewhere."""

from __future__ import annotations

from pathlib import Path

from tests.cli.programs import run

_PUSHING = """
from pytheus.plugins import hookimpl
from pytheus.registry import CollectorRegistry

class Pushing:
    prefix = None

    def __init__(self):
        held = CollectorRegistry()
        self.register, self.unregister, self.registered_collectors = held.register, held.unregister, held.collect

    def collect(self):
        return []

@hookimpl
def pytheus_make_registry(options):
    return Pushing()
"""


def test_a_registry_that_exposes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("print('ran')")
    site = tmp_path / "site"
    info = site / "pushing-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pushing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytheus]\npushing = pushing_registry\n")
    (site / "pushing_registry.py").write_text(_PUSHING)
    chosen = ("--port", "0", "--registry", "pushing")
    told = "Pushing holds 3 collector(s) and exposes none of them, because it sends their numbers elsewhere."
    ended = run(tmp_path, *chosen, "program.py", PYTHONPATH=str(site))
    assert ended.code == 0, ended
    assert ended.err.splitlines()[-1] == f"pytheus run: warning: {told}"
    assert run(tmp_path, *chosen, "--quiet", "program.py", PYTHONPATH=str(site)).err == ""
