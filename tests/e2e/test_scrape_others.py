"""``pytheus scrape`` and ``pytheus diff`` read what other programs expose, the same in text and in protobuf."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from pytheus.cli.__main__ import main
from tests.conftest import Start, unused_port, wait_until
from tests.e2e.scraped import DOWNLOADED

SHOP = """
import time
from pytheus import Counter, Histogram, Info

Counter("orders_total", "Orders.", ["method"]).labels("card").inc(3, {"trace_id": "7"})
Histogram("wait_seconds", "Wait.", unit="seconds", native=True).observe(0.3)
Info("build", "Build.").info({"version": "1"})
print("made", flush=True)
time.sleep(1000)
"""


def prometheus(address: str, home: Path) -> list[str]:
    (home / "prometheus.yml").write_text("global: {}\n")
    options = [f"--storage.tsdb.path={home / 'tsdb'}", "--enable-feature=native-histograms"]
    return [f"--config.file={home / 'prometheus.yml'}", f"--web.listen-address={address}", *options]


def node_exporter(address: str, _: Path) -> list[str]:
    return [f"--web.listen-address={address}"]


def victoria(address: str, home: Path) -> list[str]:
    return [f"-httpListenAddr={address}", f"-storageDataPath={home / 'data'}"]


ARGUMENTS: dict[str, Callable[[str, Path], list[str]]] = {
    "prometheus": prometheus,
    "prometheus-node-exporter": node_exporter,
    # Debian's keeps its groups in a file of the system.
    "prometheus-pushgateway": lambda address, _: [f"--web.listen-address={address}", "--persistence.file="],
    "victoria-metrics": victoria,
}
PROGRAMS = [
    pytest.param(name, str(path), id=path.parts[-4] if path.is_relative_to(DOWNLOADED) else name)
    for name in ARGUMENTS
    for path in [*map(Path, filter(None, [shutil.which(name)])), *sorted(DOWNLOADED.glob(f"*/usr/bin/{name}"))]
]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Call it with the arguments of the command; gives the exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        code = main(arguments)
        return code, capfd.readouterr().out

    return call


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=10):
            return True
    except (URLError, OSError):
        return False


@pytest.mark.skipif(not PROGRAMS, reason="needs prometheus, prometheus-node-exporter or another program (Debian)")
@pytest.mark.parametrize(("name", "program"), PROGRAMS)
def test_other_programs_are_read(
    name: str, program: str, start: Start, tmp_path: Path, command: Callable[..., tuple[int, str]]
) -> None:
    address = f"127.0.0.1:{unused_port()}"
    start(program, *ARGUMENTS[name](address, tmp_path), cwd=tmp_path)
    wait_until(lambda: answers(f"http://{address}/metrics"), program)
    # The first scrapes add the families of scrapes themselves.
    code, body = command("scrape", address)
    assert code == 0
    code, text = command("scrape", address, "--json", "--format", "text")
    assert code == 0
    families: dict[str, Any] = {family["name"]: family for family in json.loads(text)["families"]}
    assert len(families) > 20
    assert sum(len(family["samples"]) for family in families.values()) > 40
    if name == "victoria-metrics":
        assert {family["type"] for family in families.values()} == {"untyped"}
    else:
        assert {"counter", "gauge", "summary"} <= {family["type"] for family in families.values()}
    kept = tmp_path / "kept.prom"
    kept.write_text(body)
    code, out = command("diff", str(kept), address, "--json", "--format", "protobuf")
    document = json.loads(out)
    formats = ("text", "text" if name == "victoria-metrics" else "protobuf")
    assert (document["a"]["format"], document["b"]["format"]) == formats
    assert document["families"]["went"] == []
    assert [
        family for family in document["families"]["changed"] if family["changes"] or family["series"]["went"]["count"]
    ] == []
    assert code == (0 if document["same"] else 1)


@pytest.fixture
def shop(start: Start, tmp_path: Path) -> str:
    (tmp_path / "shop.py").write_text(SHOP)
    run = start(sys.executable, "-m", "pytheus", "run", "--port", "0", "shop.py", cwd=tmp_path)
    address = run.wait_for(r"serving metrics at http://(\S+?)/metrics")[1]
    run.wait_for("^made$")
    return str(address)


def test_a_program_under_pytheus_run_is_read(
    shop: str, tmp_path: Path, command: Callable[..., tuple[int, str]]
) -> None:
    paths = []
    for format_ in ("text", "openmetrics"):
        code, body = command("scrape", shop, "--format", format_)
        assert code == 0
        assert 'orders_total{method="card"} 3.0' in body
        paths.append(tmp_path / format_)
        paths[-1].write_text(body)
    names = ["--name", "orders_total", "--name", "wait_seconds", "--name", "build_info"]
    for one, other in ((paths[0], paths[1]), (paths[0], shop), (paths[1], shop)):
        for arguments in ([], ["--format", "protobuf"]):
            assert command("diff", str(one), str(other), "--values", *names, *arguments) == (0, "")
    code, out = command("scrape", shop, "--json", "--name", "wait_seconds")
    [family] = json.loads(out)["families"]
    assert (code, family["unit"], family["samples"][-1]["native"]["buckets"][0]["count"]) == (0, "seconds", 1)
